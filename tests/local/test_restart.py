"""After a kill -9, nothing is left behind and everything comes back from git."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
import pytest_asyncio

from api.domain.names import AppRef
from tests.local.conftest import ROOT, MakeWorld, World, eventually, hello
from tests.local.test_versions import BROKEN

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Never lets go of the interpreter, so its runner cannot see that the platform ended.
STUBBORN = """\
import re
import threading

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def hello() -> dict[str, str]:
    return {"version": "stubborn"}


@app.get("/hang")
def hang() -> None:
    re.match("(a+)+$", "a" * 60 + "b")
"""


class Host:
    """The platform's process, to be killed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        settings = self.world.settings
        self.process = subprocess.Popen(
            [
                *(sys.executable, str(Path(__file__).with_name("host.py"))),
                *(str(settings.data_dir), str(settings.apps_port), str(settings.runner_python)),
            ],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        )

    def children(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@pytest_asyncio.fixture(loop_scope="module")
async def world(make_world: MakeWorld) -> World:
    """A repository whose cluster runs elsewhere."""
    world = await make_world()
    await world.stop()
    return world


@pytest.fixture
def host(world: World) -> Iterator[Host]:
    """The other process; whatever it leaves behind ends with the test."""
    host = Host(world)
    host.start()
    yield host
    left = host.children() if host.process and host.process.poll() is None else []
    host.kill()
    for process in left:
        if process.is_running():
            process.kill()


async def answers(world: World, ref: AppRef, version: str) -> None:
    """This version answers at the app's address."""

    async def look() -> bool:
        return await _get(world, ref, "/") == (200, {"version": version})

    await eventually(look)


async def holds(what: Callable[[], Any], seconds: float = 60) -> None:
    """It comes true."""

    async def look() -> Any:
        return what()

    await eventually(look, seconds)


async def test_children_end_with_the_platform_and_apps_come_back(
    world: World, host: Host, ref: AppRef
) -> None:
    other = AppRef("uother", "shop")
    await world.publish(ref, hello("one"))
    await world.publish(other, hello("two"))
    for _ in range(2):
        await answers(world, ref, "one")
        await answers(world, other, "two")
        children = host.children()
        assert len(children) == 3
        host.kill()
        await holds(lambda kept=children: not any(child.is_running() for child in kept))
        host.start()
    await answers(world, ref, "one")


async def test_what_cannot_see_the_end_is_ended_at_the_next_start(
    world: World, host: Host, ref: AppRef
) -> None:
    await world.publish(ref, {"user_code.py": STUBBORN})
    await holds(lambda: len(host.children()) == 2)
    await answers(world, ref, "stubborn")
    (stuck,) = [c for c in host.children() if c.name() != "traefik"]
    hanging = asyncio.create_task(_get(world, ref, "/hang"))
    await holds(lambda: stuck.cpu_times().user > 1.5)
    host.kill()
    await hanging
    await asyncio.sleep(1)
    assert stuck.is_running()
    host.start()
    await holds(lambda: not stuck.is_running())
    await answers(world, ref, "stubborn")


async def test_a_foreign_process_with_a_recorded_id_lives(
    world: World, host: Host, ref: AppRef
) -> None:
    await world.publish(ref, hello("one"))
    await answers(world, ref, "one")
    host.kill()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as foreign:  # noqa: ASYNC220
        record = world.data_dir / "run/records" / str(foreign.pid)
        record.write_text(json.dumps({"name": "shop", "started": 1000.0}))
        (record.parent / "not a number").write_text("{")
        host.start()
        await answers(world, ref, "one")
        assert foreign.poll() is None
        assert not record.exists()
        foreign.kill()


async def test_the_last_version_that_worked_comes_back_beside_a_broken_one(
    world: World, host: Host, ref: AppRef
) -> None:
    await world.publish(ref, hello("one"))
    await answers(world, ref, "one")
    broken = await world.publish(ref, BROKEN)
    await holds(lambda: len(list((world.data_dir / "run/apps").glob("*/*/pods/*"))) == 2)
    host.kill()
    await world.start()
    seen = await world.until(
        ref,
        lambda o: o.routed_intent and any(p.intent == broken and p.exit_code for p in o.pods),
    )
    assert (await world.get(ref)).json() == {"version": "one"}
    assert seen.workload is not None
    assert seen.workload.intent == broken
    await world.until_live(ref, await world.publish(ref, hello("two")))


async def test_a_version_that_does_not_build_keeps_the_last_one_after_a_restart(
    world: World, host: Host, ref: AppRef
) -> None:
    await world.publish(ref, hello("one"))
    await answers(world, ref, "one")
    host.kill()
    await world.publish(ref, hello("two"), extra={"generated/service.yaml": b"kind: {"})
    await world.start()
    seen = await world.until(ref, lambda o: o.routed_intent and o.shard.apply_error)
    assert (await world.get(ref)).json() == {"version": "one"}
    assert [pod.phase for pod in seen.pods] == ["ready"]


async def test_a_clean_stop_leaves_nothing(world: World, ref: AppRef) -> None:
    others = set(psutil.Process().children(recursive=True))  # of the tests before
    await world.start()
    await world.until_live(ref, await world.publish(ref, hello("one")))
    children = set(psutil.Process().children(recursive=True)) - others
    assert children
    await world.stop()
    assert not [child for child in children if child.is_running()]
    assert list((world.data_dir / "run/records").iterdir()) == []


async def _get(world: World, ref: AppRef, path: str) -> tuple[int, Any]:
    """Status and content; status 0 while nobody listens."""
    try:
        answer = await world.get(ref, path)
    except httpx2.TransportError:
        return 0, None
    is_json = answer.headers.get("content-type") == "application/json"
    return answer.status_code, answer.json() if is_json else None
