"""What is known of apps follows what the API server says, through cuts, outages and lost versions.

Each test runs against a stand-in of our own and against a real API server: the same assertions.
"""

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.clients import kubernetes_watch
from api.clients.kubernetes_api import KubernetesApi
from api.clients.kubernetes_cluster import KubernetesCluster
from api.domain.names import AppRef
from api.domain.rollout import LiveVersion, Observation
from api.errors import ClusterUnavailable
from api.settings import Settings
from tests.observing import api_server
from tests.observing.api_objects import (
    APP,
    MINE,
    NAMESPACE,
    OLD,
    USER,
    Raw,
    condition,
    crash_loop,
    deployment,
    event,
    kustomization,
    namespace,
    pod,
    source,
)
from tests.observing.observed import (
    DEPLOYMENTS,
    EVENTS,
    KUSTOMIZATIONS,
    PODS,
    SHARD,
    SOURCES,
    Router,
    Server,
    double,
    real,
)

REF = AppRef(USER, APP)
TIP, BEFORE = "1" * 40, "2" * 40
SECONDS = 20.0


@pytest.fixture(scope="module")
def real_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[api_server.ApiServer]:
    if why := api_server.unavailable():
        pytest.skip(why)
    with api_server.running(tmp_path_factory.mktemp("api-server")) as made:
        yield made


@pytest.fixture(params=["stand-in", "real"])
async def server(request, tmp_path: Path) -> AsyncIterator[Server]:
    if request.param == "stand-in":
        async with double(tmp_path) as made:
            await made.create("/api/v1/namespaces", namespace())
            yield made
        return
    async with real(tmp_path, request.getfixturevalue("real_server")) as made:
        yield made


@pytest.fixture
async def router() -> AsyncIterator[Router]:
    made = Router()
    listener = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    yield made
    listener.close()


@pytest.fixture
async def cluster(server: Server, router: Router) -> AsyncIterator[KubernetesCluster]:
    api = await KubernetesApi.open(str(server.kubeconfig))
    watching = KubernetesCluster(_settings(router), api, tip=_no_tip)
    await watching.start()
    yield watching
    await watching.close()
    await api.close()


def _settings(router: Router) -> Settings:
    return Settings(
        mode="cluster",
        secret_key="k" * 32,
        mongo_uri="mongodb://unused.example",
        base_domain="platform.example.org",
        router_url=router.url,
    )


async def _no_tip(_: str) -> str | None:
    return None


async def until(cluster: KubernetesCluster, holds: Callable[[Observation], Any]) -> Observation:
    """The first observation that holds; it is waited for as those who follow an app wait."""
    async with asyncio.timeout(SECONDS):
        async for _ in cluster.changes(REF):
            with contextlib.suppress(ClusterUnavailable):
                seen = await cluster.observe(REF)
                if holds(seen):
                    return seen
    raise AssertionError("unreachable")


async def test_an_apps_objects_are_seen_as_they_come_change_and_go(server, cluster):
    assert (await cluster.observe(REF)).workload is None
    made = await server.create(DEPLOYMENTS, deployment(updatedReplicas=0, readyReplicas=0))
    seen = await until(cluster, lambda o: o.workload and o.workload.observed)
    assert (seen.workload.intent, seen.workload.ready, seen.pods) == (MINE, 0, ())
    first = await server.create(PODS, pod())
    seen = await until(cluster, lambda o: o.pods and o.pods[0].phase == "ready")
    assert (seen.pods[0].name, seen.pods[0].intent) == (first["metadata"]["name"], MINE)
    current = await server.http.get(f"{DEPLOYMENTS}/{APP}")
    await server.write(DEPLOYMENTS, current.json() | {"status": deployment()["status"]})
    await until(cluster, lambda o: o.workload and o.workload.ready == 1)
    assert await cluster.live(REF) == LiveVersion(MINE, f"{APP}-code-{MINE[:10]}")
    assert {"applied", "starting"} <= (await cluster.observe(REF)).times.keys()
    await server.remove(PODS, first["metadata"]["name"])
    await server.remove(DEPLOYMENTS, made["metadata"]["name"])
    await until(cluster, lambda o: o.workload is None and not o.pods)


