"""One writer: changes that arrive while a push is under way share the next one.

Every change becomes a commit of its own on `main`; every shard that it touches gets one publish
commit; all of them travel in one push (`api/pushing.py`). A change is answered when its commit is
durable upstream.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from api.clients.git_upstream import Upstream
from api.clients.gitops_repo import Change, GitopsRepo
from api.domain.commit_message import COMMITTER
from api.errors import OutcomeUnknown, PlatformError, RepositoryUnavailable
from api.pushing import Pusher, Refused, ShardPublisher, Wish

__all__ = ["Refused", "ShardPublisher", "Writer"]

#: Largest batch: bounds the size of a push and how long its members wait for each other.
_MAX_BATCH: Final = 256
#: Shards published in one push for nobody who waits (mass changes, other hands) …
_BACKGROUND_SHARDS: Final = 8
#: … and how many ride along when somebody waits, so that they get through on a busy day too.
_RIDING_ALONG: Final = 1
_NOTHING: Final = Change({}, "", COMMITTER)
#: Seconds that a push under way is given to end when the platform stops.
_GRACE: Final = 5.0


class Writer:
    """Started with `running`; its methods may be called by many at once."""

    def __init__(self, repo: GitopsRepo, upstream: Upstream, *, min_interval: float = 0.0) -> None:
        self._upstream = upstream
        self._pusher = Pusher(repo, upstream, self._in_background, min_interval)
        self._wishes: deque[Wish] = deque()
        self._pusher.is_awaited = lambda: bool(self._wishes)
        self._background: dict[str, asyncio.Future[None]] = {}
        self._wake = asyncio.Event()
        self._runs = False

    @property
    def publisher(self) -> ShardPublisher | None:
        """Makes the publish commits; None: the next look publishes."""
        return self._pusher.publisher

    @publisher.setter
    def publisher(self, publisher: ShardPublisher | None) -> None:
        self._pusher.publisher = publisher

    @property
    def waiting_changes(self) -> int:
        """Changes that wait for the next push."""
        return len(self._wishes)

    @property
    def waiting_shards(self) -> int:
        """Shards that wait to be published for nobody who waits."""
        return len(self._background)

    @asynccontextmanager
    async def running(self, publisher: ShardPublisher | None = None) -> AsyncIterator[None]:
        """Write while the context lasts; without a publisher only `main` is written."""
        self._runs = True
        self.publisher = publisher
        task = asyncio.create_task(self._run(), name="writer")
        try:
            yield
        finally:
            self._runs = False
            self._wake.set()
            self._fail_waiting(_stopping())
            await asyncio.wait({task}, timeout=_GRACE)
            task.cancel()
            await asyncio.wait({task})

    async def write(self, change: Change, shard: str | None = None) -> str:
        """Commit a change on `main` and publish its shard; the commit, once it is durable.

        Raises Overtaken when what it expects is not there, Refused with the host's words,
        OutcomeUnknown when it was cut off, or RepositoryUnavailable: then it was not saved. It may
        be sent again.
        """
        if not self._runs:
            raise _stopping()
        wish = Wish(change, shard, asyncio.get_running_loop().create_future())
        self._wishes.append(wish)
        self._wake.set()
        return await wish.answer

    async def write_renewed(self, renewed: Callable[[], Awaitable[Change]]) -> str | None:
        """Commit what `renewed` makes, which is asked whenever it is about to be tried.

        None when it wanted nothing any more. For mass changes: no shard is published with it, the
        next look does that in the background. Raises as `write` does, and whatever PlatformError
        `renewed` raises.
        """
        if not self._runs:
            raise _stopping()
        made: list[Change] = []

        async def make() -> Change:
            made.append(await renewed())
            return made[-1]

        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._wishes.append(Wish(_NOTHING, None, answer, make))
        self._wake.set()
        commit = await answer
        return commit if made[-1].edits else None

    async def publish(self, shard: str) -> None:
        """Bring a shard in step with `main`, after those who wait; returns when it was tried."""
        if not self._runs:
            raise _stopping()
        await asyncio.shield(self._in_background(shard))

    def _in_background(self, shard: str) -> asyncio.Future[None]:
        waiting = self._background.get(shard)
        if waiting is None:
            waiting = self._background[shard] = asyncio.get_running_loop().create_future()
            self._wake.set()
        return waiting

    async def _run(self) -> None:
        while self._runs:
            await self._wake.wait()
            await self._pusher.spaced()  # whoever arrives meanwhile comes along
            self._wake.clear()
            wishes = [self._wishes.popleft() for _ in range(min(_MAX_BATCH, len(self._wishes)))]
            count = _RIDING_ALONG if wishes else _BACKGROUND_SHARDS
            shards = {shard: self._background.pop(shard) for shard in [*self._background][:count]}
            if self._wishes or self._background:
                self._wake.set()
            await self._settle(wishes, shards)

    async def _settle(
        self, wishes: Sequence[Wish], shards: dict[str, asyncio.Future[None]]
    ) -> None:
        try:
            usable = await self._pusher.settle(wishes, shards)
            if not usable and self._upstream.problem:
                # Those who queued behind would wait as long once more, and hear the same.
                self._fail_waiting(RepositoryUnavailable(self._upstream.problem))
        finally:
            for wish in wishes:  # nobody is left waiting when the platform stops
                wish.failed(OutcomeUnknown("The platform is stopping."))
            for waiting in shards.values():
                waiting.set_result(None)

    def _fail_waiting(self, error: PlatformError) -> None:
        while self._wishes:
            self._wishes.popleft().failed(error)
        if not self._runs:
            for waiting in self._background.values():
                waiting.set_result(None)
            self._background.clear()


def _stopping() -> RepositoryUnavailable:
    return RepositoryUnavailable("The platform is stopping; nothing was saved.")
