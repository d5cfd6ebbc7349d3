"""What only one process of the platform does at a time, replicas and operators' commands alike.

Whoever does it holds a lease in the database and renews it. A holder that dies is followed when
its lease has run out. A holder that cannot renew stops its own work well before that, by a clock
that nobody sets, so that clocks may differ by STOPS_BEFORE of a lease. A process that was frozen
stops when it wakes; the step in which it froze may still be finished beside the next holder, so
every step must be safe by itself, as a commit on a known tip is.
"""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from api.clients.store import Lease, Store
from api.errors import Conflict, DatabaseUnavailable, Unavailable

LEASE_SECONDS: Final = 60.0
#: The part of a lease that is left when its holder stops, having failed to renew it.
STOPS_BEFORE: Final = 1 / 6
#: A lease is renewed when this part of it is over, and after a failure sooner.
_RENEWED_AFTER: Final = 1 / 3
_TRIED_AGAIN_AFTER: Final = 1 / 30

_log = logging.getLogger(__name__)


class HeldElsewhere(Conflict):
    """Another process does this work at the moment."""

    code = "held_elsewhere"


class LeaseLost(Unavailable):
    """The work was stopped half-way, because another process may begin it."""

    code = "lease_lost"
    hint = "What was done stays done. Look whether the database can be reached, and start again."


class Leases:
    """The leases that this process takes; `now` is the time of day, `seconds` a lease's length."""

    def __init__(
        self,
        store: Store,
        *,
        seconds: float = LEASE_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._seconds = seconds
        self._now = now

    @asynccontextmanager
    async def held(self, name: str) -> AsyncIterator[None]:
        """Do the block's work while nobody else does work of this name.

        Raises HeldElsewhere at once, without waiting, when somebody does, DatabaseUnavailable
        when that cannot be known, and LeaseLost from the block, which is cancelled when the lease
        cannot be kept. Each use is a holder of its own: a block inside a block of the same name
        is refused too.
        """
        holder = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        limit = asyncio.timeout_at(await self._take(name, holder))
        try:
            async with limit:
                renewing = asyncio.create_task(self._renew(name, holder, limit))
                try:
                    yield
                finally:
                    renewing.cancel()
                    await asyncio.wait({renewing})
        except TimeoutError:
            if not limit.expired():
                raise  # of the work itself
            raise LeaseLost(f"{_said(name)} was stopped: its lease could not be renewed.") from None
        finally:
            await self._end(name, holder)

    async def _take(self, name: str, holder: str) -> float:
        """Until when the work may go on, on the loop's clock; raises HeldElsewhere."""
        begun, now = asyncio.get_running_loop().time(), self._now()
        wanted = Lease(name, holder, now + timedelta(seconds=self._seconds))
        stands = await self._store.take_lease(wanted, now=now)
        if stands.holder != holder:
            until = stands.expires_at.astimezone(UTC).strftime("%H:%M:%S")
            raise HeldElsewhere(
                f"{_said(name)} is under way already, by {stands.holder}.",
                hint=f"Wait until it has ended; if that process died, until {until} UTC.",
            )
        return begun + self._seconds * (1 - STOPS_BEFORE)

    async def _renew(self, name: str, holder: str, limit: asyncio.Timeout) -> None:
        pause = _RENEWED_AFTER
        while not limit.expired():
            await asyncio.sleep(self._seconds * pause)
            try:
                until = await self._take(name, holder)
            except DatabaseUnavailable as error:
                _log.warning("The lease of %s could not be renewed: %s", name, error)
                pause = _TRIED_AGAIN_AFTER
                continue
            except HeldElsewhere as error:
                _log.error("The lease of %s is lost: %s", name, error)
                until = asyncio.get_running_loop().time()
            pause = _RENEWED_AFTER
            if not limit.expired():
                limit.reschedule(until)

    async def _end(self, name: str, holder: str) -> None:
        try:
            await self._store.end_lease(name, holder)
        except DatabaseUnavailable as error:
            _log.warning("The lease of %s stays until it runs out: %s", name, error)


def _said(name: str) -> str:
    return name[:1].upper() + name[1:]
