"""When each app was last used: requests through the routers, commits, and what the editor tells.

One process at a time reads the routers' counters, and writes the use of all apps in one step. What
is known is kept in the database, so that the next process goes on where this one was.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from api.clients.git_tenants import all_apps
from api.clients.gitops_repo import GitopsRepo
from api.clients.store import Store
from api.clients.traefik_metrics import TraefikMetrics
from api.domain.activity import (
    GAP,
    Knowledge,
    dump_counters,
    dump_knowledge,
    learn,
    load_knowledge,
    stopped,
)
from api.domain.names import AppRef
from api.errors import PlatformError, Unavailable
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
_CLEANED: Final = "cleaned-up"
#: A reading takes some seconds at most; how often it is waited for, and for how many seconds.
_PATIENCE: Final = 450  # 90 s: longer than a lease, should its holder have died
_SHORT_PATIENCE: Final = 10
#: Seconds for the routers' counters, while others wait or at leisure.
_SHORTLY: Final = 2.0
_AT_LEISURE: Final = 20.0
_PAUSE: Final = 0.2
#: Apps that the platform asks for to see their count move, and seconds until it looks.
_ASKED: Final = 16
_PAUSES: Final = (0.05, 0.5, 2.0)
_COUNTERS_EVERY: Final = timedelta(minutes=10)
_CUT_OFF: Final = (
    "the platform ended without a last reading, so that the requests of its last minute are not"
    " known; start it again: it cleans up by itself"
)


def now_utc() -> datetime:
    """The time of day."""
    return datetime.now(UTC)


class Activity:
    """`clock` gives the time in UTC; `routers` is None where no address of metrics is set.

    `refresh` brings what this process knows of `main` up to date; `ask` puts the platform's own
    question, which is no use, to an app's address; routers come and go unseen in a `gap` only.
    `ended`: nothing runs now that was read before.
    """

    def __init__(  # noqa: PLR0913, PLR0917  (where use is seen, and where it is kept)
        self,
        store: Store,
        repo: GitopsRepo,
        intents: Intents,
        history: History,
        routers: TraefikMetrics | None,
        clock: Clock = now_utc,
        *,
        refresh: Callable[[], Awaitable[None]] | None = None,
        ask: Callable[[AppRef], Awaitable[object]] | None = None,
        gap: timedelta = GAP,
        ended: bool = False,
    ) -> None:
        self._store = store
        self._repo = repo
        self._intents = intents
        self._history = history
        self._routers = routers
        self._clock = clock
        self._refresh = refresh
        self._ask = ask
        self._gap = gap
        self._ended = ended
        self._leases = Leases(store, now=clock)
        self._last_known: Knowledge | None = None
        #: Which routers' counters were kept, and when.
        self._kept_counters: tuple[Mapping[str, str], datetime] | None = None
        self._silent: frozenset[str] = frozenset()
        #: When all routers were last read and idle apps last judged, by anybody; as of this minute.
        self._complete_at = self._cleaned_at = clock()

    def reading_age(self) -> float:
        """Seconds since all routers were last read; since the start if that is not known."""
        return (self._clock() - self._complete_at).total_seconds()

    def cleanup_age(self) -> float:
        """Seconds since idle apps were last judged; since the start if that is not known."""
        return (self._clock() - self._cleaned_at).total_seconds()

    async def note_cleanup(self) -> None:
        """Keep that idle apps were judged now."""
        await self._store.keep_note(_CLEANED, self._clock().isoformat())

    async def known(self) -> Knowledge:
        """What was known at the last reading, whoever made it; without the counters."""
        return load_knowledge(await self._store.note(_KNOWLEDGE), None)

    async def read(self, *, shortly: bool = False) -> Knowledge:
        """Read the routers and what is new on `main`, and keep who was used.

        Waits while another process reads, and for the routers; `shortly`: for two seconds each.
        Raises Unavailable when another one takes too long, DatabaseUnavailable,
        RepositoryUnavailable.
        """
        await self._intents.indexed_tip()  # a new clone's takes minutes, in which others may read
        async with self._alone(_SHORT_PATIENCE if shortly else _PATIENCE):
            return await self._read(_SHORTLY if shortly else _AT_LEISURE)

    async def _read(self, seconds: float = _AT_LEISURE) -> Knowledge:
        now = self._clock()
        known = await self._last()
        main, used = await self._changed(known.main)
        if self._routers is not None:
            found = await self._routers.read(seconds)
            self._tell(found.silent)
            known, requested = learn(known, found.told, found.silent, now, self._gap)
            used |= requested
        elif self._ended and known.routers and not known.at_rest:
            known = replace(known, missing=_CUT_OFF)
        await self._store.touch_many(sorted(used), now)
        known = replace(known, main=main)
        await self._keep(known)
        return known

    async def uncounted(self, apps: Sequence[AppRef]) -> str | None:
        """Why it is doubtful that requests to apps are counted; None where a count has moved.

        Counters of another router, or without names of services, look like those of idle apps.
        """
        if self._routers is None or self._ask is None:
            return None
        some = random.sample(apps, min(_ASKED, len(apps)))
        before = await self._asked(some)
        await asyncio.gather(*map(self._ask, some))
        for pause in _PAUSES:  # a router counts when its answer has gone
            await asyncio.sleep(pause)
            after = await self._asked(some)
            if any(after[app] > before[app] for app in some):
                return None
        return (
            f"of {len(some)} apps that were asked at their addresses (ROUTER_URL), no router that"
            " is read (TRAEFIK_METRICS_URL) counted one; it needs addServicesLabels and safeNaming"
        )

    async def _asked(self, apps: Sequence[AppRef]) -> Mapping[AppRef, int]:
        """How often the platform itself asked for these apps."""
        found = await self._routers.read() if self._routers else None
        told = found.told if found else ()
        return {app: sum(reading.asked.get(app, 0) for reading in told) for app in apps}

    async def stop(self) -> None:
        """Read for the last time, when the routers are about to be stopped."""
        try:
            async with self._alone(_SHORT_PATIENCE):
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
                await self._look_at_ages()
                async with self._leases.held(READING):
                    await self._read()
            except HeldElsewhere:
                pass  # another replica does it
            except PlatformError as error:
                _LOG.warning("the use of apps could not be read: %s", error.message)
            except Exception:  # noqa: BLE001  (reported; without a reading nobody is judged idle)
                _LOG.exception("the use of apps could not be read")
            await asyncio.sleep(seconds)

    async def _look_at_ages(self) -> None:
        self._complete_at = (await self.known()).complete_at or self._complete_at
        if cleaned := await self._store.note(_CLEANED):
            self._cleaned_at = datetime.fromisoformat(cleaned)

    @asynccontextmanager
    async def _alone(self, patience: int = _PATIENCE) -> AsyncIterator[None]:
        """While no other process reads: two at once could lose what one of them found."""
        async with AsyncExitStack() as stack:
            for tries_left in range(patience, -1, -1):
                try:
                    await stack.enter_async_context(self._leases.held(READING))
                    break
                except HeldElsewhere as error:
                    if tries_left == 0:  # not as if somebody else cleaned up
                        raise Unavailable(
                            f"The use of apps could not be read: {error.message}", hint=error.hint
                        ) from error
                    await asyncio.sleep(_PAUSE)
            yield

    async def _last(self) -> Knowledge:
        """What this process knows, unless another one has read since."""
        text = await self._store.note(_KNOWLEDGE)
        if self._last_known is None or text != dump_knowledge(self._last_known):
            counters = await self._store.note(_COUNTERS)  # megabytes, with many apps
            self._last_known = await asyncio.to_thread(load_knowledge, text, counters)
        return self._last_known

    async def _keep(self, known: Knowledge) -> None:
        """Keep it for the next process: the counters, which are large, not every time.

        Older ones only make the use of these minutes count once more.
        """
        processes = {address: each.process for address, each in known.routers.items()}
        now = self._clock()
        kept = self._kept_counters
        if kept is None or kept[0] != processes or now - kept[1] >= _COUNTERS_EVERY:
            counters = await asyncio.to_thread(dump_counters, known.routers)
            await self._store.keep_note(_COUNTERS, counters)
            self._kept_counters = (processes, now)
        await self._store.keep_note(_KNOWLEDGE, dump_knowledge(known))
        self._last_known = known

    async def _changed(self, since: str | None) -> tuple[str, set[AppRef]]:
        """The tip of `main`, and the apps that commits touched since then.

        At first, all that have no time of use.
        """
        main = await self._intents.indexed_tip()
        touched = await self._touched(since, main)
        if since and touched is None and self._refresh:  # another process knows more of main
            await self._refresh()
            main = await self._intents.indexed_tip()
            touched = await self._touched(since, main)
        if touched is not None:
            return main, touched
        apps = await self._repo.reading(all_apps, main)
        if since:  # main was rewound: whatever it brings may be new
            return main, set(apps)
        return main, set(apps) - (await self._store.last_activity(apps)).keys()

    async def _touched(self, since: str | None, main: str) -> set[AppRef] | None:
        if since == main:
            return set()
        return await self._history.touched_since(since) if since else None

    def _tell(self, silent: Mapping[str, str]) -> None:
        for address in silent.keys() - self._silent:
            _LOG.warning("the router at %s tells no counters: %s", address, silent[address])
        self._silent = frozenset(silent)
