"""Packing beside a writer at work, with git itself as the judge."""

import asyncio
import os
import subprocess
import time
from pathlib import Path

import pytest

from api.clients import gitops_repo
from api.clients.git_maintenance import Housekeeping, clear_stale_locks
from api.clients.git_upstream import LocalUpstream
from api.clients.gitops_repo import Change, GitopsRepo
from api.domain.commit_message import person
from api.writer import Writer

BOB = person("bob", "u1")


def git(path: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", path, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def counted(path: Path) -> dict[str, int]:
    lines = git(path, "count-objects", "-v").splitlines()
    return {name: int(count) for name, count in (line.split(": ") for line in lines)}


def change(number: int) -> Change:
    edits = {f"apps/{number % 7}/u/a{n}.py": b"%d %d" % (number, n) for n in range(8)}
    return Change(edits, f"deploy {number}\n", BOB)


@pytest.fixture
async def repo(tmp_path):
    path = tmp_path / "repo.git"
    gitops_repo.create(path, {"x": b"1"}, {"flux/3f": {"README.md": b"hi\n"}})
    opened = GitopsRepo(path)
    yield opened
    await opened.close()
    assert git(path, "fsck", "--full", "--strict", "--no-dangling") == ""


async def test_writing_goes_on_while_it_packs(repo):
    writer, housekeeping = Writer(repo, LocalUpstream(repo.path)), Housekeeping(repo.path, 0)
    commits: list[str] = []
    done = asyncio.Event()

    async def write() -> None:
        for number in range(200):
            commit = await writer.write(change(number))
            commits.append(commit)
        done.set()

    async def read() -> None:
        while not done.is_set():
            written = len(commits)
            tip = await repo.head("main")
            assert await repo.files(tip)
            assert len(await repo.first_parents(tip)) > written

    async def pack() -> int:
        packed = 0
        while not done.is_set():
            packed += await housekeeping.tidy()
        return packed

    async with writer.running():
        _, _, packed = await asyncio.gather(write(), read(), pack())
    assert packed > 1
    assert await repo.head("main") == commits[-1]
    assert [c.id for c in (await repo.first_parents(commits[-1]))[1:]] == commits
    assert await housekeeping.tidy()
    counts = await asyncio.to_thread(counted, repo.path)
    assert counts["count"] == 0, "nothing is loose"
    assert counts["packs"] < 10
    assert counts["garbage"] == 0


async def test_a_commit_that_no_branch_names_yet_is_never_pruned(repo):
    tip = await repo.head("main")
    [built] = await repo.build(tip, [change(1)])
    for old in (repo.path / "objects").glob("??/*"):
        await asyncio.to_thread(os.utime, old, (0, 0))  # however long it takes to be pushed
    assert await Housekeeping(repo.path, 0).tidy()
    assert await Housekeeping(repo.path, 0).tidy()
    again = GitopsRepo(repo.path)
    assert len(await again.files(built)) == 9
    await again.close()


async def test_a_small_repository_is_left_alone(repo):
    assert not await Housekeeping(repo.path).tidy()


async def test_only_one_packs_at_a_time(repo):
    for number in range(20):
        [_] = await repo.build(await repo.head("main"), [change(number)])
    told = await asyncio.gather(*(Housekeeping(repo.path, 0).tidy() for _ in range(3)))
    assert sorted(told) == [False, False, True]


async def test_locks_and_pieces_of_the_dead_are_cleared(repo):
    lock = repo.path / "refs/heads/flux/3f.lock"
    fresh = repo.path / "refs/heads/main.lock"
    piece = repo.path / "objects/pack/tmp_pack_abc"
    for file in (lock, fresh, piece):
        file.touch()
    for file in (lock, piece):
        os.utime(file, (time.time() - 2 * 24 * 3600,) * 2)
    assert clear_stale_locks(repo.path) == [lock]
    await Housekeeping(repo.path).tidy()
    assert fresh.exists()
    assert not piece.exists()
    fresh.unlink()


async def test_many_branches_come_into_one_file(repo):
    tip = await repo.head("main")
    for number in range(300):
        git(repo.path, "update-ref", f"refs/heads/flux/{number:03x}", tip)
    before = await repo.heads()
    housekeeping = Housekeeping(repo.path)
    assert await housekeeping.tidy()
    assert not await housekeeping.tidy()
    assert await repo.heads() == before
    assert len((repo.path / "packed-refs").read_text().splitlines()) > 300
