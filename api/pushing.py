"""Sees one batch of changes through: commits, publish commits, one push, and whatever comes of it.

A lost race replays the changes on the new tip: never rebased, never forced. A push that was cut
off may have landed all the same, so every commit that was ever sent is looked for on `main`
before its change is written again: a change ends in exactly one commit. What the other side
refuses is split until the culprit is alone.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from api.clients.git_upstream import Move, Result, Upstream
from api.clients.gitops_repo import Change, GitopsRepo, Overtaken
from api.domain.repo_layout import MAIN
from api.errors import OutcomeUnknown, PlatformError, RepositoryUnavailable

_log = logging.getLogger(__name__)
#: Seconds after which those who wait hear that the repository is away, …
_PATIENCE: Final = 20.0
#: … if it was away before they came, …
_IMPATIENCE: Final = 3.0
#: … and that others are always faster.
_RACING: Final = 45.0
_LONGEST_PAUSE: Final = 1.0
#: A shard that lost a race is published again at once this often, and later by a look.
_MAX_REPEATS: Final = 5


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

    async def not_published(self, shards: Collection[str], reason: str) -> None:
        """These branches could not be moved; a later look tries again."""


@dataclass(eq=False)
class Wish:
    """A change that somebody waits for, and the shard that it touches."""

    change: Change
    shard: str | None
    answer: asyncio.Future[str] = field(repr=False)
    #: Makes the change anew whenever it is about to be tried: what it rests on may have changed.
    renewed: Callable[[], Awaitable[Change]] | None = field(default=None, repr=False)
    #: What was sent for it so far: the tip of `main` that was tried, and its own commit below.
    sent: list[tuple[str, str]] = field(default_factory=list)

    async def renew(self) -> None:
        """Bring the change up to date; it fails alone when that cannot be done."""
        if self.renewed is not None and not self.answer.done():
            try:
                self.change = await self.renewed()
            except Exception as error:  # noqa: BLE001  (told to whoever asked, and to nobody else)
                self.failed(error)

    def saved(self, commit: str) -> None:
        """The commit is durable."""
        if not self.answer.done():
            self.answer.set_result(commit)

    def failed(self, error: Exception) -> None:
        """It was not saved, as far as `error` says."""
        if not self.answer.done():
            self.answer.set_exception(error)


@dataclass(frozen=True)
class _Plan:
    """One push: what each wish became, and the branches that move."""

    wishes: Sequence[Wish]
    commits: Sequence[str | Overtaken]
    main: Move | None
    shards: Sequence[Move]

    @property
    def moves(self) -> list[Move]:
        return [*([self.main] if self.main else []), *self.shards]

    def sent(self) -> None:
        """Note what is about to be sent: from now on it may land."""
        for wish, commit in zip(self.wishes, self.commits, strict=True):
            if self.main and isinstance(commit, str):
                wish.sent.append((self.main.new, commit))

    def answer(self) -> None:
        """Everybody's commit is durable, or was overtaken."""
        for wish, commit in zip(self.wishes, self.commits, strict=True):
            if isinstance(commit, Overtaken):
                wish.failed(commit)
            else:
                wish.saved(commit)


