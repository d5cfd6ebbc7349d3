"""What another replica saved a moment ago, for who asks this one before its next look.

Replicas learn of each other's commits every GIT_POLL_SECONDS. A client that was answered by one
and asks the other must not hear that its app does not exist: on a miss the repository is asked
once, by all who miss at the same time together.
"""

import asyncio
from typing import Final

from api.clients.git_upstream import Upstream
from api.errors import RepositoryUnavailable

#: Seconds between two such fetches: who asks for what is nowhere costs a git host no more.
_PAUSE: Final = 1.0
#: Seconds that an answer may wait for this, a push that is under way included.
_PATIENCE: Final = 10.0


class CatchingUp:
    """Fetches on demand."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._next: asyncio.Task[None] | None = None  # it has not begun to fetch
        self._not_before = 0.0

    async def once(self) -> None:
        """Return when a fetch has ended that began after this call; raises RepositoryUnavailable.

        Whoever is away before it ends leaves it to the others.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._fetch())
            # Where nobody waits any more, the watcher tells of the same trouble.
            self._next.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            async with asyncio.timeout(_PATIENCE):
                await asyncio.shield(self._next)
        except TimeoutError:
            raise RepositoryUnavailable(
                "It is not here, and whether another replica has it could not be asked in time."
            ) from None

    async def _fetch(self) -> None:
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(self._not_before - clock())
        self._not_before = clock() + _PAUSE
        self._next = None
        await self._upstream.refresh()
