"""The index says what git says: whatever was pushed by whom, and whenever somebody looked."""

import asyncio
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.clients import commit_index
from api.clients.commit_index import CommitIndex
from api.clients.gitops_repo import GitopsRepo
from api.clients.sqlite import SqliteDatabase
from api.domain.names import AppRef
from api.history import History
from tests.history.people import EVE, MALLORY, Repository
from tests.history.slow_walk import folder, walk
from tests.publishing.stack import folder as app_folder

APPS = [AppRef("ubob", "one"), AppRef("ubob", "two"), AppRef("ueve", "three")]
apps, words = st.sampled_from(APPS), st.sampled_from(["a", "b", ""])  # "": the app is deleted
#: How far back, in commits, something begins.
back = st.integers(0, 4)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("platform"), apps, words),
        st.tuples(st.just("person"), apps, words),
        st.tuples(st.just("stray"), apps, words),
        st.tuples(st.just("merge"), back, apps, words, st.sampled_from(["theirs", "ours", "both"])),
        st.tuples(st.just("pull"), back, apps, words),
        st.tuples(st.just("rewind"), back),
        st.tuples(st.just("look"), st.integers(0, 1)),
    ),
    max_size=12,
)


@dataclass
class World:
    """A repository, two replicas that look at it now and then, and what people do to it."""

    repository: Repository
    replicas: list[History]

    async def do(self, step: tuple) -> None:
        name, *rest = step
        await getattr(self, f"_{name}")(*rest)

    async def _platform(self, ref: AppRef, word: str) -> None:
        self.repository.platform(ref, _edits(ref, word))

    async def _person(self, ref: AppRef, word: str) -> None:
        self.repository.push(_edits(ref, word))

    async def _stray(self, ref: AppRef, word: str) -> None:
        self.repository.push({f"apps/00/{ref.user_id}/{ref.app_id}/code/x.py": word.encode()})

    async def _merge(self, how_far: int, ref: AppRef, word: str, kept: str) -> None:
        """A pull request that began some commits ago, merged by its forge."""
        main = self.repository.head()
        side = self.repository.commit([self._ago(how_far)], _edits(ref, word), author=MALLORY)
        taken = {"theirs": side, "ours": main, "both": main}[kept]
        edits = _edits(ref, "both") if kept == "both" else {}
        self.repository.move(self.repository.commit([main, side], edits, "Merge\n", base=taken))

    async def _pull(self, how_far: int, ref: AppRef, word: str) -> None:
        """Somebody merges main into their own work, and pushes that."""
        main = self.repository.head()
        own = self.repository.commit([self._ago(how_far)], _edits(ref, word), author=EVE)
        merged = self.repository.commit([own, main], _edits(ref, word), "Pull\n", base=main)
        self.repository.move(merged)

    async def _rewind(self, how_far: int) -> None:
        self.repository.move(self._ago(how_far))

    async def _look(self, which: int) -> None:
        await self.replicas[which].follow(self.repository.head())

    def _ago(self, how_far: int) -> str:
        line = walk(self.repository, self.repository.head()).line
        return line[max(0, len(line) - 1 - how_far)]


def _edits(ref: AppRef, word: str) -> dict[str, bytes | None]:
    path = app_folder(ref)
    return {f"{path}/code/x.py": word.encode()} if word else {path: None}


def dump(path: Path) -> dict[str, list[tuple]]:
    """Everything that an index holds."""
    with sqlite3.connect(path) as connection:
        tables = ("commits", "app_commits", "commit_parties")
        return {t: sorted(connection.execute(f"SELECT * FROM {t}")) for t in tables}  # noqa: S608


async def live_through(steps: list[tuple], template: Path, place: Path) -> None:
    shutil.copytree(template, place / "repo.git")
    repository = Repository(place / "repo.git")
    repo = GitopsRepo(place / "repo.git")
    files = [place / "one.sqlite3", place / "two.sqlite3"]
    async with (
        SqliteDatabase.open(files[0], commit_index.SCHEMA) as one,
        SqliteDatabase.open(files[1], commit_index.SCHEMA) as two,
    ):
        world = World(repository, [History(repo, CommitIndex(d)) for d in (one, two)])
        for step in steps:
            await world.do(step)
        for replica in world.replicas:
            await replica.follow(repository.head())
        await compare(repository, world.replicas[0], files[0])
        before = dump(files[0])
        assert dump(files[1]) == before
        assert await world.replicas[1].rebuild() == len(before["commits"])
        assert dump(files[1]) == before
    await repo.close()


async def test_what_is_committed_while_the_index_is_made_anew_is_in_it(template_repo, tmp_path):
    shutil.copytree(template_repo, tmp_path / "repo.git")
    repository, repo = Repository(tmp_path / "repo.git"), GitopsRepo(tmp_path / "repo.git")
    file = tmp_path / "index.sqlite3"
    async with SqliteDatabase.open(file, commit_index.SCHEMA) as database:
        server = History(repo, CommitIndex(database))

        class Overtaken(CommitIndex):
            async def swap(self) -> None:
                repository.push({"note.txt": b"meanwhile"})
                await server.follow(repository.head())
                await super().swap()

        repository.push({"note.txt": b"before"})
        await server.follow(repository.head())
        await History(repo, Overtaken(database)).rebuild()
        assert await server.head() == repository.head()
        await compare(repository, server, file)
    await repo.close()


async def compare(repository: Repository, history: History, file: Path) -> None:
    told = walk(repository, repository.head())
    held = dump(file)
    order = [row[1] for row in held["commits"]]
    assert [row[1] for row in held["commits"] if row[2]] == told.line
    assert sorted(order) == sorted(repository.git("rev-list", "main"))
    for tip, sides in told.brought.items():
        brought = order[order.index(tip) - len(sides) : order.index(tip)]
        assert sorted(brought) == sorted(sides)
    touches = {commit: set() for commit in order}
    for app_id, ordinal, user_id in held["app_commits"]:
        touches[order[ordinal - 1]].add(AppRef(user_id, app_id))
    assert touches == told.touches
    for ref in APPS:
        expected = [commit for commit in reversed(order) if ref in told.touches[commit]]
        assert [row.commit for row in await history.newest(ref, 100)] == expected
        newest = folder(repository, expected[0], ref) if expected else ""
        assert newest == folder(repository, "main", ref)


@settings(
    max_examples=20,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps)
def test_the_index_says_what_a_walk_of_git_says(template_repo, steps):
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(live_through(steps, template_repo, Path(place)))


@pytest.mark.parametrize("kept", ["theirs", "ours", "both"])
async def test_a_merge_is_an_entry_where_it_leaves_the_app_otherwise(kept, template_repo, tmp_path):
    steps = [
        ("platform", APPS[0], "a"),
        ("platform", APPS[0], "b"),
        ("merge", 1, APPS[0], "c", kept),
        ("look", 0),
        ("pull", 2, APPS[2], "a"),
    ]
    await live_through(steps, template_repo, tmp_path)
