"""Group commit: who shares a push with whom, in which order, and who hears what."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from api import pushing
from api.clients import gitops_repo
from api.clients.git_upstream import LocalUpstream, Move, Result
from api.clients.gitops_repo import Change, GitopsRepo, Overtaken
from api.domain.commit_message import person, publish_message
from api.errors import OutcomeUnknown, RepositoryUnavailable
from api.writer import Refused, Writer

SHARDS = [f"{n:02x}" for n in range(20)]


class Gate(LocalUpstream):
    """The bare repository, counted, and held or refused at will."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.problem: str | None = None
        self.pushes: list[Sequence[Move]] = []
        self.at: list[float] = []
        self.open = asyncio.Event()
        self.open.set()
        self.refuses: Callable[[Move], bool] = lambda _: False
        self.trouble: list[RepositoryUnavailable] = []
        self.lands_all_the_same = False

    async def push(self, moves: Sequence[Move]) -> Result:
        self.pushes.append(moves)
        self.at.append(asyncio.get_running_loop().time())
        await self.open.wait()
        if any(self.refuses(move) for move in moves):
            return Result(dict.fromkeys((m.branch for m in moves), "refused"), "no, says the host")
        if self.trouble:
            if self.lands_all_the_same:
                await super().push(moves)
            raise self.trouble.pop()
        return await super().push(moves)


@dataclass
class Notes:
    """The least that a publisher is: notes which commit of `main` a shard has seen."""

    repo: GitopsRepo
    moved: list[str] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)

    async def compose(self, shard: str, main: str) -> Move | None:
        self.waiting.pop(shard, None)
        tip = await self.repo.head(f"flux/{shard}")
        assert tip
        if await self.repo.read(tip, "seen") == main.encode():
            return None
        message = publish_message("publish", main, 1)
        new = await self.repo.compose(tip, {"seen": main.encode()}, message)
        return Move(f"flux/{shard}", tip, new)

    async def published(self, shards: Collection[str]) -> None:
        self.moved.extend(shards)

    async def not_published(self, shards: Collection[str], reason: str) -> None:
        self.waiting |= dict.fromkeys(shards, reason)


@dataclass
class Setting:
    repo: GitopsRepo
    gate: Gate
    notes: Notes
    writer: Writer

    async def write(self, name: str, shard: str | None = None, **kwargs) -> str:
        change = Change({f"apps/{name}": name.encode()}, f"{name}\n", person("b", "u"), **kwargs)
        return await self.writer.write(change, shard)

    async def write_later(self, *names: str, shard: str | None = None) -> list[asyncio.Task[str]]:
        """Changes that are waiting when it returns."""
        tasks = [asyncio.create_task(self.write(name, shard)) for name in names]
        await asyncio.sleep(0)
        return tasks

    async def until_pushing(self, count: int) -> None:
        while len(self.gate.pushes) < count:  # noqa: ASYNC110  (the writer's own loop adds to it)
            await asyncio.sleep(0.001)

    async def subjects(self, branch: str = "main") -> list[str]:
        tip = await self.repo.head(branch)
        assert tip
        return [c.message.splitlines()[0] for c in (await self.repo.first_parents(tip))[1:]]


@pytest.fixture
async def opened(tmp_path) -> AsyncIterator[Callable[..., Setting]]:
    path = tmp_path / "repo.git"
    shards = {f"flux/{shard}": {"README.md": b"hi\n"} for shard in SHARDS}
    gitops_repo.create(path, {"platform.yaml": b"x\n"}, shards)
    repo = GitopsRepo(path)
    gate = Gate(path)

    def make(**options) -> Setting:
        return Setting(repo, gate, Notes(repo), Writer(repo, gate, **options))

    yield make
    await repo.close()
    done = await asyncio.to_thread(
        subprocess.run,
        ["git", "-C", path, "fsck", "--full", "--strict", "--no-dangling"],
        capture_output=True,
        check=True,
    )
    assert done.stdout == b""


