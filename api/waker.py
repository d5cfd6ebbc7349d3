"""Waking on request: what a visitor of an app that does not run is told, or made to wait for.

The router leads here whatever no app's route takes. Anybody may call, so every way to a commit
passes a limit: per app, per address, and for all of them together.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from api.clients.app_requests import AppRequests
from api.clients.rate_limits import (
    WAKES,
    WAKES_PER_ADDRESS,
    WAKES_PER_APP,
    RateLimits,
    client_network,
)
from api.clients.store import Store
from api.domain.commit_message import VISITOR
from api.domain.names import AppRef
from api.domain.progress import Progress
from api.errors import Gone, PlatformError, TooManyRequests
from api.lifecycle import Lifecycle
from api.resting import Resting
from api.rollouts import Rollouts

_LOG: Final = logging.getLogger(__name__)
#: Requests held at once; those beyond it are told to come again.
_MAX_HELD: Final = 200
#: Nobody waits longer for one wake: every stage has its deadline before that.
_LONGEST: Final = 300.0
_LOOK_AGAIN: Final = 0.05
_SOON: Final = 2  # seconds until who asks again finds something new
_LATER: Final = 3600  # for robots, which may as well come tomorrow
_T = TypeVar("_T")

State = Literal["unknown", "deleted", "suspended", "asleep", "waking", "failed", "busy"]
_STATUS: Final[dict[State, int]] = {
    "unknown": 404,
    "deleted": 410,
    "suspended": 403,
    "asleep": 503,
    "waking": 503,
    "failed": 503,
    "busy": 429,
}


@dataclass(frozen=True)
class Told:
    """What a visitor hears of an app that does not answer; nothing that only its owner may know."""

    state: State
    progress: int | None = None  # percent
    stage: str | None = None
    retry_after: int | None = None  # seconds

    @property
    def status(self) -> int:
        """The answer's HTTP status."""
        return _STATUS[self.state]


class Waker:
    """Wakes each app once, however many ask for it at the same time."""

    def __init__(  # noqa: PLR0913, PLR0917  (what a wake passes through)
        self,
        resting: Resting,
        lifecycle: Lifecycle,
        rollouts: Rollouts,
        store: Store,
        apps: AppRequests,
        limits: RateLimits,
    ) -> None:
        self._resting = resting
        self._lifecycle = lifecycle
        self._rollouts = rollouts
        self._store = store
        self._limits = limits
        self._waking: dict[AppRef, asyncio.Task[Told | None]] = {}
        self._following: dict[AppRef, asyncio.Task[Progress | None]] = {}
        self._held = 0
        self.apps = apps

    async def close(self) -> None:
        """Follow nobody any more; a commit that is under way is the writer's."""
        tasks = [*self._waking.values(), *self._following.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self, ref: AppRef) -> Told:
        """How the app stands; wakes nothing."""
        state = (await self._resting.look(ref)).state
        match state:
            case "awake":
                return _told(await self._rollouts.progress(ref))
            case "asleep" | "removed":
                return Told("asleep", retry_after=_LATER)
            case _:
                return Told(state)

    async def visit(
        self, ref: AppRef, address: str, request_id: str, *, wakes: bool, seconds: float
    ) -> Told | None:
        """None when the app answers by now, within `seconds`; otherwise what to say.

        Raises PlatformError when it cannot be said.
        """
        if self._held >= _MAX_HELD:
            seconds = 0
        deadline = time.monotonic() + seconds
        self._held += 1
        try:
            async with asyncio.timeout(_LONGEST):
                rest = await self._resting.look(ref)
                if rest.state in ("asleep", "removed"):
                    if not wakes:
                        return Told("asleep", retry_after=_LATER)
                    if said := await self._wake(ref, address, request_id, deadline):
                        return said
                elif rest.state != "awake":
                    return await self.look(ref)
                return await self._until_live(ref, deadline)
        finally:
            self._held -= 1

    async def _wake(
        self, ref: AppRef, address: str, request_id: str, deadline: float
    ) -> Told | None:
        """Wake it, or share the wake that is under way; what to say if it is not woken by then."""
        task = self._waking.get(ref)
        if task is None:
            try:
                await self._count(ref, address)
            except TooManyRequests as error:
                return Told("busy", retry_after=int(error.details["retry_after"]))
            task = self._waking.get(ref)  # another one may have come while it was counted
        if task is None:
            task = self._waking[ref] = _begin(self._commit(ref, request_id), f"waking {ref}")
            task.add_done_callback(lambda _: self._waking.pop(ref, None))
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await asyncio.shield(task)
        except TimeoutError:
            return Told("waking", 0, retry_after=_SOON)

    async def _count(self, ref: AppRef, address: str) -> None:
        what = "apps were woken"
        await self._limits.count(WAKES_PER_ADDRESS, client_network(address), what=what)
        await self._limits.count(WAKES_PER_APP, f"{ref.user_id}/{ref.app_id}", what=what)
        await self._limits.count(WAKES, "all", what=what)

    async def _commit(self, ref: AppRef, request_id: str) -> Told | None:
        # None after the database was lost: whose an app is, its folder says.
        owner = await self._store.account(ref.user_id)
        if owner and owner.suspension:
            return Told("suspended")
        try:
            await self._lifecycle.wake(owner, ref, request_id, by=VISITOR)
        except Gone:
            return Told("deleted")
        except PlatformError as error:
            if error.status >= 500:  # noqa: PLR2004  (the platform's own fault: try again)
                raise
            # It does not pass the check any more, or there is no room for it: its owner's to mend.
            _LOG.info("%s cannot be woken: %s", ref, error.message)
            return Told("failed")
        return None

    async def _until_live(self, ref: AppRef, deadline: float) -> Told | None:
        """None once the app's own address leads to it."""
        ended = None
        while ended is None or ended.stage == "superseded":
            task = self._following.get(ref)
            if task is None:
                task = self._following[ref] = _begin(self._follow(ref), f"following {ref}")
                task.add_done_callback(lambda _: self._following.pop(ref, None))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    ended = await asyncio.shield(task)
            if ended is None:
                return await self.look(ref)
        if ended.stage == "failed":
            return _told(ended)
        while not await self.apps.answers(ref):
            if time.monotonic() >= deadline:
                return await self.look(ref)
            await asyncio.sleep(_LOOK_AGAIN)
        return None

    async def _follow(self, ref: AppRef) -> Progress | None:
        """How the newest intent ended: one look for all who wait."""
        ended: Progress | None = None
        async with asyncio.timeout(_LONGEST):
            async for shown in self._rollouts.follow(ref):
                ended = shown
        return ended


def _told(progress: Progress) -> Told:
    if progress.stage == "failed":
        return Told("failed")
    return Told("waking", math.floor(progress.progress), progress.stage, retry_after=_SOON)


def _begin(work: Coroutine[Any, Any, _T], name: str) -> "asyncio.Task[_T]":
    task = asyncio.create_task(work, name=name)
    # Whoever waited may have gone: an error is theirs, and nobody's if nobody is left.
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return task
