"""Accidents are not published: they wait for somebody to look."""

import asyncio
import subprocess

import pytest

from api.domain.commit_message import trailers
from api.domain.names import shard_of
from api.domain.publication import too_many_removals
from tests.publishing.stack import account, folder

BOB = account("ubob")


@pytest.mark.parametrize(
    ("removed", "standing", "expected"),
    [(1, 1, False), (2, 2, True), (1, 2, False), (5, 6, False), (6, 7, True), (6, 30, False)],
)
def test_the_brake_bites_at_a_whole_shard_or_a_fifth_of_it(removed, standing, expected):
    assert too_many_removals(removed, standing) is expected


async def test_removals_by_hand_of_a_whole_shard_are_held_back_and_said(stack):
    apps = [await stack.deploy(BOB, f"App {n}") for n in range(3)]
    await stack.by_hand({folder(app.ref): None for app in apps})
    await stack.look()
    assert all([await stack.published(app.ref) for app in apps])
    assert "vanished" in stack.publisher.waiting(shard_of("ubob", 2))


async def test_removals_that_the_platform_announced_go_through(stack):
    apps = [await stack.deploy(BOB, f"App {n}") for n in range(3)]
    for app in apps:
        await stack.deployments.delete(BOB, app.ref, "r")
    assert not any([await stack.published(app.ref) for app in apps])
    assert stack.publisher.waiting(shard_of("ubob", 2)) is None


async def test_what_was_held_back_goes_on_serving_and_can_be_put_back(stack):
    apps = [await stack.deploy(BOB, f"App {n}") for n in range(2)]
    main = await stack.repo.head("main")
    files = {f"{folder(a.ref)}/{p}": d for a in apps
             for p, d in (await stack.repo.files(main, folder(a.ref))).items()}  # fmt: skip
    await stack.by_hand({folder(app.ref): None for app in apps})
    await stack.look()
    await stack.by_hand(files)
    await stack.look()
    assert stack.publisher.waiting(shard_of("ubob", 2)) is None


async def rewind(stack) -> None:
    command = ["git", "-C", stack.repo.path, "update-ref", "refs/heads/main", "main~1"]
    await asyncio.to_thread(subprocess.run, command, check=True)


async def test_after_a_rewind_deploys_are_saved_and_say_what_publishing_waits_for(stack):
    app = await stack.deploy(BOB)
    await rewind(stack)
    before = await stack.tip(app.ref)
    saved = await stack.deploy(BOB, "Two")
    assert await stack.intents.app(saved.ref)
    assert "--accept" in stack.publisher.waiting(shard_of("ubob", 2))
    assert await stack.tip(app.ref) == before


async def test_a_rewind_that_an_operator_accepted_is_published_and_says_so(stack):
    app = await stack.deploy(BOB)
    other = await stack.deploy(BOB, "Two")
    await rewind(stack)
    main = await stack.repo.head("main")
    stack.publisher.accepted_rewind = main
    await stack.look()
    assert await stack.published(other.ref) == {}
    assert await stack.published(app.ref)
    message = (await stack.repo.info(await stack.tip(app.ref))).message
    assert trailers(message)["Accepted-Rewind"] == [main]
    assert stack.publisher.waiting(shard_of("ubob", 2)) is None
