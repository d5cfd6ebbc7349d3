"""One writer: changes that arrive while a push is under way share the next one.

Every change becomes a commit of its own on `main`; every shard that it touches gets one publish
commit; all of them travel in one push. A change is answered when its commit is durable upstream.
A lost race replays the changes on the new tip: never rebased, never forced. What the other side
refuses is split until the culprit is alone.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from api.clients.git_upstream import Move, Result, Upstream
from api.clients.gitops_repo import Change, GitopsRepo, Overtaken
from api.domain.repo_layout import MAIN
from api.errors import PlatformError, RepositoryUnavailable

_log = logging.getLogger(__name__)
#: A lost race is replayed this often before those who wait hear of it.
_MAX_REPLAYS: Final = 50
#: Seconds after which those who wait hear that nothing could be saved.
_PATIENCE: Final = 45.0
#: Largest batch: bounds the size of a push and how long its members wait for each other.
_MAX_BATCH: Final = 256
#: Shards published in one push for nobody who waits (mass changes, other hands).
_BACKGROUND_SHARDS: Final = 8

_STOPPING: Final = RepositoryUnavailable("The platform is stopping; nothing was saved.")


class Refused(RepositoryUnavailable):
    """The host of the repository does not take this commit; the message holds its words."""

    code = "refused_by_host"
    hint = "Nothing was saved. Change what the message names and try again."


class ShardPublisher(Protocol):
    """Makes the publish commit of a shard; `api.publishing.Publisher` is the one there is."""

    async def compose(self, shard: str, main: str) -> Move | None:
        """The move of the shard's branch for what `main` says; None when nothing is to be done."""

    async def published(self, shards: Collection[str]) -> None:
        """These branches moved."""

    async def not_published(self, shards: Collection[str], words: str) -> None:
        """The other side refuses these branches, in its own words."""


@dataclass
class _Wish:
    """A change that somebody waits for, and the shard that it touches."""

    change: Change
    shard: str | None
    answer: asyncio.Future[str] = field(repr=False)


@dataclass(frozen=True)
class _Plan:
    """One push: what each wish became, and the branches that move."""

    commits: Sequence[str | Overtaken]
    moves: Sequence[Move]

    @property
    def shards(self) -> list[Move]:
        """The moves of shard branches."""
        return [move for move in self.moves if move.branch != MAIN]


