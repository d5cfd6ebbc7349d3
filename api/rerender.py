"""Apps rendered anew, shard by shard: after a change of the renderer or of the runner image.

Nothing but this changes an app that nobody deployed. Where it stands is written in each app's own
`kustomization.yaml`, so it can be ended at any time and goes on where it was.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from api.clients.git_tenants import apps_of
from api.clients.git_upstream import Upstream
from api.clients.gitops_repo import GitopsRepo
from api.clients.store import Store
from api.domain.commit_message import newer_renderer
from api.domain.health import is_ready, why_not_ready
from api.domain.made_with import MadeWith, made_with
from api.domain.names import AppRef
from api.domain.quarantine import QUARANTINE_FILE, newly_refused, read_quarantine
from api.domain.repo_layout import is_shard_branch, shard_branch
from api.domain.rollout import Observation
from api.errors import InvalidRequest, RepositoryUnavailable
from api.leases import Leases
from api.publishing import Publisher
from api.writer import Writer

#: What is known of some apps now; raises ClusterUnavailable.
Observe = Callable[[Collection[AppRef]], Awaitable[Mapping[AppRef, Observation]]]
#: Seconds for which all must have been ready: what is known of pods may be older than what is
#: known of the revision that made them.
_STEADY: Final = 2.0
_LOOK_SECONDS: Final = 0.5
_SHOWN: Final = 5


@dataclass(frozen=True)
class Stale:
    """An app whose manifests today's renderer would write otherwise."""

    shard: str
    ref: AppRef
    made_with: MadeWith | None  # None: its kustomization.yaml does not say


@dataclass(frozen=True)
class Worse:
    """An app that was ready before, and is not ready now."""

    ref: AppRef
    message: str


@dataclass(frozen=True)
class Rendered:
    """What came of one shard.

    done: published, and what was ready is ready again · worse: some apps are not · waits: it could
    not be published, or not wholly.
    """

    shard: str
    state: Literal["done", "worse", "waits"]
    apps: Sequence[AppRef]  # rendered anew
    watched: int  # apps that were ready before
    worse: Sequence[Worse]
    message: str


@dataclass(frozen=True)
class Pace:
    """How fast to go on, and how long to wait for apps to be ready again."""

    at_once: int = 4
    seconds: float = 180.0


