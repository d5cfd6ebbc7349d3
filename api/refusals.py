"""What the cluster refuses after the check let it through: one app goes back, its shard moves on.

Level-triggered as publishing is: as long as Flux reports that it cannot apply the newest commit of
a shard because of one app, that app is taken back (`api/verdicts.py`). Where no app is named, or
going back changes nothing, an operator is told instead: nothing is guessed.
"""

import asyncio
import logging
from typing import Final

from api.clients.cluster import Cluster
from api.clients.git_tenants import apps_of
from api.clients.gitops_repo import GitopsRepo
from api.domain.addresses import without_addresses
from api.domain.names import AppRef
from api.domain.publication import entries_of
from api.domain.quarantine import Record, culprit, shown_words
from api.domain.repo_layout import is_shard_branch, shard_branch
from api.domain.rollout import Shard
from api.errors import PlatformError
from api.publishing import Publisher, Refusal
from api.writer import Writer

_log = logging.getLogger(__name__)
_SHOWN: Final = 3


class Refusals:
    """Looks at what Flux reports of every shard; each look reads memory but for what is refused."""

    def __init__(
        self, repo: GitopsRepo, cluster: Cluster, publisher: Publisher, writer: Writer
    ) -> None:
        self._repo = repo
        self._cluster = cluster
        self._publisher = publisher
        self._writer = writer
        #: By shard: why the cluster cannot apply it, where nothing is done about it by itself.
        self.alarms: dict[str, str] = {}

    @property
    def problem(self) -> str | None:
        """The alarms, as /readyz shows them."""
        shown = [f"shard {shard}: {said}" for shard, said in sorted(self.alarms.items())]
        more = [f"{len(shown) - _SHOWN} more"] if len(shown) > _SHOWN else []
        return "; ".join([*shown[:_SHOWN], *more]) or None

    async def run(self, seconds: float) -> None:
        """Look every so many seconds; runs until it is cancelled."""
        while True:
            try:
                await self.look()
            except PlatformError as error:
                _log.warning("what the cluster refuses is not known: %s", error.message)
            except Exception:  # noqa: BLE001  (reported; one look is lost)
                _log.exception("a look at what the cluster refuses failed")
            await asyncio.sleep(seconds)

    async def look(self) -> None:
        """Take back what is refused, in every shard; raises PlatformError."""
        found: dict[str, str] = {}
        refused: dict[str, Refusal] = {}
        for branch, tip in (await self._repo.heads()).items():
            if not is_shard_branch(branch):
                continue
            shard = branch.removeprefix(shard_branch(""))
            seen = await self._cluster.shard(shard)
            if not seen.apply_error or seen.attempted is None or seen.suspended:
                continue
            words = shown_words(seen.apply_error)
            told = await self._judge(tip, seen, seen.attempted, words)
            if isinstance(told, Refusal):
                _log.warning("refused by the cluster: app %s: %s", told.ref.app_id, words)
                refused[shard] = told
            elif told:
                found[shard] = told
        for shard, said in found.items():
            if self.alarms.get(shard) != said:
                _log.error("ALARM: the cluster does not apply shard %s: %s", shard, said)
        self.alarms = found
        self._publisher.refusals = refused
        await asyncio.gather(*(self._writer.publish(shard) for shard in refused))

    async def _judge(
        self, tip: str, seen: Shard, attempted: str, words: str
    ) -> Refusal | str | None:
        """What is refused of the tip; what an operator must know instead; None: wait and see."""
        if not await self._repo.is_ancestor(attempted, tip):
            return f"it follows another history than ours: {words}"
        ref = culprit(words, await self._apps(attempted))
        if ref is None:
            return words
        path = f"{ref.user_id}/{ref.app_id}"
        stands = await self._repo.entry(tip, path)
        if stands is None or stands != await self._repo.entry(attempted, path):
            return None  # it was changed since: that is attempted next
        if seen.applied and not await self._repo.is_ancestor(seen.applied, tip):
            return f"what it has applied is not of our history: {words}"
        before = await self._repo.entry(seen.applied, path) if seen.applied else None
        if stands == before:
            return f"app {ref.app_id} is refused as it was applied before: {words}"
        names = await self._repo.children(tip, path)
        intent = entries_of({name: entry.id for name, entry in names.items()})
        kept = Record(intent, seen.applied if before else None, without_addresses(words))
        return Refusal(ref, tip, kept)

    async def _apps(self, commit: str) -> list[AppRef]:
        return [*apps_of(await self._repo.outline(commit, depth=2))]