class Writer:
    """Started with `running`; its methods may be called by many at once."""

    def __init__(self, repo: GitopsRepo, upstream: Upstream, *, min_interval: float = 0.0) -> None:
        self._repo = repo
        self._upstream = upstream
        self._min_interval = min_interval
        self._pushed_at = -min_interval
        self._wishes: deque[_Wish] = deque()
        self._background: dict[str, asyncio.Future[None]] = {}
        self._wake = asyncio.Event()
        self.publisher: ShardPublisher | None = None  # None: the next look publishes

    @asynccontextmanager
    async def running(self, publisher: ShardPublisher | None = None) -> AsyncIterator[None]:
        """Write while the context lasts; without a publisher only `main` is written."""
        self.publisher = publisher
        task = asyncio.create_task(self._run(), name="writer")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            self._fail_rest()

    async def write(self, change: Change, shard: str | None = None) -> str:
        """Commit a change on `main` and publish its shard; the commit, once it is durable.

        Raises Overtaken when what it expects is not there, Refused with the host's words, or
        RepositoryUnavailable: then it was not saved as far as is known, and may be sent again.
        """
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._wishes.append(_Wish(change, shard, answer))
        self._wake.set()
        return await answer

    async def publish(self, shard: str) -> None:
        """Bring a shard in step with `main`, after those who wait; returns when it was tried."""
        waiting = self._background.get(shard)
        if waiting is None:
            waiting = asyncio.get_running_loop().create_future()
            self._background[shard] = waiting
            self._wake.set()
        await asyncio.shield(waiting)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._pushed_at + self._min_interval - time.monotonic())
            self._wake.clear()
            wishes = [self._wishes.popleft() for _ in range(min(_MAX_BATCH, len(self._wishes)))]
            shards = dict(list(self._background.items())[:_BACKGROUND_SHARDS])
            for shard in shards:
                del self._background[shard]
            if self._wishes or self._background:
                self._wake.set()
            try:
                await self._settle([wish for wish in wishes if not wish.answer.done()], shards)
            finally:
                _fail(wishes, _STOPPING)  # nobody is left waiting when the platform stops
                for waiting in shards.values():
                    waiting.set_result(None)

    async def _settle(self, wishes: list[_Wish], shards: Collection[str]) -> None:
        """See a batch through; every wish is answered, one way or the other."""
        try:
            await self._push(wishes, shards)
        except PlatformError as error:
            _log.warning("%d changes were not saved: %s", len(wishes), error.message)
            _fail(wishes, error)
        except Exception:  # noqa: BLE001  (see below)
            # Whatever it is, nobody may wait for ever; it is reported here and to each of them.
            _log.exception("%d changes were not saved", len(wishes))
            _fail(wishes, RepositoryUnavailable("The change could not be written."))

    async def _push(self, wishes: list[_Wish], shards: Collection[str]) -> None:
        deadline = time.monotonic() + _PATIENCE
        trouble: PlatformError | None = None
        for attempt in range(_MAX_REPLAYS):
            plan = await self._plan(wishes, shards)
            if not plan.moves:
                return _answer(wishes, plan)
            self._pushed_at = time.monotonic()
            try:
                result = await self._upstream.push(plan.moves)
            except RepositoryUnavailable as error:
                trouble = error
            else:
                if result.of("refused"):
                    return await self._split(wishes, shards, plan, result)
                if result.moved or result.fates.get(MAIN) == "moved":
                    return await self._done(wishes, plan, result)
                trouble = None
            if time.monotonic() > deadline:
                break
            # Jittered, so that replicas which met once do not meet for ever.
            await asyncio.sleep(random.uniform(0, min(1.0, 0.005 * 2**attempt)))  # noqa: S311
            try:
                await self._upstream.refresh()
            except RepositoryUnavailable as error:
                trouble = error
        raise trouble or RepositoryUnavailable(
            "The repository moved all the time; nothing was saved."
        )

    async def _plan(self, wishes: Sequence[_Wish], shards: Collection[str]) -> _Plan:
        main = await self._repo.head(MAIN)
        if main is None:
            raise RepositoryUnavailable("The repository has no branch main.")
        commits = await self._repo.build(main, [wish.change for wish in wishes])
        tip = next((c for c in reversed(commits) if isinstance(c, str)), main)
        moves = [Move(MAIN, main, tip)] if tip != main else []
        pairs = zip(wishes, commits, strict=True)
        touched = {w.shard for w, c in pairs if isinstance(c, str) and w.shard is not None}
        for shard in sorted({*touched, *shards}):
            move = await self._composed(shard, tip)
            if move is not None:
                moves.append(move)
        return _Plan(commits, moves)

    async def _composed(self, shard: str, tip: str) -> Move | None:
        """A shard that cannot be composed now is repaired by the next look; changes go ahead."""
        if self.publisher is None:
            return None
        try:
            return await self.publisher.compose(shard, tip)
        except PlatformError as error:
            _log.error("shard %s was not published: %s", shard, error.message)
            return None

    async def _done(self, wishes: Sequence[_Wish], plan: _Plan, result: Result) -> None:
        _answer(wishes, plan)
        moved = [m.branch for m in plan.shards if result.fates[m.branch] == "moved"]
        if self.publisher and moved:
            await self.publisher.published([_shard(branch) for branch in moved])
        for move in plan.shards:
            if result.fates[move.branch] != "moved":
                self._again(_shard(move.branch))

    def _again(self, shard: str) -> None:
        """Publish in the background what did not get through with its change."""
        if shard not in self._background:
            self._background[shard] = asyncio.get_running_loop().create_future()
            self._wake.set()

    async def _split(
        self, wishes: list[_Wish], shards: Collection[str], plan: _Plan, result: Result
    ) -> None:
        """Find out what is refused: the shard branches, or which of the changes."""
        if len(plan.moves) > 1 and plan.moves[0].branch == MAIN:
            alone = await self._upstream.push(plan.moves[:1])
            if alone.moved:
                await self._refused_shards(plan.shards, result.words)
                return _answer(wishes, plan)
            if not alone.of("refused"):
                await self._upstream.refresh()
                return await self._push(wishes, shards)
            result = alone
        if not wishes or plan.moves[0].branch != MAIN:
            await self._refused_shards(plan.shards, result.words)
            return _answer(wishes, plan)
        if len(wishes) == 1:
            _fail(wishes, Refused(f"The host of the repository refused it: {result.words}"))
            return None
        middle = len(wishes) // 2
        await self._settle(wishes[:middle], shards)
        await self._settle(wishes[middle:], ())
        return None

    async def _refused_shards(self, moves: Sequence[Move], words: str) -> None:
        shards = [_shard(move.branch) for move in moves]
        _log.error("ALARM: the host refuses the branches of shards %s: %s", shards, words)
        if self.publisher:
            await self.publisher.not_published(shards, words)

    def _fail_rest(self) -> None:
        _fail(list(self._wishes), _STOPPING)
        self._wishes.clear()
        for waiting in self._background.values():
            waiting.cancel()
        self._background.clear()


def _shard(branch: str) -> str:
    return branch.rpartition("/")[2]


def _answer(wishes: Sequence[_Wish], plan: _Plan) -> None:
    for wish, commit in zip(wishes, plan.commits, strict=True):
        if wish.answer.done():
            continue
        if isinstance(commit, Overtaken):
            wish.answer.set_exception(commit)
        else:
            wish.answer.set_result(commit)


def _fail(wishes: Sequence[_Wish], error: PlatformError) -> None:
    for wish in wishes:
        if not wish.answer.done():
            wish.answer.set_exception(error)
