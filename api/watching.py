"""Notices that `main` moved by other hands, and has what differs published."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from api.clients.git_upstream import Upstream
from api.clients.gitops_repo import GitopsRepo
from api.domain.repo_layout import PlatformFile, is_shard_branch, shard_branch
from api.errors import PlatformError
from api.intents import Intents
from api.publishing import Publisher
from api.writer import Writer

_log = logging.getLogger(__name__)
#: Seconds until what is held or waits is looked at again although `main` stands still.
_LOOK_AGAIN: Final = 10.0
#: Seconds between listings of all branches (some milliseconds for 256).
_TELL_SECONDS: Final = 2.0


class Watcher:
    """Looks at both kinds of branches; a look writes nothing when nothing differs."""

    def __init__(
        self,
        repo: GitopsRepo,
        upstream: Upstream,
        intents: Intents,
        publisher: Publisher,
        writer: Writer,
    ) -> None:
        self._repo = repo
        self._upstream = upstream
        self._intents = intents
        self._publisher = publisher
        self._writer = writer
        self._heads: Mapping[str, str] = {}  # by shard, as of the last listing
        self._compared: PlatformFile | None = None  # under which every app was compared
        self._seen: str | None = None  # the tip of `main` at the last look
        self._told = asyncio.Event()
        self.problem: str | None = None

    def look_soon(self, tip: str) -> None:
        """Somebody says that `main` moved to this commit: look now, and not at the next turn."""
        if tip != self._seen:
            self._told.set()

    async def run(self, seconds: float) -> None:
        """Look every so many seconds whether `main` moved; runs until it is cancelled."""
        looked_at = told_at = 0.0
        clock = asyncio.get_running_loop().time
        while True:
            try:
                await self._upstream.refresh()
                if clock() - told_at > _TELL_SECONDS:
                    await self._follow_others()
                    told_at = clock()
                main = await self._intents.tip()
                stale = bool(self._publisher.unsettled) and clock() - looked_at > _LOOK_AGAIN
                if main != self._seen or stale:
                    await self.look()
                    self._seen, looked_at = main, clock()
                self.problem = self._intents.problem
            except PlatformError as error:
                self._report(error.message)
            except Exception:  # noqa: BLE001  (reported, and shown in /readyz; one look is lost)
                _log.exception("a look failed")
                self.problem = "publishing failed; the log says why"
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._told.wait()
            self._told.clear()

    async def look(self) -> None:
        """Publish every shard in which something differs; the first look opens all of them."""
        main = await self._intents.indexed_tip()
        platform = await self._intents.platform(main)
        everything = platform != self._compared
        shards = [
            shard
            for shard, state in sorted((await self._repo.shard_states(main)).items())
            if state == "behind"
            or (everything and state != "empty")
            or shard in self._publisher.unsettled
        ]
        await asyncio.gather(*(self._writer.publish(shard) for shard in shards))
        self._compared = platform

    async def _follow_others(self) -> None:
        """Have the cluster told of shard branches that moved, whoever moved them; look at others'.

        A command publishes too, and another replica may have died before it told: so the first
        time every branch may have moved. What another one held is known here only after a look,
        for on the branch nothing is missing.
        """
        heads = {
            branch.removeprefix(shard_branch("")): tip
            for branch, tip in (await self._repo.heads()).items()
            if is_shard_branch(branch)
        }
        before, self._heads = self._heads, heads
        moved = [shard for shard, tip in heads.items() if before.get(shard) != tip]
        await self._publisher.published(moved)
        if not before:
            return  # a look at every shard comes anyway
        others = [shard for shard in moved if not self._publisher.has_seen(shard, heads[shard])]
        await asyncio.gather(*(self._writer.publish(shard) for shard in others))

    def _report(self, message: str) -> None:
        if message != self.problem:
            _log.error("nothing was published: %s", message)
        self.problem = message