class Pusher:
    """Used by one batch at a time; `again` puts a shard back into the background."""

    def __init__(
        self,
        repo: GitopsRepo,
        upstream: Upstream,
        again: Callable[[str], object],
        min_interval: float,
    ) -> None:
        self._repo = repo
        self._upstream = upstream
        self.publisher: ShardPublisher | None = None
        #: Whether somebody waits for the next batch.
        self.is_awaited: Callable[[], bool] = lambda: False
        self._again = again
        self._min_interval = min_interval
        self._pushed_at = -min_interval
        self._repeats: Counter[str] = Counter()

    async def spaced(self) -> None:
        """Wait until the host may be pushed to again."""
        await asyncio.sleep(self._pushed_at + self._min_interval - time.monotonic())

    async def settle(self, wishes: Sequence[Wish], shards: Collection[str]) -> bool:
        """See a batch through; every wish is answered. Whether the repository could be used."""
        try:
            await self._push(wishes, shards)
        except PlatformError as error:
            if wishes:
                _log.warning("%d changes were not saved: %s", len(wishes), error.message)
            return await self._give_up(wishes, shards, error)
        except Exception:  # noqa: BLE001  (see below)
            # Whatever it is, nobody may wait for ever; it is reported here and to each of them.
            _log.exception("%d changes were not saved", len(wishes))
            unwritten = RepositoryUnavailable("The change could not be written.")
            await self._give_up(wishes, shards, unwritten)
        return True

    async def _give_up(
        self, wishes: Sequence[Wish], shards: Collection[str], error: PlatformError
    ) -> bool:
        for wish in wishes:
            wish.failed(error)
        await self._not_published(shards, error.message)
        return self._upstream.problem is None

    async def _push(self, wishes: Sequence[Wish], shards: Collection[str]) -> None:
        started, attempt = time.monotonic(), 0
        patience = _IMPATIENCE if self._upstream.problem else _PATIENCE
        trouble: RepositoryUnavailable | None = None
        unknown = False
        while True:
            await self.spaced()  # a change that is made anew here rests on what was just seen
            plan = await self._plan(wishes, shards)
            if plan.main is None:
                plan.answer()  # nothing is to be written: what they want is on main
                return await self._push_shards(plan.shards)
            try:
                result = await self._attempt(plan)
            except RepositoryUnavailable as error:
                trouble, unknown = error, unknown or isinstance(error, OutcomeUnknown)
            else:
                trouble = None
                if result.fates[MAIN] == "moved":
                    plan.answer()
                    return await self._follow_up(plan.shards, result)
                if result.fates[MAIN] == "refused":
                    return await self._halve(plan.wishes, shards, result.words)
            # Jittered, so that replicas which met once do not meet for ever.
            pause = min(_LONGEST_PAUSE, 0.01 * 2**attempt)
            await asyncio.sleep(random.uniform(0, pause))  # noqa: S311  (nothing to guess)
            attempt += 1
            try:
                await self._upstream.refresh()
            except RepositoryUnavailable as error:
                trouble = trouble or error
            else:
                await self._find_landed(plan.wishes)
            if time.monotonic() - started > (patience if trouble else _RACING):
                raise _told(trouble, unknown=unknown)

    async def _plan(self, wishes: Sequence[Wish], shards: Collection[str]) -> _Plan:
        for wish in wishes:
            await wish.renew()
        with self._repo.gathering():
            return await self._planned([w for w in wishes if not w.answer.done()], shards)

    async def _planned(self, wishes: Sequence[Wish], shards: Collection[str]) -> _Plan:
        main = await self._repo.head(MAIN)
        if main is None:
            raise RepositoryUnavailable("The repository has no branch main.")
        commits = await self._repo.build(main, [wish.change for wish in wishes])
        tip = next((c for c in reversed(commits) if isinstance(c, str)), main)
        pairs = zip(wishes, commits, strict=True)
        touched = {w.shard for w, c in pairs if isinstance(c, str) and w.shard is not None}
        moves = [await self._composed(shard, tip) for shard in sorted(touched)]
        for shard in sorted({*shards} - touched):
            if moves and not wishes and self.is_awaited():
                self._again(shard)  # a mass change gives way to whoever came meanwhile
            else:
                moves.append(await self._composed(shard, tip))
        forward = Move(MAIN, main, tip) if tip != main else None
        return _Plan(wishes, commits, forward, [move for move in moves if move])

    async def _composed(self, shard: str, tip: str) -> Move | None:
        """A shard that cannot be composed now is repaired by a later look; changes go ahead."""
        if self.publisher is None:
            return None
        try:
            return await self.publisher.compose(shard, tip)
        except PlatformError as error:
            await self.publisher.not_published([shard], error.message)
            return None
        except Exception:  # noqa: BLE001  (reported; nobody else's shard or change waits for it)
            _log.exception("shard %s could not be composed", shard)
            await self.publisher.not_published([shard], "it could not be composed; see the log")
            return None

    async def _attempt(self, plan: _Plan) -> Result:
        """Push everything, or `main` alone when shard branches may be what is refused."""
        plan.sent()
        result = await self._send(plan.moves)
        refused = set(result.of("refused"))
        if plan.main is None or result.fates[MAIN] == "moved" or not refused - {MAIN}:
            return result
        alone = await self._send([plan.main])
        return Result({**result.fates, **alone.fates}, alone.words or result.words)

    async def _send(self, moves: Sequence[Move]) -> Result:
        await self.spaced()
        await self._repo.store()
        self._pushed_at = time.monotonic()
        return await self._upstream.push(moves)

    async def _find_landed(self, wishes: Sequence[Wish]) -> None:
        """Answer those whose commit is on `main` after all."""
        main = await self._repo.head(MAIN)
        tips = {tip for wish in wishes for tip, _ in wish.sent}
        landed = {tip for tip in tips if main and await self._repo.is_ancestor(tip, main)}
        shards = set()
        for wish in wishes:
            for tip, commit in wish.sent:
                if tip in landed:
                    wish.saved(commit)
                    shards.add(wish.shard)
        if self.publisher and (published := sorted(filter(None, shards))):
            await self.publisher.published(published)
            for shard in published:
                self._again(shard)  # where not both could move at once, it may be missing

    async def _push_shards(self, moves: Sequence[Move]) -> None:
        """Shard branches that move without `main`."""
        if not moves:
            return
        try:
            result = await self._send(moves)
        except RepositoryUnavailable as error:
            await self._not_published(_shards(moves), error.message)
        else:
            await self._follow_up(moves, result)

    async def _follow_up(self, moves: Sequence[Move], result: Result) -> None:
        """What became of the shard branches once `main` is where it should be."""
        moved = _met(moves, result, "moved")
        refused = _met(moves, result, "refused")
        rest = [move for move in moves if move not in (*moved, *refused)]
        if self.publisher and moved:
            await self.publisher.published(_shards(moved))
        for shard in _shards(moved):
            del self._repeats[shard]
        if rest and result.words and not refused:
            await self._not_published(_shards(rest), result.words)
        elif rest:
            await self._repeat(_shards(rest))
        if len(refused) == 1:
            shard = _shards(refused)[0]
            _log.error("ALARM: the host refuses the branch of shard %s: %s", shard, result.words)
            reason = f"the host of the repository refuses it: {result.words}"
            await self._not_published([shard], reason)
        elif refused:
            middle = len(refused) // 2
            await self._push_shards(refused[:middle])
            await self._push_shards(refused[middle:])

    async def _repeat(self, shards: Sequence[str]) -> None:
        """Publish in the background what lost a race."""
        with suppress(RepositoryUnavailable):  # then what is known now is tried
            await self._upstream.refresh()
        for shard in shards:
            self._repeats[shard] += 1
            if self._repeats[shard] <= _MAX_REPEATS:
                self._again(shard)
            else:
                del self._repeats[shard]
                await self._not_published([shard], "its branch moves all the time")

    async def _not_published(self, shards: Collection[str], reason: str) -> None:
        if self.publisher and shards:
            await self.publisher.not_published(shards, reason)

    async def _halve(self, wishes: Sequence[Wish], shards: Collection[str], words: str) -> None:
        """Find out which of the changes is refused."""
        if len(wishes) == 1:
            wishes[0].failed(Refused(f"The host of the repository refused it: {words}"))
            return
        middle = len(wishes) // 2
        await self.settle(wishes[:middle], shards)
        await self.settle(wishes[middle:], ())


def _met(moves: Sequence[Move], result: Result, fate: str) -> list[Move]:
    return [move for move in moves if result.fates[move.branch] == fate]


def _shards(moves: Sequence[Move]) -> list[str]:
    return [move.branch.rpartition("/")[2] for move in moves]


def _told(trouble: RepositoryUnavailable | None, *, unknown: bool) -> RepositoryUnavailable:
    if unknown:
        reason = trouble.message if trouble else "The push was cut off."
        return trouble if isinstance(trouble, OutcomeUnknown) else OutcomeUnknown(reason)
    return trouble or RepositoryUnavailable("The repository moved all the time; nothing was saved.")
