"""New versions come beside old ones, and only what works takes over."""

import asyncio
from dataclasses import replace

import httpx2
import pytest

from api.clients.git_trees import Folder
from api.domain.names import AppRef, shard_of
from api.domain.progress import Reached, progress
from api.domain.rollout import LiveVersion, Observation
from tests.local.conftest import NO_APP, World, folder, hello
from tests.rollout.scenes import INTENT

pytestmark = pytest.mark.asyncio(loop_scope="module")

BROKEN = {
    "user_code.py": "from fastapi import FastAPI\n\napp = FastAPI()\nprices = {}\nprices['x']\n"
}


async def test_a_published_app_answers_at_its_address(world: World, ref: AppRef) -> None:
    intent = await world.publish(ref, hello("one"))
    seen = await world.until_live(ref, intent)
    assert (await world.get(ref)).json() == {"version": "one"}
    assert (await world.get(ref, "")).status_code in {302, 307, 308}
    assert seen.workload is not None
    assert (seen.workload.intent, seen.workload.replicas) == (intent, 1)
    assert seen.shard.fetched == seen.shard.applied != None  # noqa: E711  (reads as it is meant)
    times = [seen.times[stage] for stage in ("fetched", "applied", "starting", "live")]
    assert times == sorted(times)


async def test_no_request_fails_while_a_new_version_takes_over(world: World, ref: AppRef) -> None:
    await world.until_live(ref, await world.publish(ref, hello("one")))
    answers: list[httpx2.Response] = []

    async def ask_all_the_time() -> None:
        while True:
            answers.append(await world.get(ref))
            await asyncio.sleep(0.005)

    asking = asyncio.create_task(ask_all_the_time())
    await world.until_live(ref, await world.publish(ref, hello("two")))
    asking.cancel()
    assert {answer.status_code for answer in answers} == {200}
    versions = [answer.json()["version"] for answer in answers]
    assert versions == sorted(versions)  # never back from two to one
    assert {"one", "two"} <= {*versions, (await world.get(ref)).json()["version"]}


async def test_a_broken_version_leaves_the_old_one_serving(world: World, ref: AppRef) -> None:
    good = await world.publish(ref, hello("one"))
    await world.until_live(ref, good)
    broken = await world.publish(ref, BROKEN)
    seen = await world.until(ref, lambda o: any(p.phase == "failed" for p in o.pods))
    failed = next(pod for pod in seen.pods if pod.intent == broken)
    assert (failed.exit_code, failed.reason) == (3, "Error")
    assert failed.log_tail[-1].startswith("fastapi-platform: failed {")
    assert "KeyError: 'x'" in failed.log_tail
    assert (await world.get(ref)).json() == {"version": "one"}
    assert seen.routed_intent == good
    assert (await world.cluster.live(ref)).intent == good  # type: ignore[union-attr]
    fixed = await world.publish(ref, hello("two"))
    await world.until_live(ref, fixed)


async def test_going_back_to_what_still_serves_starts_nothing(world: World, ref: AppRef) -> None:
    good = await world.publish(ref, hello("one"))
    serving = (await world.until_live(ref, good)).pods[0].name
    await world.publish(ref, BROKEN)
    await world.until(ref, lambda o: len(o.pods) == 2)
    await world.publish(ref, hello("one"))
    seen = await world.until_live(ref, good)
    assert seen.pods[0].name == serving


async def test_a_change_outside_the_pod_template_restarts_nothing(
    world: World, ref: AppRef
) -> None:
    intent = await world.publish(ref, hello("one"))
    serving = (await world.until_live(ref, intent)).pods[0].name
    await world.publish(ref, hello("one"), extra={"README.md": b"kept by nobody"})
    head = (await world.repo.heads())[f"flux/{_shard(ref)}"]
    seen = await world.until(ref, lambda o: o.shard.applied == head)
    assert [pod.name for pod in seen.pods] == [serving]


async def test_a_hibernated_app_has_neither_process_nor_route(world: World, ref: AppRef) -> None:
    await world.until_live(ref, await world.publish(ref, hello("one")))
    await world.publish(ref, hello("one"), running=False)
    seen = await world.until(ref, lambda o: o.workload and not o.workload.replicas and not o.pods)
    assert seen.routed_intent is None
    assert (await world.get(ref)).status_code == NO_APP
    await world.until_live(ref, await world.publish(ref, hello("one")))


async def test_a_deleted_app_is_gone_and_may_come_again(world: World, ref: AppRef) -> None:
    await world.until_live(ref, await world.publish(ref, hello("one")))
    await world.commit(ref.user_id, {f"{ref.user_id}/{ref.app_id}": None})
    await world.until(ref, lambda o: o.workload is None and not o.pods and _done(o))
    assert (await world.get(ref)).status_code == NO_APP
    assert not (world.run_folder(ref)).exists()
    await world.until_live(ref, await world.publish(ref, hello("two")))
    assert (await world.get(ref)).json() == {"version": "two"}


async def test_an_app_that_does_not_build_holds_up_nobody(world: World, ref: AppRef) -> None:
    other = AppRef(ref.user_id, "other")
    bad, bad_intent = folder(ref, hello("one"), extra={"generated/service.yaml": b"kind: {"})
    good, intent = folder(other, hello("two"))
    edits = {f"{ref.user_id}/{ref.app_id}": Folder(bad), f"{ref.user_id}/other": Folder(good)}
    commit = await world.commit(ref.user_id, edits)
    await world.until_live(other, intent)
    seen = await world.until(ref, lambda o: o.shard.apply_error)
    assert seen.shard.apply_error is not None
    assert "generated/service.yaml" in seen.shard.apply_error
    mine = replace(INTENT, digest=bad_intent, app_id=ref.app_id)
    shown = progress(mine, Reached(fetched=True, attempted=True), seen, INTENT.committed_at)
    assert shown.error is not None
    assert shown.error.message.startswith("The cluster refused the app: ")
    assert (seen.shard.attempted, seen.shard.applied == commit) == (commit, False)
    assert (await world.cluster.observe(other)).shard.apply_error is None
    shard = await world.cluster.shard(_shard(ref))
    assert shard.attempted == commit != shard.applied
    assert shard.apply_error == seen.shard.apply_error
    elsewhere = "00" if _shard(ref) != "00" else "01"
    untouched = await world.cluster.shard(elsewhere)
    assert untouched.applied == untouched.fetched != commit
    assert untouched.apply_error is None


async def test_only_the_newest_of_quick_changes_is_left(world: World, ref: AppRef) -> None:
    for number in range(5):
        intent = await world.publish(ref, hello(str(number)))
    seen = await world.until_live(ref, intent)
    assert (await world.get(ref)).json() == {"version": "4"}
    live = await world.cluster.live(ref)
    assert isinstance(live, LiveVersion)
    assert live.intent == intent == seen.pods[0].intent
    assert live.config_map.startswith(f"{ref.app_id}-code-")


def _done(seen: Observation) -> bool:
    return seen.shard.applied == seen.shard.fetched


def _shard(ref: AppRef) -> str:
    return shard_of(ref.user_id, 2)