async def test_what_flux_reports_of_the_apps_shard_is_seen(server, cluster):
    assert "GitRepository" in (await cluster.shard(SHARD)).fetch_error
    await server.create(SOURCES, source(SHARD, TIP))
    words = f"Deployment/{NAMESPACE}/{APP} dry-run failed"
    failed = condition("Ready", "False", "ReconciliationFailed", words)
    await server.create(KUSTOMIZATIONS, kustomization(SHARD, TIP, BEFORE, failed))
    seen = (await until(cluster, lambda o: o.shard.apply_error and o.shard.fetched)).shard
    assert (seen.fetched, seen.attempted, seen.applied) == (TIP, TIP, BEFORE)
    assert (seen.apply_error, seen.fetch_error, seen.suspended) == (words, None, False)
    current = (await server.http.get(f"{KUSTOMIZATIONS}/shard-{SHARD}")).json()
    current["spec"]["suspend"] = True
    await server.write(KUSTOMIZATIONS, current, "")
    await until(cluster, lambda o: o.shard.suspended)
    assert await cluster.shard(SHARD) == (await cluster.observe(REF)).shard


async def test_warnings_of_the_wanted_versions_pods_are_told(server, cluster):
    await server.create(DEPLOYMENTS, deployment())
    old, new = pod(f"{APP}-old-1", OLD), pod()
    for raw in (old, new):
        await server.create(PODS, raw)
        name = raw["metadata"]["name"]
        await server.create(EVENTS, event(f"it failed on {name}", "Failed", name=name))
    seen = await until(cluster, lambda o: o.warnings and len(o.pods) == 2)
    assert seen.warnings == (f"it failed on {new['metadata']['name']}",)


async def test_nothing_that_happened_while_the_connection_was_cut_is_missed(server, cluster):
    await server.create(DEPLOYMENTS, deployment())
    gone = await server.create(PODS, pod(f"{APP}-old-1", OLD))
    await until(cluster, lambda o: o.workload and o.pods)
    for number in range(3):
        server.cable.cut()
        await server.create(PODS, pod(f"{APP}-new-{number}"))
        await until(cluster, lambda o, n=number: len(o.pods) == n + 2)
    await server.cable.unplug()
    await server.remove(PODS, gone["metadata"]["name"])
    assert any(p.intent == OLD for p in (await cluster.observe(REF)).pods)
    await server.cable.plug()
    seen = await until(cluster, lambda o: len(o.pods) == 3)
    assert {p.intent for p in seen.pods} == {MINE}


async def test_after_a_lost_version_everything_is_listed_anew(server, cluster, monkeypatch):
    listed: list[str] = []
    get = KubernetesApi.get

    async def noted(api: KubernetesApi, path: str, query: dict[str, str]) -> Raw:
        listed.append(path)
        return await get(api, path, query)

    monkeypatch.setattr(KubernetesApi, "get", noted)
    await server.create(DEPLOYMENTS, deployment())
    gone = await server.create(PODS, pod(f"{APP}-old-1", OLD))
    await until(cluster, lambda o: o.workload and o.pods)
    await server.cable.unplug()
    await server.remove(PODS, gone["metadata"]["name"])
    await server.create(PODS, pod())
    for watch in cluster._watches:
        watch._version = "1"  # which is forgotten
    await server.cable.plug()
    seen = await until(cluster, lambda o: [p.intent for p in o.pods] == [MINE])
    assert seen.workload is not None
    assert await cluster.problem() is None
    assert listed  # a real server may remember the beginning of what seldom changes


async def test_answers_that_come_in_pieces_are_put_together(server, cluster):
    server.cable.chunk = 100
    server.cable.cut()
    await server.create(DEPLOYMENTS, deployment())
    for number in range(3):
        await server.create(PODS, pod(f"{APP}-new-{number}"))
    seen = await until(cluster, lambda o: o.workload and [p.phase for p in o.pods] == ["ready"] * 3)
    assert seen.workload.intent == MINE


