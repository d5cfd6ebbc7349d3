"""What real pods, a real router and real Flux show of apps, as the platform sees it."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.clients.kubernetes_api import KubernetesApi
from api.clients.kubernetes_cluster import KubernetesCluster
from api.domain.names import app_path
from api.domain.progress import Intent, Progress, Reached, progress
from api.domain.rollout import Observation
from api.errors import ClusterUnavailable
from api.settings import Settings
from tests.cluster.learners import Learner
from tests.cluster.plane.cluster import Cluster
from tests.cluster.tenants import APPS_HOST, UNFETCHABLE_IMAGE

pytestmark = pytest.mark.usefixtures("policies")
HELLO = """\
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def hello():
    print("somebody said hello")
    return {"version": %r}
"""
BROKEN = HELLO + "\n\nnumbers = {}\nprint(numbers['one'])\n"
HUNGRY = HELLO + "\n\nwaste = [b'x' * 1_000_000 for _ in range(400)]\n"
RECEIVER = Path(__file__).parents[2] / "gitops-repo-template/cluster/receiver.yaml"
TOKEN = secrets.token_hex(16)
APPLIED = Reached(fetched=True, attempted=True, applied=True)
SECONDS = 90.0


class Watched:
    """The platform's eyes on the cluster."""

    def __init__(self, settings: Settings, api: KubernetesApi) -> None:
        self.cluster = KubernetesCluster(settings, api, self._tip)
        self.tips: dict[str, str] = {}  # of the shards' branches

    async def _tip(self, shard: str) -> str | None:
        return self.tips.get(shard)

    async def until(
        self, learner: Learner, holds: Callable[[Observation], Any], seconds: float = SECONDS
    ) -> Observation:
        """The first observation that holds; AssertionError with the last one."""
        seen: Observation | None = None
        ticks = self.cluster.changes(learner.ref)
        tick = asyncio.ensure_future(anext(ticks))
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            while asyncio.get_running_loop().time() < deadline:
                await asyncio.wait({tick}, timeout=1)
                if tick.done():
                    tick = asyncio.ensure_future(anext(ticks))
                with contextlib.suppress(ClusterUnavailable):
                    seen = await self.cluster.observe(learner.ref)
                    if holds(seen):
                        return seen
        finally:
            tick.cancel()
        raise AssertionError(f"not within {seconds} s; last seen: {seen}")

    async def until_live(self, learner: Learner, intent: str) -> Observation:
        return await self.until(learner, lambda seen: told(learner, intent, seen).stage == "live")

    async def until_failed(self, learner: Learner, intent: str) -> Progress:
        seen = await self.until(learner, lambda seen: told(learner, intent, seen).stage == "failed")
        return told(learner, intent, seen)


def told(learner: Learner, intent: str, seen: Observation) -> Progress:
    """What the learner reads of this intent, all that comes before the pods being done."""
    now = datetime.now(UTC)
    wanted = Intent("1" * 40, now, intent, "running", "2" * 40, now, app_id=learner.ref.app_id)
    return progress(wanted, APPLIED, seen, now)


@pytest.fixture
async def watched(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Watched]:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    settings = Settings(
        mode="cluster",
        secret_key="k" * 32,
        mongo_uri="mongodb://unused.example",
        base_domain=APPS_HOST.replace("apps", "platform"),
        runner_image=cluster.runner_image,
        router_url=cluster.apps_url,
        flux_receiver_url=cluster.receiver_url,
        flux_receiver_token_file=token,
    )
    api = await KubernetesApi.open(str(cluster.kubeconfig))
    made = Watched(settings, api)
    await made.cluster.start()
    assert await made.cluster.problem() is None
    yield made
    await made.cluster.close()
    await api.close()


@pytest.fixture
def learner(cluster: Cluster) -> Iterator[Learner]:
    made = Learner.on(cluster, APPS_HOST)
    yield made
    made.leave()