@pytest.fixture
async def at(opened) -> AsyncIterator[Setting]:
    made = opened()
    async with made.writer.running(made.notes):
        yield made


async def test_changes_that_arrive_during_a_push_share_the_next_one(at):
    at.gate.open.clear()
    first = await at.write_later("first", shard="00")
    await at.until_pushing(1)
    rest = await at.write_later(*(f"n{n}" for n in range(30)), shard="01")
    at.gate.open.set()
    await asyncio.gather(*first, *rest)
    assert len(at.gate.pushes) == 2
    assert await at.subjects() == ["first", *(f"n{n}" for n in range(30))], "a commit for each"
    assert await at.subjects("flux/01") == ["publish"], "one for the shard"
    assert at.notes.moved == ["00", "01"]


async def test_an_idle_writer_pushes_at_once(at):
    await at.write("one")
    await at.write("two")
    assert len(at.gate.pushes) == 2


async def test_changes_of_one_app_keep_their_order(at):
    at.gate.open.clear()
    await at.write_later("x")
    await at.until_pushing(1)
    changes = [Change({"apps/a": b"%d" % n}, f"a{n}\n", person("b", "u")) for n in range(9)]
    tasks = [asyncio.create_task(at.writer.write(change, "00")) for change in changes]
    await asyncio.sleep(0)
    at.gate.open.set()
    commits = await asyncio.gather(*tasks)
    assert (await at.subjects())[1:] == [f"a{n}" for n in range(9)]
    assert [await at.repo.read(c, "apps/a") for c in commits] == [b"%d" % n for n in range(9)]


async def test_pushes_keep_their_distance_and_those_between_share_one(opened):
    at = opened(min_interval=0.2)
    async with at.writer.running(at.notes):
        await at.write("first")
        await asyncio.gather(*(at.write(f"n{n}") for n in range(10)))
    assert len(at.gate.pushes) == 2
    assert at.gate.at[1] - at.gate.at[0] >= 0.199


async def test_repeated_pushes_keep_their_distance_too(opened):
    at = opened(min_interval=0.2)
    at.gate.trouble = [RepositoryUnavailable("away")]
    async with at.writer.running(at.notes):
        await at.write("first")
    assert len(at.gate.pushes) == 2
    assert at.gate.at[1] - at.gate.at[0] >= 0.199


