"""Accidents are not published: they wait for somebody to look."""

import pytest

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
