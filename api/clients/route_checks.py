"""Which version answers at an app's own address, asked through the router.

The runner answers a reserved header on any path with the intent it was started with, so no route
of a learner's is touched. Only apps that somebody is waiting for are asked, a few at a time, and
only until the answer is there: what serves quietly costs nothing. An app that keeps silent is asked
less and less, in turns of its own: nobody else's answer waits for it.
"""

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx2

from api.domain.names import AppRef, app_path

_LOG: Final = logging.getLogger(__name__)
_PROBE: Final = {"fastapi-platform-probe": "1"}
_NO_CONTENT: Final = 204
_AT_ONCE: Final = 8
#: Longer than the runner ever takes: what hangs is a connection to a pod that is gone.
_SECONDS: Final = 1.0
#: A rollout may meet such a connection; whoever was silent so often is asked among its like.
_SILENT: Final = 2
_KEPT: Final = 1000
#: A rollout ends within seconds, so it is asked often at first; seconds.
_FIRST_DELAY: Final = 0.05
_OFTEN_SECONDS: Final = 10.0
_LONGEST_DELAY: Final = 2.0
#: For so long an app is asked after somebody last wanted to know; followers look every second.
_WANTED_SECONDS: Final = 10.0
#: While pods of another version are about, the router may still know them, and takes turns.
SURE: Final = 5


@dataclass
class _Wanted:
    intent: str
    times: int  # answers in a row
    at: float


class RouteChecks:
    """The versions that were seen to answer; `changed` is told of each new one."""

    def __init__(
        self, router_url: str, apps_origin: str, changed: Callable[[AppRef], None]
    ) -> None:
        self._changed = changed
        self._wanted: dict[AppRef, _Wanted] = {}
        self._tasks: dict[AppRef, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._turns_of_silent = asyncio.Semaphore(_AT_ONCE)
        #: How often in a row an app's version gave no answer at all, whoever wanted to know it.
        self._silent: OrderedDict[tuple[AppRef, str], int] = OrderedDict()
        self._client = httpx2.AsyncClient(
            base_url=router_url.rstrip("/"),
            headers=_PROBE | {"host": urlsplit(apps_origin).netloc},
            trust_env=False,  # a proxy's answer would prove nothing
            timeout=None,  # each question has its own
        )
        self.answered: dict[AppRef, str] = {}

    async def close(self) -> None:
        """Stop asking."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    def want(self, ref: AppRef, intent: str, *, times: int) -> None:
        """Ask until this version answered `times` in a row; repeated while it matters."""
        if self.answered.get(ref) == intent:
            return
        self._wanted[ref] = _Wanted(intent, times, time.monotonic())
        if ref not in self._tasks:
            task = asyncio.create_task(self._ask(ref), name=f"asking for {ref}")
            self._tasks[ref] = task
            task.add_done_callback(lambda ended: self._ended(ref, ended))

    def forget(self, ref: AppRef) -> None:
        """What answered is gone, or the app is."""
        self.answered.pop(ref, None)

    async def _ask(self, ref: AppRef) -> None:
        delay, in_a_row, asked_for, begun = _FIRST_DELAY, 0, "", 0.0
        while (now := time.monotonic()) - (wanted := self._wanted[ref]).at < _WANTED_SECONDS:
            if wanted.intent != asked_for:
                delay, in_a_row, asked_for, begun = _FIRST_DELAY, 0, wanted.intent, now
            found = await self._ask_once(ref, asked_for)
            if found == self._wanted[ref].intent == asked_for:
                in_a_row += 1
                if in_a_row >= wanted.times:
                    self.answered[ref] = asked_for
                    self._changed(ref)
                    return
                continue
            in_a_row = 0
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311  (no secret)
            if self._is_silent(ref, asked_for) or now - begun > _OFTEN_SECONDS:
                delay = min(delay * 1.5, _LONGEST_DELAY)

    async def _ask_once(self, ref: AppRef, intent: str) -> str | None:
        silent = self._is_silent(ref, intent)
        async with self._turns_of_silent if silent else self._turns:
            try:
                found = await _intent_at(self._client, ref)
            except TimeoutError:
                self._silent[ref, intent] = self._silent.get((ref, intent), 0) + 1
                while len(self._silent) > _KEPT:
                    self._silent.popitem(last=False)
                return None
        self._silent.pop((ref, intent), None)
        return found

    def _is_silent(self, ref: AppRef, intent: str) -> bool:
        return self._silent.get((ref, intent), 0) >= _SILENT

    def _ended(self, ref: AppRef, task: "asyncio.Task[None]") -> None:
        self._tasks.pop(ref, None)
        self._wanted.pop(ref, None)
        if not task.cancelled() and (error := task.exception()):
            _LOG.error("%s failed", task.get_name(), exc_info=error)


async def intent_at(client: httpx2.AsyncClient, ref: AppRef) -> str | None:
    """The version that answers at an app's own address; None when none does.

    `client` leads to the router and carries the header that the runner itself answers.
    """
    try:
        return await _intent_at(client, ref)
    except TimeoutError:
        return None


async def _intent_at(client: httpx2.AsyncClient, ref: AppRef) -> str | None:
    """The same; raises TimeoutError when nothing answers in time."""
    try:
        async with (
            # OPTIONS: the router counts it as such, and not as use of the app.
            asyncio.timeout(_SECONDS),  # of all of it: a byte now and then is no answer
            client.stream("OPTIONS", f"{app_path(ref)}/") as answer,
        ):
            if answer.status_code != _NO_CONTENT:
                return None  # without its body, which is a learner's and may have no end
            await answer.aread()
            return answer.headers.get("fastapi-platform-intent")
    except httpx2.TimeoutException as error:
        raise TimeoutError from error
    except httpx2.HTTPError:
        return None