async def test_a_refusal_splits_until_the_culprit_is_alone(at):
    at.gate.open.clear()
    await at.write_later("x")
    await at.until_pushing(1)
    names = [f"n{n}" for n in range(8)]
    tasks = await at.write_later(*names, shard="00")

    def holds_n5(move: Move) -> bool:
        command = ["git", "-C", at.repo.path, "cat-file", "-e", f"{move.new}:apps/n5"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    at.gate.refuses = holds_n5
    at.gate.open.set()
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(told[5], Refused)
    assert "no, says the host" in told[5].message
    assert all(isinstance(commit, str) for n, commit in enumerate(told) if n != 5)
    assert await at.subjects() == ["x", *(name for name in names if name != "n5")]
    assert at.notes.waiting == {}


async def test_main_goes_through_when_only_shard_branches_are_refused(at):
    at.gate.refuses = lambda move: move.branch == "flux/01"
    commits = await asyncio.gather(*(at.write(f"s{n}", f"{n:02x}") for n in range(4)))
    await at.writer.publish("00")
    assert len(set(commits)) == 4
    assert "no, says the host" in at.notes.waiting["01"]
    assert at.notes.waiting.keys() == {"01"}, "the others are published"
    assert set(at.notes.moved) == {"00", "02", "03"}


async def test_what_was_cut_off_after_it_landed_is_written_once(at):
    at.gate.trouble = [OutcomeUnknown("cut off")]
    at.gate.lands_all_the_same = True
    commit = await at.write("once", "00")
    assert await at.subjects() == ["once"]
    assert await at.repo.head("main") == commit
    assert "00" in at.notes.moved


async def test_what_was_cut_off_before_it_landed_is_written_once(at):
    at.gate.trouble = [OutcomeUnknown("cut off")]
    await at.write("once", "00")
    assert await at.subjects() == ["once"]


async def test_nobody_waits_long_for_a_repository_that_is_away(at, monkeypatch):
    monkeypatch.setattr(pushing, "_PATIENCE", 0.05)
    at.gate.trouble = [RepositoryUnavailable("away, it seems")] * 1000
    at.gate.problem = None
    with pytest.raises(RepositoryUnavailable, match="away, it seems"):
        await at.write("one")
    at.gate.open.clear()
    first = await at.write_later("two")
    await at.until_pushing(len(at.gate.pushes) + 1)
    at.gate.problem = "away, it seems"
    behind = await at.write_later("three", "four")
    at.gate.open.set()
    told = await asyncio.gather(*first, *behind, return_exceptions=True)
    assert all(isinstance(error, RepositoryUnavailable) for error in told)
    at.gate.trouble, at.gate.problem = [], None
    await at.write("five")
    assert await at.subjects() == ["five"], "it recovers by itself"


async def test_an_unknown_outcome_is_said_to_be_unknown(at, monkeypatch):
    monkeypatch.setattr(pushing, "_PATIENCE", 0.0)
    at.gate.trouble = [OutcomeUnknown("cut off")]
    with pytest.raises(OutcomeUnknown):
        await at.write("one")


async def test_mass_changes_go_a_few_shards_at_a_time_and_people_first(at):
    at.gate.open.clear()
    await at.write_later("x")
    await at.until_pushing(1)
    looks = [asyncio.create_task(at.writer.publish(shard)) for shard in SHARDS]
    await asyncio.sleep(0)
    person = await at.write_later("person", shard="13")
    at.gate.open.set()
    await asyncio.gather(*looks, *person)
    sizes = [len(moves) for moves in at.gate.pushes[1:]]
    assert at.gate.pushes[1][0].branch == "main", "who waits comes first"
    assert sizes[0] <= 3, "main, the person's shard, and one that rides along"
    assert all(size <= 8 for size in sizes[1:])
    assert set(at.notes.moved) == set(SHARDS)


async def test_a_change_that_nobody_waits_for_any_more_harms_nobody(at):
    at.gate.open.clear()
    await at.write_later("x")
    await at.until_pushing(1)
    gone, stays = await at.write_later("gone", "stays")
    gone.cancel()
    await asyncio.sleep(0)
    at.gate.open.set()
    assert await stays == await at.repo.head("main")
    assert await at.subjects() == ["x", "stays"]


async def test_no_change_and_what_is_overtaken_are_answered_without_a_push(at):
    commit = await at.write("one")
    assert await at.write("one") == commit
    with pytest.raises(Overtaken):
        await at.write("two", expect={"apps/one": None})
    assert len(at.gate.pushes) == 1


async def test_nobody_is_left_waiting_when_the_platform_stops(opened, monkeypatch):
    monkeypatch.setattr("api.writer._GRACE", 0.01)
    at = opened()
    async with at.writer.running(at.notes):
        at.gate.open.clear()
        under_way = await at.write_later("one")
        await at.until_pushing(1)
        queued = await at.write_later("two")
        look = asyncio.create_task(at.writer.publish("00"))
        await asyncio.sleep(0)
    [one, two] = await asyncio.gather(*under_way, *queued, return_exceptions=True)
    assert isinstance(one, OutcomeUnknown)
    assert isinstance(two, RepositoryUnavailable)
    await asyncio.wait_for(look, 1)
    with pytest.raises(RepositoryUnavailable, match="stopping"):
        await at.write("three")


async def test_a_push_under_way_is_awaited_when_the_platform_stops(opened):
    at = opened()
    async with at.writer.running(at.notes):
        at.gate.open.clear()
        under_way = await at.write_later("one")
        await at.until_pushing(1)
        asyncio.get_running_loop().call_later(0.05, at.gate.open.set)
    assert await under_way[0] == await at.repo.head("main")
