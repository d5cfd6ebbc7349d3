"""The writer, on real bare repositories, with git itself as the judge."""

import asyncio
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.clients import gitops_repo
from api.clients.git_trees import Folder, Same
from api.clients.git_upstream import LocalUpstream, Move
from api.clients.gitops_repo import Change, GitopsRepo, Overtaken
from api.domain.commit_message import Person, intent_message, person, publish_message
from api.domain.names import AppRef
from api.errors import RepositoryUnavailable
from api.writer import Writer

BOB = person("bob", "u1")
APP = "apps/3f/u1/a1"


@pytest.fixture
async def repo(tmp_path):
    path = tmp_path / "repo.git"
    gitops_repo.create(path, {"platform.yaml": b"x\n"}, {"flux/3f": {"README.md": b"hi\n"}})
    opened = GitopsRepo(path)
    yield opened
    await opened.close()
    assert git(path, "fsck", "--strict", "--no-dangling") == ""


@pytest.fixture
async def writer(repo):
    made = Writer(repo, LocalUpstream(repo.path))
    async with made.running():
        yield made


def git(path: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", path, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


def change(edits, *, message="deploy a1: My app\n", author=BOB, expect=None) -> Change:
    return Change(edits, message, author, expect or {})


async def test_a_change_becomes_one_commit_with_author_committer_and_trailers(repo, writer):
    message = intent_message("deploy", [AppRef("u1", "a1")], "My app", "r-1")
    commit = await writer.write(change({f"{APP}/code/x.py": b"1\n"}, message=message))

    shown = git(repo.path, "show", "-s", "--format=%an <%ae>|%cn|%s|%(trailers:only)", commit)
    assert shown.strip() == (
        "bob <u1@users.noreply.invalid>|FastAPI Platform|deploy a1: My app|"
        "App-Id: a1\nUser-Id: u1\nAction: deploy\nRequest-Id: r-1"
    )
    assert git(repo.path, "rev-parse", "main").strip() == commit
    assert git(repo.path, "show", f"main:{APP}/code/x.py") == "1\n"


async def test_nothing_is_committed_for_no_change(repo, writer):
    first = await writer.write(change({f"{APP}/app.yaml": b"y"}))
    assert await writer.write(change({f"{APP}/app.yaml": b"y"})) == first
    assert await writer.write(change({"apps/nothing/here": None})) == first


async def test_a_folder_replaces_what_stood_there(repo, writer):
    await writer.write(change({f"{APP}/code/old.py": b"", f"{APP}/app.yaml": b"y"}))
    replaced = Folder({"new.py": b"", "routers": Folder({"a.py": b"1"})})
    commit = await writer.write(change({f"{APP}/code": replaced}))
    assert await repo.files(commit, APP) == {
        "app.yaml": b"y",
        "code/new.py": b"",
        "code/routers/a.py": b"1",
    }


async def test_what_is_empty_leaves_no_folder_behind(repo, writer):
    await writer.write(change({f"{APP}/code/x.py": b""}))
    commit = await writer.write(change({APP: None}))
    assert await repo.children(commit, "apps") == {}


async def test_other_files_survive_untouched(repo, writer):
    await writer.write(change({"apps/3f/u2/b/app.yaml": b"theirs"}))
    commit = await writer.write(change({APP: Folder({"app.yaml": b"mine"})}))
    assert await repo.read(commit, "apps/3f/u2/b/app.yaml") == b"theirs"


async def test_a_change_that_expects_something_else_is_overtaken(repo, writer):
    await writer.write(change({f"{APP}/app.yaml": b"y"}))
    with pytest.raises(Overtaken, match=APP):
        await writer.write(change({f"{APP}/app.yaml": b"z"}, expect={APP: None}))


async def test_concurrent_writers_lose_no_commit(repo):
    repos = [GitopsRepo(repo.path) for _ in range(4)]
    async with AsyncExitStack() as stack:
        writers = [Writer(one, LocalUpstream(one.path)) for one in repos]
        for one in writers:
            await stack.enter_async_context(one.running())
        await asyncio.gather(
            *(
                writers[n % 4].write(change({f"apps/3f/u1/app{n}/app.yaml": b"%d" % n}))
                for n in range(40)
            )
        )
    for one in repos:
        await one.close()
    tip = await repo.head("main")
    assert len(await repo.children(tip, "apps/3f/u1")) == 40
    assert git(repo.path, "rev-list", "--count", "main").strip() == "41", "a commit for each"


async def test_a_push_by_a_person_and_the_writer_both_stay(repo, writer, tmp_path):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repo.path), str(clone))
    (clone / "note.txt").write_text("by hand")
    git(clone, "add", ".")
    identity = ("-c", "user.name=Eve", "-c", "user.email=eve@example.org")
    git(clone, *identity, "commit", "-qm", "Note")
    await asyncio.to_thread(git, clone, "push", "-q", "origin", "HEAD:main")
    commit = await writer.write(change({f"{APP}/app.yaml": b"y"}))
    assert await repo.read(commit, "note.txt") == b"by hand"
    assert (await repo.info((await repo.info(commit)).parent)).author == Person(
        "Eve", "eve@example.org"
    )