@pytest.fixture
async def visitor(cluster: Cluster) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody else, who asks the router."""
    headers = {"host": APPS_HOST}
    async with httpx2.AsyncClient(base_url=cluster.apps_url, headers=headers) as made:
        yield made


async def test_an_app_goes_live_and_whoever_asks_then_gets_its_answer(watched, learner, visitor):
    for version in ("one", "two", "three"):
        intent = await learner.apply(HELLO % version)
        seen = await watched.until_live(learner, intent)
        answers = [await visitor.get(f"{app_path(learner.ref)}/") for _ in range(10)]
        assert {answer.json()["version"] for answer in answers} == {version}
        assert {"starting", "live"} <= seen.times.keys()
    live = await watched.cluster.live(learner.ref)
    mounted = "-o=jsonpath={.spec.template.spec.volumes[0].configMap.name}"
    wanted = ("get", "deployment", learner.ref.app_id, "-n", learner.namespace, mounted)
    assert (live.intent, live.config_map) == (intent, learner.cluster.kubectl(*wanted))


async def test_a_crash_names_file_and_line_while_the_old_version_serves(watched, learner, visitor):
    good = await learner.apply(HELLO % "one")
    await watched.until_live(learner, good)
    shown = await watched.until_failed(learner, await learner.apply(BROKEN % "two"))
    assert (shown.error.reason, shown.error.message) == ("import_failed", "KeyError: 'one'")
    assert (shown.error.path, shown.error.line) == ("user_code.py", 13)
    assert shown.message.endswith("The version before keeps serving.")
    assert (await visitor.get(f"{app_path(learner.ref)}/")).json() == {"version": "one"}
    assert (await watched.cluster.live(learner.ref)).intent == good
    await watched.until(learner, lambda seen: any(pod.restarts for pod in seen.pods))
    previous = [line.text async for line in watched.cluster.logs(learner.ref, previous=True)]
    assert any("KeyError: 'one'" in text for text in previous)
    fixed = await learner.apply(HELLO % "three")
    await watched.until_live(learner, fixed)
    assert (await visitor.get(f"{app_path(learner.ref)}/")).json() == {"version": "three"}


async def test_too_much_memory_is_told_as_such(watched, learner):
    shown = await watched.until_failed(learner, await learner.apply(HUNGRY % "one"))
    assert shown.error.reason == "out_of_memory"


async def test_an_image_that_cannot_be_fetched_is_told_as_such(watched, learner):
    intent = await learner.apply(HELLO % "one", image=UNFETCHABLE_IMAGE)
    await watched.until(learner, lambda seen: "image" in told(learner, intent, seen).message)
    shown = await watched.until_failed(learner, intent)
    assert (shown.error.stage, shown.error.reason) == ("starting", "image")


async def test_a_used_up_quota_is_told_as_such(watched, learner):
    spec = '{"spec": {"hard": {"limits.cpu": "100m"}}}'
    learner.cluster.kubectl(
        *("patch", "resourcequota", "compute", "-n", learner.namespace, "-p", spec)
    )
    intent = await learner.apply(HELLO % "one")
    seen = await watched.until(learner, lambda o: o.warnings)
    shown = told(learner, intent, seen)
    assert shown.stage == "starting"
    assert "all the compute" in shown.message


async def test_a_namespace_that_is_being_removed_is_told_as_such(watched, learner):
    await learner.apply(HELLO % "one")
    await watched.until(learner, lambda o: o.pods)
    learner.cluster.kubectl(
        *("patch", "namespace", learner.namespace, "--type=merge"),
        *("-p", '{"metadata": {"finalizers": ["example.org/kept"]}}'),
    )
    try:
        learner.leave()
        await watched.until(learner, lambda o: o.terminating)
    finally:
        learner.cluster.kubectl(
            *("patch", "namespace", learner.namespace, "--type=merge"),
            *("-p", '{"metadata": {"finalizers": null}}'),
        )
    await watched.until(learner, lambda o: o.workload is None and not o.pods)


async def test_an_apps_output_is_followed_into_its_next_version(watched, learner, visitor):
    await watched.until_live(learner, await learner.apply(HELLO % "one"))
    lines = watched.cluster.logs(learner.ref, follow=True, tail=5)
    for version in ("one", "two"):
        if version == "two":
            await watched.until_live(learner, await learner.apply(HELLO % "two"))
        enough = asyncio.Event()
        asking = asyncio.create_task(_ask_until(enough, visitor, learner))
        async with asyncio.timeout(SECONDS):
            pods = {p.name for p in (await watched.cluster.observe(learner.ref)).pods}
            async for line in lines:
                if line.text == "somebody said hello" and (version == "one" or line.pod in pods):
                    break
        # Ended between two questions: one that is cancelled while it connects leaves its socket.
        enough.set()
        await asking
    await lines.aclose()


async def _ask_until(enough: asyncio.Event, visitor: httpx2.AsyncClient, learner: Learner) -> None:
    while not enough.is_set():
        await visitor.get(f"{app_path(learner.ref)}/")
        await asyncio.sleep(0.2)


async def test_an_api_server_that_is_killed_is_followed_again(watched, learner, plane):
    first = await learner.apply(HELLO % "one")
    await watched.until_live(learner, first)
    plane.process("kube-apiserver").kill()
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                intent = await learner.apply(HELLO % "two")
                break
            except Exception:  # noqa: BLE001  (whatever kubectl says while nobody answers)
                await asyncio.sleep(0.5)
    await watched.until_live(learner, intent)
    assert await watched.cluster.problem() is None