async def test_a_server_that_stays_away_is_a_problem_until_it_is_back(server, cluster, monkeypatch):
    await server.create(DEPLOYMENTS, deployment())
    await until(cluster, lambda o: o.workload)
    monkeypatch.setattr(kubernetes_watch, "_GRACE_SECONDS", 0.2)
    await server.cable.unplug()
    async with asyncio.timeout(SECONDS):
        while await cluster.problem() is None:  # noqa: ASYNC110  (only time brings it)
            await asyncio.sleep(0.05)
    assert "not followed" in await cluster.problem()
    with pytest.raises(ClusterUnavailable):
        await cluster.observe(REF)
    await server.cable.plug()
    async with asyncio.timeout(SECONDS):
        while await cluster.problem():  # noqa: ASYNC110  (nobody is told that it is over)
            await asyncio.sleep(0.05)
    assert (await cluster.observe(REF)).workload.intent == MINE


async def test_a_cluster_that_is_away_at_the_start_is_followed_once_it_is_there(server, router):
    await server.cable.unplug()
    api = await KubernetesApi.open(str(server.kubeconfig))
    watching = KubernetesCluster(_settings(router), api, tip=_no_tip)
    starting = asyncio.create_task(watching.start())
    try:
        await asyncio.sleep(0.1)
        with pytest.raises(ClusterUnavailable):
            await watching.observe(REF)
        await server.cable.plug()
        await asyncio.wait_for(starting, SECONDS)
        assert await watching.problem() is None
        assert (await watching.observe(REF)).workload is None
    finally:
        starting.cancel()
        await watching.close()
        await api.close()


async def test_asking_costs_the_api_server_nothing(server, cluster):
    await server.create(DEPLOYMENTS, deployment())
    await server.create(PODS, pod(intent=OLD))
    await until(cluster, lambda o: o.workload and o.pods)
    before = server.cable.connections
    for _ in range(10_000):
        await cluster.observe(REF)
        await cluster.live(REF)
        await cluster.shard(SHARD)
        await cluster.problem()
    assert server.cable.connections == before


async def test_live_is_proved_through_the_router(server, cluster, router):
    await server.create(DEPLOYMENTS, deployment())
    await server.create(PODS, pod())
    await until(cluster, lambda o: o.workload and o.pods and o.pods[0].phase == "ready")
    assert (await cluster.observe(REF)).routed_intent is None
    router.intents = [MINE]
    seen = await until(cluster, lambda o: o.routed_intent)
    assert seen.routed_intent == MINE
    assert seen.times["live"]
    assert set(router.requests) == {(f"/user/{USER}/app/{APP}/", "apps.example.org")}
    asked = len(router.requests)
    for _ in range(100):
        await cluster.observe(REF)
    await asyncio.sleep(0.2)
    assert len(router.requests) == asked


async def test_while_the_router_still_leads_to_the_old_version_nothing_is_proved(
    server, cluster, router
):
    leaving = await server.create(PODS, pod(f"{APP}-old-1", OLD))
    await server.create(DEPLOYMENTS, deployment())
    await server.create(PODS, pod())
    await until(cluster, lambda o: len([p for p in o.pods if p.phase == "ready"]) == 2)
    router.intents = [MINE, OLD]
    assert (await cluster.observe(REF)).routed_intent is None
    await asyncio.sleep(0.1)
    assert router.requests == []  # the old version's pod is ready yet: it is no use asking
    raw = (await server.http.get(f"{PODS}/{leaving['metadata']['name']}")).json()
    raw["status"] = copy.deepcopy(raw["status"]) | {"conditions": []}
    await server.write(PODS, raw)
    await until(cluster, lambda o: len([p for p in o.pods if p.phase == "ready"]) == 1)
    while len(router.requests) < 20:
        assert (await cluster.observe(REF)).routed_intent is None
        await asyncio.sleep(0.02)
    router.intents = [MINE]
    await until(cluster, lambda o: o.routed_intent == MINE)


async def test_a_crashed_container_without_a_log_is_told_all_the_same(server, cluster):
    await server.create(DEPLOYMENTS, deployment(readyReplicas=0))
    await server.create(PODS, pod(**crash_loop()))
    seen = await until(cluster, lambda o: o.pods and o.pods[0].phase == "failed")
    assert (seen.pods[0].exit_code, seen.pods[0].restarts, seen.pods[0].log_tail) == (3, 2, ())
