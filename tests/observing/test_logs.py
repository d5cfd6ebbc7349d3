"""The log of an app: all its pods by time, one container before, and what comes after."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.clients import kubernetes_api, kubernetes_logs
from api.clients.kubernetes_api import KubernetesApi
from api.clients.kubernetes_cluster import KubernetesCluster
from api.domain.names import AppRef
from api.errors import ClusterUnavailable
from api.settings import Settings
from tests.observing.api_double import ApiDouble
from tests.observing.api_objects import APP, USER, crash_loop, deployment, namespace, pod
from tests.observing.observed import kubeconfig

REF = AppRef(USER, APP)
ONE, TWO = f"{APP}-rs1-aaaaa", f"{APP}-rs1-bbbbb"
COLLECTION = "/api/v1/pods"


def line(second: int, text: str) -> str:
    return f"2026-01-01T12:00:{second:02}.000000001Z {text}\n"


@pytest.fixture
async def api() -> AsyncIterator[ApiDouble]:
    async with ApiDouble() as made:
        made.put("/api/v1/namespaces", namespace())
        made.put("/apis/apps/v1/deployments", deployment())
        yield made


@pytest.fixture
async def cluster(api: ApiDouble, tmp_path: Path) -> AsyncIterator[KubernetesCluster]:
    config = kubeconfig(tmp_path, {"server": f"http://127.0.0.1:{api.port}"}, {})
    client = await KubernetesApi.open(str(config))
    settings = Settings(
        mode="cluster",
        secret_key="k" * 32,
        mongo_uri="mongodb://unused.example",
        base_domain="platform.example.org",
        router_url="http://127.0.0.1:9",
    )
    made = KubernetesCluster(settings, client, tip=lambda _: asyncio.sleep(0, None))
    await made.start()
    yield made
    await made.close()
    await client.close()


async def put(api: ApiDouble, cluster: KubernetesCluster, raw: dict) -> None:
    """The pod is there, and known."""
    api.put(COLLECTION, raw)
    async with asyncio.timeout(10):
        async for _ in cluster.changes(REF):
            if any(p.name == raw["metadata"]["name"] for p in (await cluster.observe(REF)).pods):
                return


async def texts(cluster: KubernetesCluster, **asked) -> list[str]:
    return [found.text async for found in cluster.logs(REF, **asked)]


async def test_lines_of_all_pods_come_in_the_order_in_which_they_were_printed(api, cluster):
    api.logs[ONE] = line(1, "a") + line(3, "c") + line(5, "e")
    api.logs[TWO] = line(2, "b") + line(4, "d")
    for name in (ONE, TWO):
        await put(api, cluster, pod(name))
    found = [line async for line in cluster.logs(REF)]
    assert [each.text for each in found] == ["a", "b", "c", "d", "e"]
    assert [each.pod for each in found] == [ONE, TWO, ONE, TWO, ONE]
    assert found[0].at.isoformat() == "2026-01-01T12:00:01+00:00"
    assert await texts(cluster, tail=2) == ["d", "e"]


async def test_the_container_before_is_asked_for_by_name(api, cluster):
    api.logs[f"{ONE} previous"] = line(1, "Traceback")
    api.logs[ONE] = line(2, "again")
    await put(api, cluster, pod(ONE, **crash_loop()))
    await put(api, cluster, pod(TWO))  # which never ended
    assert await texts(cluster, previous=True) == ["Traceback"]


async def test_a_pod_without_a_log_and_an_unknown_app_have_no_lines(api, cluster):
    await put(api, cluster, pod(ONE))
    assert await texts(cluster) == []
    assert [x async for x in cluster.logs(AppRef(USER, "other"))] == []


async def test_lines_that_come_later_and_pods_that_come_later_are_followed(api, cluster):
    api.logs[ONE] = line(1, "a") + line(2, "b")
    await put(api, cluster, pod(ONE))
    lines = cluster.logs(REF, follow=True, tail=1)
    async with asyncio.timeout(20):
        assert (await anext(lines)).text == "b"
        following = asyncio.ensure_future(anext(lines))
        await asyncio.sleep(0.1)
        api.logs[ONE] += line(3, "c")
        assert (await following).text == "c"
        following = asyncio.ensure_future(anext(lines))
        api.logs[TWO] = line(4, "d")
        await put(api, cluster, pod(TWO))
        assert (await following).text == "d"
    await lines.aclose()


async def test_a_failed_containers_last_words_are_read_once_when_somebody_asks(api, cluster):
    api.logs[f"{ONE} previous"] = "".join(line(1, f"line {n}") for n in range(100))
    await put(api, cluster, pod(TWO))
    api.put(COLLECTION, pod(ONE, **crash_loop()))
    async with asyncio.timeout(10):
        async for _ in cluster.changes(REF):
            seen = {p.name: p for p in (await cluster.observe(REF)).pods}
            if ONE in seen and seen[ONE].phase == "failed":
                break
            # While its last words are being read, it has not failed yet.
            assert ONE not in seen or seen[ONE].phase == "starting"
    assert len(seen[ONE].log_tail) == 60
    assert seen[ONE].log_tail[-1] == "line 99"
    for _ in range(50):
        await cluster.observe(REF)
    assert sum("/log?" in request for request in api.requests) == 1


async def test_a_pod_that_fails_again_has_failed_all_the_time(api, cluster):
    api.logs[f"{ONE} previous"] = line(1, "first")
    await put(api, cluster, pod(ONE, **crash_loop()))
    failed = False
    async with asyncio.timeout(10):
        async for _ in cluster.changes(REF):
            [seen] = (await cluster.observe(REF)).pods
            assert seen.phase == "failed" or not failed
            failed = seen.phase == "failed"
            if failed and seen.log_tail[-1].endswith("second"):
                break
            if failed:
                api.logs[f"{ONE} previous"] = line(2, "second")
                api.put(COLLECTION, pod(ONE, **crash_loop(id_="containerd://c1")))


async def test_words_that_say_why_are_kept_until_there_are_others_that_do(api, cluster):
    async def told(id_: str, log: str) -> tuple[str, ...]:
        api.logs[f"{ONE} previous"] = log
        asked = sum("/log?" in request for request in api.requests)
        api.put(COLLECTION, pod(ONE, **crash_loop(id_=f"containerd://{id_}")))
        async with asyncio.timeout(10):
            while True:
                seen = (await cluster.observe(REF)).pods
                await asyncio.sleep(0.05)
                if sum("/log?" in request for request in api.requests) > asked:
                    return (await cluster.observe(REF)).pods[0].log_tail if seen else ()

    why = line(1, "Traceback (most recent call last):") + line(1, "KeyError: 'tea'")
    assert (await told("c1", why))[-1] == "KeyError: 'tea'"
    assert (await told("c2", line(2, "starts")))[-1] == "KeyError: 'tea'"
    assert (await told("c3", ""))[-1] == "KeyError: 'tea'"
    other = why.replace("tea", "cup")
    assert (await told("c4", other))[-1] == "KeyError: 'cup'"


async def test_pods_that_fail_unasked_cost_nothing(api, cluster):
    for number in range(20):
        api.put(COLLECTION, pod(f"{APP}-rs1-{number}", **crash_loop()))
    await asyncio.sleep(0.2)
    assert not any("/log?" in request for request in api.requests)


async def test_a_line_without_an_end_is_cut_and_says_so(api, cluster):
    api.logs[ONE] = line(1, "a" * 100_000) + line(2, "b")
    await put(api, cluster, pod(ONE))
    long, short = await texts(cluster)
    assert short == "b"
    assert long.startswith("aaa")
    assert long.endswith("[cut here: the line is longer than 16 KiB]")
    assert len(long) < kubernetes_api.MAX_LOG_LINE + 100


async def test_a_program_that_never_ends_its_line_is_heard_and_not_kept(api, cluster):
    api.logs[ONE] = line(1, "a")
    await put(api, cluster, pod(ONE))
    lines = cluster.logs(REF, follow=True)
    async with asyncio.timeout(20):
        assert (await anext(lines)).text == "a"
        following = asyncio.ensure_future(anext(lines))
        await asyncio.sleep(0.1)
        api.logs[ONE] += line(2, "x" * 50_000).rstrip("\n")
        assert "[cut here" in (await following).text
        following = asyncio.ensure_future(anext(lines))
        api.logs[ONE] += "x" * 1_000_000 + "\n" + line(3, "b")
        assert (await following).text == "b"
    await lines.aclose()


async def test_of_many_long_lines_the_last_are_kept(api, cluster):
    api.logs[ONE] = "".join(line(n % 60, f"{n} " + "z" * 10_000) for n in range(1500))
    await put(api, cluster, pod(ONE))
    found = await texts(cluster, tail=1500)
    assert sum(map(len, found)) <= 1 << 20
    assert len(found) > 90


async def test_more_than_can_be_followed_is_refused_before_it_begins(api, cluster, monkeypatch):
    monkeypatch.setattr(kubernetes_logs, "_FOLLOWED", 1)
    api.logs[ONE] = line(1, "a")
    await put(api, cluster, pod(ONE))
    first = cluster.logs(REF, follow=True)
    assert (await anext(first)).text == "a"
    with pytest.raises(ClusterUnavailable, match="being followed"):
        cluster.logs(REF, follow=True)
    assert await texts(cluster) == ["a"], "reading is no following"
    await first.aclose()
    second = cluster.logs(REF, follow=True)
    assert (await anext(second)).text == "a"
    await second.aclose()
