"""What the real Traefik does with the routes that were built."""

import asyncio
import dataclasses
import os
import signal
import time
from collections.abc import Awaitable
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest
from websockets.asyncio.client import connect

from api.domain.names import AppRef, app_path
from api.errors import ClusterUnavailable
from api.local.cluster import LocalCluster
from api.local.objects import Route
from api.local.processes import Processes
from api.local.router import Router
from api.local.routes import Backend
from api.settings import Settings
from tests.local.conftest import NO_APP, World, eventually, hello

pytestmark = pytest.mark.asyncio(loop_scope="module")

STREAMS = """\
import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse

app = FastAPI()


@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    while True:
        await socket.send_text((await socket.receive_text()).upper())


@app.get("/slow")
async def slow() -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        yield "first"
        await asyncio.sleep(1)
        yield "last"

    return StreamingResponse(parts(), media_type="text/plain")
"""
PATHS = """\
from fastapi import FastAPI, Request

app = FastAPI()


@app.get("/{path:path}")
def show(request: Request) -> dict[str, str]:
    return {"path": request.scope["path"], "root": request.scope["root_path"]}
"""


async def test_websockets_and_streams_pass_through(world: World, ref: AppRef) -> None:
    await world.until_live(ref, await world.publish(ref, {"user_code.py": STREAMS}))
    address = f"ws://127.0.0.1:{world.settings.apps_port}{app_path(ref)}/echo"
    async with connect(address, proxy=None) as socket:
        await socket.send("hello")
        assert await socket.recv() == "HELLO"
    async with world.http.stream("GET", f"{app_path(ref)}/slow") as answer:
        came = [(part, time.monotonic()) async for part in answer.aiter_text()]
    assert [part for part, _ in came] == ["first", "last"]
    assert came[1][1] - came[0][1] > 0.5


async def test_one_id_that_begins_like_another_gets_its_own_requests(world: World) -> None:
    short, long = AppRef("uprefix", "shop1"), AppRef("uprefix", "shop10")
    await world.until_live(short, await world.publish(short, hello("short")))
    await world.until_live(long, await world.publish(long, hello("long")))
    assert (await world.get(short)).json() == {"version": "short"}
    assert (await world.get(long)).json() == {"version": "long"}
    assert (await world.get(AppRef("uprefix", "shop100"))).status_code == NO_APP
    assert (await world.get(AppRef("uprefi", "shop1"))).status_code == NO_APP


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "learn.example.org:80"])
async def test_routes_do_not_depend_on_the_host(world: World, ref: AppRef, host: str) -> None:
    await world.until_live(ref, await world.publish(ref, hello("one")))
    assert (await world.get(ref, headers={"host": host})).json() == {"version": "one"}


async def test_paths_arrive_as_sent_and_ambiguous_ones_do_not(world: World, ref: AppRef) -> None:
    await world.until_live(ref, await world.publish(ref, {"user_code.py": PATHS}))
    for sent, seen in {"/a/b": "/a/b", "/caf%C3%A9": "/café", "/a%20b": "/a b"}.items():
        answer = (await world.get(ref, sent)).json()
        assert answer["path"].removeprefix(app_path(ref)) == seen
    for sent in ("/a%2Fb", "/a%5Cb", "/a%00b", "/a%3Bb", "/a%25b", "/a%3Fb", "/a%23b"):
        status, _ = await _raw(world, f"{app_path(ref)}{sent}")
        assert status == 400, sent
    other = app_path(AppRef(ref.user_id, "other"))
    status, body = await _raw(world, f"{other}/../{ref.app_id}/x")
    assert (status, b'/x"' in body) == (200, True)  # tidied up before it is routed


async def test_a_router_that_dies_comes_back_with_its_routes(world: World, ref: AppRef) -> None:
    intent = await world.publish(ref, hello("one"))
    await world.until_live(ref, intent)
    os.kill(_traefik().pid, signal.SIGKILL)
    seen = await world.until(ref, lambda o: o.routed_intent is None)
    assert seen.pods[0].phase == "ready"
    await world.until_live(ref, intent)
    assert await world.cluster.problem() is None
    assert (await world.get(ref)).json() == {"version": "one"}


async def test_a_port_in_use_is_said_clearly(world: World) -> None:
    settings = world.settings.model_copy(update={"data_dir": world.data_dir / "second"})
    second = LocalCluster(settings, world.repo, world.cluster._reconciler._kustomize)
    with pytest.raises(ClusterUnavailable, match=f"Port {settings.apps_port} .* is in use") as info:
        await second.start()
    assert "APPS_PORT" in info.value.hint


async def test_the_router_shows_nothing_but_apps(world: World) -> None:
    listening = {
        tuple(connection.laddr)
        for connection in _traefik().net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    # Its counters are for this machine alone, and nothing else is told there.
    metrics = urlsplit(*world.cluster.metrics_urls())
    assert listening == {("127.0.0.1", world.settings.apps_port), ("127.0.0.1", metrics.port)}
    async with httpx2.AsyncClient(trust_env=False) as http:
        assert (await http.get(metrics.geturl())).status_code == 200
        for path in ("/", "/dashboard/", "/api/rawdata", "/ping"):
            assert (await http.get(metrics._replace(path=path).geturl())).status_code == 404
    for path in ("/", "/dashboard/", "/api/rawdata", "/ping", "/metrics"):
        assert (await world.http.get(path)).status_code == 404


async def test_two_hundred_routes_are_all_there(world: World, ref: AppRef) -> None:
    """One process answers for all: what is tried is the router's file, not the machine."""
    intent = await world.publish(ref, hello("one"))
    await world.until_live(ref, intent)
    router = world.cluster._router
    backend = router._backends[ref]
    others = [AppRef("umany", f"app{number}") for number in range(200)]
    for other in others:
        route = Route(f"PathPrefix(`{app_path(other)}/`)", 10, ("strip",), {})
        strip = {"strip": {"stripPrefix": {"prefixes": [app_path(other)]}}}
        objects = dataclasses.replace(backend.objects, routes=(route,), middlewares=strip)
        router.set(other, Backend(objects, backend.port))

    async def answering() -> set[str | None]:
        return {await router.intent_at(other) for other in others}

    await eventually(lambda: _is(answering(), {intent}))
    router.remove(others.pop(0))
    await eventually(lambda: _is(router.intent_at(AppRef("umany", "app0")), None))
    assert await answering() == {intent}


async def _is(answer: Awaitable[object], expected: object) -> bool:
    return await answer == expected


def _traefik() -> psutil.Process:
    (found,) = [c for c in psutil.Process().children() if c.name() == "traefik"]
    return found


async def _raw(world: World, target: str) -> tuple[int, bytes]:
    """A request whose target no client has tidied up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.settings.apps_port)
    writer.write(f"GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split(b" ")[1]), body


async def test_without_the_routers_program_it_is_said_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    router = Router(Settings(), tmp_path, Processes(tmp_path))
    with pytest.raises(ClusterUnavailable, match="not installed") as told:
        await router.start()
    assert "MODE=cluster" in told.value.hint
    await router.close()
