"""Hostile pull requests that somebody merged all the same: none reaches a shard's branch."""

import asyncio
import subprocess
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from api.domain.names import AppRef, shard_of
from tests.guarding.changes import HELLO, app_files, folder
from tests.guarding.hostile import HOSTILE, author, everybody
from tests.guarding.pull_requests import VICTIM, PullRequest
from tests.history.people import Repository
from tests.publishing.stack import Stack

NEWER = HELLO + b"# newer\n"
#: What goes live as merged touches somebody else's app; those are not looked at for standing still.
MERGED: Mapping[str, PullRequest] = {
    name: hostile for name, hostile in HOSTILE.items() if hostile.merged != "goes live"
}


def neighbour(ref: AppRef) -> AppRef:
    """Somebody who did nothing, in the same shard."""
    shard = shard_of(ref.user_id, 2)
    found = next(f"n{number}" for number in count() if shard_of(f"n{number}", 2) == shard)
    return AppRef(found, f"of-{found}")


async def published(stack: Stack, ref: AppRef) -> str | None:
    """Object id of the app's folder on the branch of its shard."""
    entry = await stack.repo.entry(await stack.tip(ref), f"{ref.user_id}/{ref.app_id}")
    return entry and entry.id


async def test_no_merged_one_reaches_a_shard_and_everybody_else_goes_on(odd_stack, tmp_path):
    stack = odd_stack
    refs = {name: author(name) for name in MERGED}
    neighbours = {neighbour(ref) for ref in refs.values()}
    start = everybody()
    for ref in neighbours:
        start |= app_files(ref)
    await stack.by_hand(start)
    await stack.look()
    before = {name: await published(stack, ref) for name, ref in refs.items()}
    theirs = await published(stack, VICTIM)
    assert all(before.values())
    repository = Repository(stack.repo.path)
    for name, hostile in MERGED.items():
        await asyncio.to_thread(hostile.make, repository, refs[name])
    await stack.look()
    outcomes = {name: await outcome(stack, ref, before[name]) for name, ref in refs.items()}
    assert outcomes == {name: hostile.merged for name, hostile in MERGED.items()}
    assert await published(stack, VICTIM) == theirs
    assert await git_accepts(stack, tmp_path / "copy.git")
    await stack.by_hand({f"{folder(ref)}/code/user_code.py": NEWER for ref in neighbours})
    await stack.look()
    for ref in neighbours:
        assert (await stack.published(ref))["code/user_code.py"] == NEWER, ref
        assert stack.hold(ref) is None


async def outcome(stack: Stack, ref: AppRef, before: str | None) -> str:
    now = await published(stack, ref)
    if now is None:
        return "withdrawn"
    if now != before:
        return "goes live"
    holds = stack.publisher.holds(shard_of(ref.user_id, 2))
    return "held" if any(held.user_id == ref.user_id for held in holds) else "left out"


async def git_accepts(stack: Stack, there: Path) -> bool:
    """Whether git itself takes every shard's branch, looking at each object."""

    def fetch() -> bool:
        subprocess.run(["git", "init", "-q", "--bare", there], check=True)
        command = ["git", "-C", there, "-c", "fetch.fsckObjects=true", "fetch", "-q"]
        done = subprocess.run(
            [*command, stack.repo.path, "refs/heads/flux/*:refs/heads/*"], check=False
        )
        return done.returncode == 0

    return await asyncio.to_thread(fetch)