class Rerender:
    """Made for one command; `observe` is None where nothing runs that could get worse."""

    def __init__(  # noqa: PLR0913, PLR0917  (what it reads, writes and watches)
        self,
        repo: GitopsRepo,
        upstream: Upstream,
        publisher: Publisher,
        writer: Writer,
        today: MadeWith,
        observe: Observe | None,
        store: Store,
    ) -> None:
        self._repo = repo
        self._upstream = upstream
        self._publisher = publisher
        self._writer = writer
        self.today = today
        self._observe = observe
        self._leases = Leases(store)

    @property
    def watches(self) -> bool:
        """Whether something runs whose health can be watched."""
        return self._observe is not None

    async def stale(self, shards: Collection[str] | None = None) -> dict[str, list[Stale]]:
        """The shards (of these, or of all) with something to render anew, and what; in order.

        Raises InvalidRequest for a shard that is not there.
        """
        found: dict[str, list[Stale]] = {}
        for shard, tip in (await self._tips(shards)).items():
            if apps := await self._stale_in(shard, tip):
                found[shard] = apps
        return found

    async def newer(self, shards: Collection[str] | None = None) -> list[str]:
        """The shards (of these, or of all) that a newer release has published."""
        found = []
        for shard, tip in (await self._tips(shards)).items():
            info = await self._repo.info(tip)
            if newer_renderer(info.message if info else "", self.today.renderer) is not None:
                found.append(shard)
        return found

    async def run(
        self,
        shards: Sequence[str],
        pace: Pace,
        told: Callable[[Rendered], None],
        *,
        accept_older: bool = False,
    ) -> list[Rendered]:
        """Render the shards anew, a few at a time, until one gets worse; `told` hears of each.

        One at a time until apps of one have been seen to stay ready: what breaks every app shall
        break one shard. Raises RepositoryUnavailable, ClusterUnavailable, HeldElsewhere when
        another command is at it, LeaseLost.
        """
        self._publisher.accept_older = accept_older
        async with self._leases.held("rerender"):
            return await self._waves(shards, pace, told)

    async def _waves(
        self, shards: Sequence[str], pace: Pace, told: Callable[[Rendered], None]
    ) -> list[Rendered]:
        proved = self._observe is None
        found: list[Rendered] = []
        left = list(shards)
        while left:
            count = pace.at_once if proved else 1
            wave, left = left[:count], left[count:]
            results = await self._wave(wave, pace.seconds)
            for result in results:
                found.append(result)
                told(result)
            if any(result.state == "worse" for result in results):
                break
            proved = proved or any(result.watched for result in results)
        return found

    async def _wave(self, shards: Sequence[str], seconds: float) -> list[Rendered]:
        await self._upstream.refresh()  # people's deploys came first
        before = {shard: await self._ready(shard) for shard in shards}
        stood = {shard: await self._tip(shard) for shard in shards}
        stale = {shard: await self._stale_in(shard, tip) for shard, tip in stood.items()}
        self._publisher.anew = shards
        await asyncio.gather(*(self._writer.publish(shard) for shard in shards))
        tips = {shard: await self._tip(shard) for shard in shards}
        worse = await self._watch(before, tips, seconds)
        for shard, tip in stood.items():
            worse |= await self._taken_back(shard, tip)
        return [
            await self._told(shard, stale[shard], tips[shard], before[shard], worse)
            for shard in shards
        ]

    async def _told(
        self,
        shard: str,
        stale: Sequence[Stale],
        tip: str,
        before: Collection[AppRef],
        worse: Mapping[AppRef, str],
    ) -> Rendered:
        left = {app.ref for app in await self._stale_in(shard, tip)}
        apps = [app.ref for app in stale if app.ref not in left]
        mine = {*before, *(app.ref for app in stale)}
        broken = [Worse(ref, worse[ref]) for ref in sorted(mine) if ref in worse]
        reasons = [self._publisher.waiting(shard) or ""]
        holds = self._publisher.holds(shard)
        reasons += [
            f"app {ref.app_id} is left as it was"
            + (f": {holds[ref].first.message}" if ref in holds else "")
            for ref in sorted(left)[:_SHOWN]
        ]
        message = "; ".join(filter(None, reasons))
        state: Literal["done", "worse", "waits"] = (
            "worse" if broken else "waits" if message else "done"
        )
        return Rendered(shard, state, apps, len(before), broken, message)

    async def _ready(self, shard: str) -> list[AppRef]:
        """The apps of a shard that are ready now."""
        if self._observe is None:
            return []
        refs = [ref for ref, _ in await self._apps(await self._tip(shard))]
        return [ref for ref, seen in (await self._observe(refs)).items() if is_ready(seen)]

    async def _watch(
        self, before: Mapping[str, Collection[AppRef]], tips: Mapping[str, str], seconds: float
    ) -> dict[AppRef, str]:
        """Wait until what was ready is ready with its new manifests; what is not, and why."""
        shards = {ref: shard for shard, refs in before.items() for ref in refs}
        if self._observe is None or not shards:
            return {}
        deadline = time.monotonic() + seconds
        since: float | None = None  # when all of them were first seen ready
        while True:
            worse: dict[AppRef, str] = {}
            refused = False
            for ref, seen in (await self._observe(list(shards))).items():
                tip = tips[shards[ref]]
                if is_ready(seen) and await self._contains(seen.shard.applied, tip):
                    continue
                worse[ref] = why_not_ready(seen)
                refused = refused or (bool(seen.shard.apply_error) and seen.shard.attempted == tip)
            now = time.monotonic()
            since = None if worse else since or now
            if (since and now - since >= _STEADY) or refused or now > deadline:
                return await self._ours(worse, shards, tips)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _taken_back(self, shard: str, before: str) -> dict[AppRef, str]:
        """What the platform beside took back meanwhile, since the cluster refuses it; and why."""
        files = [
            read_quarantine(await self._repo.read(tip, QUARANTINE_FILE))
            for tip in (before, await self._tip(shard))
        ]
        new = newly_refused(*files)
        return {ref: f"the cluster refuses it: {files[1][ref].words}" for ref in new}

    async def _contains(self, revision: str | None, commit: str) -> bool:
        return revision is not None and await self._repo.is_ancestor(commit, revision)

    async def _ours(
        self, worse: Mapping[AppRef, str], shards: Mapping[AppRef, str], tips: Mapping[str, str]
    ) -> dict[AppRef, str]:
        """Without apps that somebody changed meanwhile: how those stand is not our doing."""
        if worse:
            await self._upstream.refresh()
        found = {}
        for ref, message in worse.items():
            path, shard = f"{ref.user_id}/{ref.app_id}", shards[ref]
            now = await self._repo.entry(await self._tip(shard), path)
            if now == await self._repo.entry(tips[shard], path):
                found[ref] = message
        return found

    async def _stale_in(self, shard: str, tip: str) -> list[Stale]:
        return [
            Stale(shard, ref, made) for ref, made in await self._apps(tip) if made != self.today
        ]

    async def _apps(self, tip: str) -> list[tuple[AppRef, MadeWith | None]]:
        """The apps of a shard branch, and what each was made with."""
        files = {
            ref: entry.children["kustomization.yaml"].id
            for ref, entry in apps_of(await self._repo.outline(tip, depth=3)).items()
            if "kustomization.yaml" in entry.children
        }
        texts = await self._repo.blobs(files.values())
        return [(ref, made_with(texts[blob])) for ref, blob in files.items()]

    async def _tips(self, shards: Collection[str] | None) -> dict[str, str]:
        tips = {
            branch.removeprefix(shard_branch("")): tip
            for branch, tip in sorted((await self._repo.heads()).items())
            if is_shard_branch(branch)
        }
        if shards is None:
            return tips
        if unknown := sorted(set(shards) - tips.keys()):
            raise InvalidRequest(
                f"There is no shard {', '.join(unknown[:_SHOWN])}.",
                hint="Shards are named as in the branches flux/<shard>.",
            )
        return {shard: tips[shard] for shard in sorted(shards)}

    async def _tip(self, shard: str) -> str:
        tip = await self._repo.head(shard_branch(shard))
        if tip is None:
            raise RepositoryUnavailable(f"The repository has no branch {shard_branch(shard)}.")
        return tip
