"""When each app was last used: requests through the routers, commits, and what the editor tells.

One process at a time reads the routers' counters, and writes the use of all apps in one step. What
is known is kept in the database, so that the next process goes on where this one was.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from api.clients.git_tenants import all_apps
from api.clients.gitops_repo import GitopsRepo
from api.clients.store import Store
from api.clients.traefik_metrics import TraefikMetrics
from api.domain.activity import (
    Knowledge,
    dump_counters,
    dump_knowledge,
    learn,
    load_knowledge,
    stopped,
)
from api.domain.names import AppRef
from api.errors import PlatformError
from api.history import History
from api.intents import Intents
from api.leases import HeldElsewhere, Leases

_LOG: Final = logging.getLogger(__name__)
Clock = Callable[[], datetime]
#: Seconds between readings: use is told by the minute.
READING_SECONDS: Final = 60.0
#: Work that one process does at a time, as Leases call it.
READING: Final = "reading the routers' counters"
_KNOWLEDGE: Final = "activity"
_COUNTERS: Final = "router-counters"
#: A reading takes some seconds at most; how often it is waited for, and for how many seconds.
_PATIENCE: Final = 150
_PATIENCE_AT_THE_END: Final = 10
_PAUSE: Final = 0.2
_COUNTERS_EVERY: Final = timedelta(minutes=10)


def now_utc() -> datetime:
    """The time of day."""
    return datetime.now(UTC)


class Activity:
    """`clock` gives the time in UTC; `routers` is None where no address of metrics is set."""

    def __init__(  # noqa: PLR0913, PLR0917  (where use is seen, and where it is kept)
        self,
        store: Store,
        repo: GitopsRepo,
        intents: Intents,
        history: History,
        routers: TraefikMetrics | None,
        clock: Clock = now_utc,
    ) -> None:
        self._store = store
        self._repo = repo
        self._intents = intents
        self._history = history
        self._routers = routers
        self._clock = clock
        self._leases = Leases(store, now=clock)
        self._last_known: Knowledge | None = None
        #: Which routers' counters were kept, and when.
        self._kept_counters: tuple[Mapping[str, str], datetime] | None = None
        self._silent: frozenset[str] = frozenset()

    async def known(self) -> Knowledge:
        """What was known at the last reading, whoever made it; without the counters."""
        return load_knowledge(await self._store.note(_KNOWLEDGE), None)

    async def read(self) -> Knowledge:
        """Read the routers and what is new on `main`, and keep who was used.

        Waits while another process reads. Raises HeldElsewhere when that takes too long,
        DatabaseUnavailable, RepositoryUnavailable.
        """
        async with self._alone():
            return await self._read()

    async def _read(self) -> Knowledge:
        now = self._clock()
        known = await self._last()
        main = await self._intents.indexed_tip()
        used = await self._changed(known.main, main)
        if self._routers is not None:
            found = await self._routers.read()
            self._tell(found.silent)
            known, requested = learn(known, found.told, found.silent, now)
            used |= requested
        await self._store.touch_many(sorted(used), now)
        known = replace(known, main=main)
        await self._keep(known)
        return known

    async def stop(self) -> None:
        """Read for the last time, when the routers are about to be stopped."""
        try:
            async with self._alone(_PATIENCE_AT_THE_END):
                known = await self._read()
                read = [a for a, each in known.routers.items() if each.read_at == known.complete_at]
                self._kept_counters = None
                await self._keep(stopped(known, read))
        except PlatformError as error:  # then all apps may have been used since the last reading
            _LOG.warning("the use of apps could not be read at the end: %s", error.message)

    async def run(self, seconds: float = READING_SECONDS) -> None:
        """Read every so many seconds, in one process at a time; runs until it is cancelled."""
        while True:
            try:
                async with self._leases.held(READING):
                    await self._read()
            except HeldElsewhere:
                pass  # another replica does it
            except PlatformError as error:
                _LOG.warning("the use of apps could not be read: %s", error.message)
            except Exception:  # noqa: BLE001  (reported; without a reading nobody is judged idle)
                _LOG.exception("the use of apps could not be read")
            await asyncio.sleep(seconds)

    @asynccontextmanager
    async def _alone(self, patience: int = _PATIENCE) -> AsyncIterator[None]:
        """While no other process reads: two at once could lose what one of them found."""
        async with AsyncExitStack() as stack:
            for tries_left in range(patience, -1, -1):
                try:
                    await stack.enter_async_context(self._leases.held(READING))
                    break
                except HeldElsewhere:
                    if tries_left == 0:
                        raise
                    await asyncio.sleep(_PAUSE)
            yield

    async def _last(self) -> Knowledge:
        """What this process knows, unless another one has read since."""
        text = await self._store.note(_KNOWLEDGE)
        if self._last_known is None or text != dump_knowledge(self._last_known):
            self._last_known = load_knowledge(text, await self._store.note(_COUNTERS))
        return self._last_known

    async def _keep(self, known: Knowledge) -> None:
        """Keep it for the next process: the counters, which are large, not every time.

        Older ones only make the use of these minutes count once more.
        """
        processes = {address: each.process for address, each in known.routers.items()}
        now = self._clock()
        kept = self._kept_counters
        if kept is None or kept[0] != processes or now - kept[1] >= _COUNTERS_EVERY:
            await self._store.keep_note(_COUNTERS, dump_counters(known.routers))
            self._kept_counters = (processes, now)
        await self._store.keep_note(_KNOWLEDGE, dump_knowledge(known))
        self._last_known = known

    async def _changed(self, since: str | None, main: str) -> set[AppRef]:
        """The apps that commits touched since then; at first, all that have no time of use."""
        if since == main:
            return set()
        touched = await self._history.touched_since(since) if since else None
        if touched is not None:
            return touched
        apps = await self._repo.reading(all_apps, main)
        if since:  # main was rewound: whatever it brings may be new
            return set(apps)
        return set(apps) - (await self._store.last_activity(apps)).keys()

    def _tell(self, silent: Mapping[str, str]) -> None:
        for address in silent.keys() - self._silent:
            _LOG.warning("the router at %s tells no counters: %s", address, silent[address])
        self._silent = frozenset(silent)
