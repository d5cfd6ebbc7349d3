"""Objects of a batch are kept together until a push needs them, and stored as one pack."""

import asyncio
import subprocess
from pathlib import Path

import pygit2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pygit2.enums import FileMode

from api.clients import gitops_repo
from api.clients.git_gathering import Objects, open_gathering, store
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


@given(content=st.binary(max_size=5000), entries=st.integers(1, 700))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_git_and_libgit2_read_back_whatever_is_stored_loose(tmp_path, content, entries):
    path = tmp_path / "loose.git"
    repository = pygit2.init_repository(path, bare=True)
    gathered: Objects = {}
    gathering = open_gathering(path, gathered)
    blob = gathering.create_blob(content)
    builder = gathering.TreeBuilder()
    for number in range(entries):
        builder.insert(f"{number}.py", blob, FileMode.BLOB)
    tree = builder.write()
    store(path, gathered)
    store(path, gathered)  # racing replicas write the same object
    assert repository[blob].data == content
    assert len(repository[tree]) == entries
    assert not list(path.glob("objects/*/tmp_obj_*"))
    assert git(path, "fsck", "--full", "--strict", "--no-dangling", str(tree)) == ""