async def test_a_publish_commit_is_a_pure_function_of_parent_tree_and_source(
    repo, writer, tmp_path
):
    source = await writer.write(change({f"{APP}/code/x.py": b"1\n"}))
    code = await repo.entry(source, f"{APP}/code")
    tip = await repo.head("flux/3f")
    message = publish_message("publish a1", source, 1)
    twin = tmp_path / "twin.git"
    git(tmp_path, "clone", "-q", "--mirror", str(repo.path), str(twin))
    edits = {"u1/a1/code": Same(code.id, "folder"), "u1/a1/kustomization.yaml": b"k"}
    replica = GitopsRepo(twin)

    mine = await repo.compose(tip, edits, message)
    assert await replica.compose(tip, edits, message) == mine
    await replica.close()
    assert await repo.files(mine, "u1/a1") == {"code/x.py": b"1\n", "kustomization.yaml": b"k"}
    upstream = LocalUpstream(repo.path)
    assert (await upstream.push([Move("flux/3f", tip, mine)])).moved
    again = await upstream.push([Move("flux/3f", tip, mine)])
    assert again.fates == {"flux/3f": "stale"}


async def test_links_submodules_and_executables_are_told_apart(repo, writer, tmp_path):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repo.path), str(clone))
    folder = clone / APP / "code"
    folder.mkdir(parents=True)
    (folder / "plain.py").write_text("")
    (folder / "run.sh").write_text("")
    (folder / "run.sh").chmod(0o755)
    (folder / "link.py").symlink_to("/etc/passwd")
    git(clone, "add", ".")
    git(clone, "-c", "user.name=E", "-c", "user.email=e@example.org", "commit", "-qm", "x")
    await asyncio.to_thread(git, clone, "push", "-q", "origin", "HEAD:main")
    tip = await repo.head("main")
    assert (await repo.open_folder(tip, APP)).odd == ["code/link.py", "code/run.sh"]
    assert await repo.files(tip, APP) == {"code/plain.py": b""}


async def test_history_follows_the_branchs_own_line(repo, writer):
    first = await writer.write(change({f"{APP}/app.yaml": b"1"}))
    second = await writer.write(change({f"{APP}/app.yaml": b"2"}))
    assert [c.id for c in await repo.first_parents(second, first)] == [second]
    assert [c.id for c in await repo.first_parents(second)][1:] == [first, second]
    assert await repo.is_ancestor(first, second)
    assert not await repo.is_ancestor(second, first)


@pytest.mark.parametrize("commit", ["0" * 40, "nonsense", "", "abc", "main"])
async def test_what_is_no_commit_has_no_info(repo, writer, commit):
    assert await repo.info(commit) is None


async def test_a_missing_branch_is_a_clear_error(repo, writer):
    await asyncio.to_thread(git, repo.path, "update-ref", "-d", "refs/heads/main")
    with pytest.raises(RepositoryUnavailable, match="no branch main"):
        await writer.write(change({"x": b""}))


def test_creating_twice_overwrites_nothing(tmp_path):
    path = tmp_path / "r.git"
    assert gitops_repo.create(path, {"platform.yaml": b"x"}, {"flux/00": {"README.md": b"1"}})
    before = git(path, "rev-parse", "main", "flux/00")
    assert not gitops_repo.create(path, {"platform.yaml": b"y"}, {"flux/00": {"README.md": b"2"}})
    assert git(path, "rev-parse", "main", "flux/00") == before


_names = st.sampled_from(["a.py", "b.py", "c", "d"])
_paths = st.lists(_names, min_size=1, max_size=3).map("/".join)
_edits = st.dictionaries(_paths, st.one_of(st.none(), st.binary(max_size=3)), max_size=4)


def _conflicts(paths) -> bool:
    return any(a != b and b.startswith(f"{a}/") for a in paths for b in paths)


@settings(max_examples=60, deadline=None)
@given(st.lists(_edits.filter(lambda e: not _conflicts(e)), max_size=6))
def test_any_sequence_of_edits_gives_the_tree_of_a_simple_model(tmp_path_factory, batches):
    path = tmp_path_factory.mktemp("model") / "r.git"
    gitops_repo.create(path, {"keep": b"k"}, {})

    async def apply() -> tuple[dict[str, bytes], dict[str, bytes]]:
        repo, model = GitopsRepo(path), {"keep": b"k"}
        tip = await repo.head("main")
        for edits in batches:
            for edited, data in edits.items():
                parts = edited.split("/")
                above = {"/".join(parts[:n]) for n in range(1, len(parts))}
                model = {
                    p: d
                    for p, d in model.items()
                    if p != edited
                    and not p.startswith(f"{edited}/")
                    and not (p in above and data is not None)
                }
                if data is not None:
                    model[edited] = data
            [tip] = await repo.build(tip, [change(edits)])
        files = await repo.files(tip)
        await repo.close()
        return files, model

    found, expected = asyncio.run(apply())
    assert found == expected
