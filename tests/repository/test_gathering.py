"""Objects of a batch are kept together until a push needs them, and stored as one pack."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from api.clients import gitops_repo
from api.clients.git_upstream import LocalUpstream, Move
from api.clients.gitops_repo import Change, GitopsRepo
from api.domain.commit_message import person


def git(path: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", path, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
async def repo(tmp_path):
    path = tmp_path / "repo.git"
    gitops_repo.create(path, {"x": b"1"}, {})
    opened = GitopsRepo(path)
    yield opened
    await opened.close()
    assert git(path, "fsck", "--full", "--strict", "--no-dangling") == ""


def changes(count: int) -> list[Change]:
    return [
        Change({f"apps/{n % 5}/u/a{n}.py": b"%d" % n}, f"deploy {n}\n", person("b", "u"))
        for n in range(count)
    ]


@pytest.mark.parametrize(("count", "packs"), [(3, 0), (100, 1)])
async def test_what_was_gathered_is_read_at_once_and_stored_once(repo, count, packs):
    tip = await repo.head("main")
    before = await asyncio.to_thread(git, repo.path, "count-objects", "-v")
    with repo.gathering():
        built = await repo.build(tip, changes(count))
        assert len(await repo.files(built[-1])) == count + 1
        # Several threads read, each with a repository of its own.
        infos = await asyncio.gather(*(repo.info(commit) for commit in built))
        assert [info.message for info in infos] == [f"deploy {n}\n" for n in range(count)]
    assert await asyncio.to_thread(git, repo.path, "count-objects", "-v") == before
    await repo.store()
    assert (await LocalUpstream(repo.path).push([Move("main", tip, built[-1])])).moved
    assert len(list((repo.path / "objects/pack").glob("*.pack"))) == packs
    assert await asyncio.to_thread(git, repo.path, "rev-list", "--count", "main") == str(count + 1)
    assert len(await repo.files(built[-1])) == count + 1


async def test_what_was_never_sent_is_forgotten(repo):
    tip = await repo.head("main")
    with repo.gathering():
        [built] = await repo.build(tip, changes(1))
    with repo.gathering():
        assert await repo.info(built) is None


async def test_a_preview_leaves_nothing_behind(repo):
    before = await asyncio.to_thread(git, repo.path, "count-objects", "-v")
    names = await repo.preview(await repo.head("main"), {"apps/a/b.py": b"new"}, "apps/a")
    assert names.keys() == {"b.py"}
    assert await asyncio.to_thread(git, repo.path, "count-objects", "-v") == before
