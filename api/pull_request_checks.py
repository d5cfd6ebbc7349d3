"""Checks the heads of pull requests, one after the other, and tells the forge what came of it.

Somebody waits for every head: whatever goes wrong ends in a status `error`, never in silence.
"""

import asyncio
import hmac
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from api.branch_check import BranchCheck
from api.checking import IntentCheck
from api.clients.check_pages import Pages
from api.clients.pull_request_heads import FetchedHead, PullRequestHeads
from api.domain.check_report import PENDING, Verdict, unfinished, verdict
from api.domain.forge_events import HeadMoved
from api.errors import PlatformError, TooManyRequests

_log = logging.getLogger(__name__)
#: Pull requests that wait; a class that hands in at once has some dozens.
MAX_WAITING: Final = 200
#: Bounds of one check, in seconds; one app takes a second at most.
CHECK_SECONDS: Final = 300.0
#: A forge may tell of a head a moment before it can be fetched: seconds between attempts.
_PAUSES: Final = (1.0, 3.0)
_KEPT: Final = 1000

OpenPages = Callable[[HeadMoved], AbstractAsyncContextManager[Pages]]


class PullRequestChecks:
    """A bounded queue in which a newer head takes the place of an older one of the same request.

    `key` makes the marks of comments that nobody else can write first.
    """

    def __init__(
        self, heads: PullRequestHeads, check: IntentCheck, pages: OpenPages, key: bytes
    ) -> None:
        self._heads = heads
        self._check = check
        self._pages = pages
        self._key = key
        self._waiting: OrderedDict[int, HeadMoved] = OrderedDict()
        self._told = asyncio.Event()
        #: What was judged, by request: its head, `main` then, and its author.
        self._judged: OrderedDict[int, tuple[str, str, str]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many pull requests wait to be checked."""
        return len(self._waiting)

    def submit(self, asked: HeadMoved) -> None:
        """Have a head checked soon; raises TooManyRequests when too many wait already."""
        if asked.number not in self._waiting and len(self._waiting) >= MAX_WAITING:
            raise TooManyRequests(
                f"{MAX_WAITING} pull requests wait to be checked.",
                hint="Have the forge deliver this webhook again later.",
                details={"retry_after": 60},
            )
        self._waiting[asked.number] = asked
        self._told.set()

    async def run(self) -> None:
        """Check what waits; runs until it is cancelled."""
        await asyncio.to_thread(self._heads.clear)
        while True:
            await self._told.wait()
            self._told.clear()
            while self._waiting:
                _, asked = self._waiting.popitem(last=False)
                try:
                    await self._serve(asked)
                except PlatformError as error:
                    _log.error("pull request %d was not told: %s", asked.number, error.message)
                except Exception:  # noqa: BLE001  (reported; the next one is not to blame)
                    _log.exception("pull request %d was not told", asked.number)

    async def _serve(self, asked: HeadMoved) -> None:
        async with self._pages(asked) as pages:
            head = asked.head
            try:
                async with asyncio.timeout(CHECK_SECONDS), self._fetched(pages, asked) as fetched:
                    head = fetched.head
                    at = (head, fetched.base, asked.author)
                    if self._judged.get(asked.number) == at:
                        return  # delivered again, and nothing is new
                    await pages.tell(head, "pending", PENDING, None)
                    found = await self._look(fetched, asked.author)
                self._keep(asked.number, at)
            except TimeoutError:
                found = unfinished(head, f"it took more than {CHECK_SECONDS:g} s.")
            except PlatformError as error:
                found = unfinished(head, error.message)
            except Exception:  # noqa: BLE001  (reported there and in the log)
                _log.exception("the check of pull request %d failed", asked.number)
                found = unfinished(head, "something went wrong in the platform; its log tells.")
            await self._tell(pages, asked.number, head, found)

    @asynccontextmanager
    async def _fetched(self, pages: Pages, asked: HeadMoved) -> AsyncIterator[FetchedHead]:
        """What stands at the request's head; newer than what was told of, if it moved again."""
        ref = pages.head_ref(asked.number)
        for pause in _PAUSES:
            async with self._heads.fetched(ref) as fetched:
                if fetched.head == asked.head:
                    yield fetched
                    return
            await asyncio.sleep(pause)
        async with self._heads.fetched(ref) as fetched:
            yield fetched

    async def _look(self, fetched: FetchedHead, author: str) -> Verdict:
        # One app at a time: deploys have the other helper to themselves.
        check = BranchCheck(fetched.repo, self._check, at_once=1)
        report = await check.run(fetched.head, fetched.base, author, lambda *_: None)
        return verdict(fetched.head, report.apps, report.findings, report.not_judged)

    def _keep(self, number: int, judged: tuple[str, str, str]) -> None:
        self._judged[number] = judged
        self._judged.move_to_end(number)
        while len(self._judged) > _KEPT:
            self._judged.popitem(last=False)

    async def _tell(self, pages: Pages, number: int, head: str, found: Verdict) -> None:
        try:
            link = await self._comment(pages, number, found)
        except PlatformError as error:
            _log.warning("no comment on pull request %d: %s", number, error.message)
            link = None
        try:
            await pages.tell(head, found.state, found.description, link)
        except PlatformError:
            self._judged.pop(number, None)  # another delivery tries again
            raise

    async def _comment(self, pages: Pages, number: int, found: Verdict) -> str | None:
        """One comment for each request, kept up to date; none where there was nothing to say."""
        about = f"{pages.repository} {number}".encode()
        mark = f"<!-- platform-check {hmac.digest(self._key, about, 'sha256').hex()} -->"
        known = await pages.find(number, mark)
        if known is None and found.state == "success":
            return None
        return await pages.comment(number, f"{found.details}\n\n{mark}", known)
