"""Accidents are not published: they wait for somebody to look."""

import asyncio
import subprocess

import pytest

from api.domain.commit_message import COMMITTER, publish_message, trailers
from api.domain.manifests import RENDERER_VERSION
from api.domain.names import shard_of
from api.domain.publication import too_many_removals
from tests.publishing.stack import account, folder

BOB = account("ubob")
SHARD = shard_of("ubob", 2)


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


async def git(stack, *arguments: str) -> str:
    by = ["-c", "user.name=FastAPI Platform", "-c", f"user.email={COMMITTER.email}"]
    command = ["git", "-C", stack.repo.path, *by, *arguments]
    done = await asyncio.to_thread(
        subprocess.run, command, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


async def known_tenant(stack) -> None:
    """Leave tenant.yaml alone: without it everything of the tenant is held."""
    app = await stack.deploy(BOB, "Zero")
    await stack.deployments.delete(BOB, app.ref, "r")


async def rewind(stack, commits: int = 1) -> None:
    await git(stack, "update-ref", "refs/heads/main", f"main~{commits}")


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
    stack.publisher.accepted = main
    await stack.look()
    assert await stack.published(other.ref) == {}
    assert await stack.published(app.ref)
    message = (await stack.repo.info(await stack.tip(app.ref))).message
    assert trailers(message)["Accepted-Rewind"] == [main]
    assert stack.publisher.waiting(shard_of("ubob", 2)) is None


async def test_a_rewind_that_took_a_whole_shard_is_accepted_in_one_go(stack):
    await known_tenant(stack)
    apps = [await stack.deploy(BOB, f"App {n}") for n in range(3)]
    await rewind(stack, 3)
    await stack.look()
    assert "rewound" in stack.publisher.waiting(SHARD)
    stack.publisher.accepted = await stack.repo.head("main")
    await stack.look()
    assert not any([await stack.published(app.ref) for app in apps])
    assert stack.publisher.waiting(SHARD) is None


async def test_a_rewind_that_changes_nothing_in_a_shard_is_noted_so_that_deploys_go_on(stack):
    app = await stack.deploy(BOB)
    await stack.by_hand({"README.md": b"x"})
    await stack.deploy(BOB, "Two")
    saved = await stack.repo.head("main")
    files = await stack.repo.files(saved, folder(app.ref).rpartition("/")[0])
    await rewind(stack, 2)
    prefix = folder(app.ref).rpartition("/")[0]
    main = await stack.by_hand({f"{prefix}/{path}": data for path, data in files.items()})
    stack.publisher.accepted = main
    await stack.look()
    message = (await stack.repo.info(await stack.tip(app.ref))).message
    assert trailers(message)["Accepted-Rewind"] == [main]
    stack.publisher.accepted = None
    later = await stack.deploy(BOB, "Three")
    assert await stack.published(later.ref)


async def test_a_source_that_is_gone_from_the_repository_stops_nothing(stack):
    await known_tenant(stack)
    apps = [await stack.deploy(BOB, f"App {n}") for n in range(3)]
    tip = await stack.tip(apps[0].ref)
    gone = publish_message("publish it", "1" * 40, RENDERER_VERSION)
    lost = await git(stack, "commit-tree", f"{tip}^{{tree}}", "-p", tip, "-m", gone)
    await git(stack, "update-ref", f"refs/heads/flux/{SHARD}", lost)
    await rewind(stack, 3)
    await stack.look()
    assert "rewound" in stack.publisher.waiting(SHARD)
    stack.publisher.accepted = await stack.repo.head("main")
    await stack.look()
    assert stack.publisher.waiting(SHARD) is None
    assert not any([await stack.published(app.ref) for app in apps])


async def test_removals_by_hand_go_through_once_an_operator_has_looked_at_them(stack):
    before = await stack.repo.head("main")
    apps = [await stack.deploy(BOB, f"App {n}") for n in range(3)]
    main = await stack.by_hand({folder(app.ref): None for app in apps})
    await stack.look()
    assert f"--accept {main}" in stack.publisher.waiting(SHARD)
    stack.publisher.accepted = before  # they were not there either, but nobody had looked
    await stack.look()
    assert "vanished" in stack.publisher.waiting(SHARD)
    stack.publisher.accepted = main
    await stack.look()
    assert stack.publisher.waiting(SHARD) is None
    assert not any([await stack.published(app.ref) for app in apps])
