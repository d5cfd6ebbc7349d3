"""How far a change has come, and what runs: git and the cluster, read together.

What is remembered here can be found again: which shard commit first carries an intent is read from
the branch, and kept to save the search. Only since when something is waited for is not in git.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeVar

from api.clients.cluster import Cluster
from api.clients.commit_index import AppCommit
from api.clients.git_publications import Wanted, first_publication
from api.clients.gitops_repo import GitopsRepo
from api.clients.store import Store
from api.domain import publication
from api.domain.addresses import without_addresses
from api.domain.idleness import Limits, deadlines
from api.domain.manifests import intent_digest
from api.domain.names import AppRef, app_path, shard_of
from api.domain.progress import (
    AppState,
    Hold,
    Intent,
    Progress,
    Reached,
    RunStatus,
    progress,
    run_status,
)
from api.domain.publication import Entries, entries_of
from api.domain.quarantine import REFUSED
from api.domain.repo_layout import AppFile, PlatformFile, TenantFile, shard_branch
from api.domain.rollout import Observation
from api.domain.sightings import Sightings
from api.errors import AppNotFound, ClusterUnavailable, PlatformError
from api.history import History
from api.intents import Intents, StoredApp
from api.publishing import Publisher

_LOG: Final = logging.getLogger(__name__)
_KEPT: Final = 10_000
#: Seconds until a stream looks again without being told: deadlines pass silently.
_LOOK_AGAIN: Final = 1.0
#: How many commits back a running version is looked for.
_MAX_BACK: Final = 30
_ENDED: Final = frozenset({"live", "failed", "superseded"})
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Overview:
    """An app as the dashboard shows it."""

    app: StoredApp
    url: str
    status: AppState
    last_activity_at: datetime  # the last deploy, where no use is known
    hibernates_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Running:
    """What runs of an app now, in the shape of the API."""

    status: AppState
    ready: bool
    url: str
    commit: str | None
    message: str


@dataclass(frozen=True)
class _Newest:
    """The newest intent of an app, and the objects that other revisions are compared with."""

    ref: AppRef
    commit: AppCommit
    entries: Entries
    app: StoredApp | None
    tenant: TenantFile | None
    platform: PlatformFile
    shard: str


class Rollouts:
    """Answers from git, the publisher's holds and the cluster's observations."""

    def __init__(  # noqa: PLR0913, PLR0917  (what an answer is put together from)
        self,
        repo: GitopsRepo,
        intents: Intents,
        history: History,
        publisher: Publisher,
        cluster: Cluster,
        store: Store,
        apps_origin: str,
        saw: Callable[[AppRef, Progress], None] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._repo = repo
        self._intents = intents
        self._history = history
        self._publisher = publisher
        self._cluster = cluster
        self._store = store
        self._apps_origin = apps_origin
        self._saw = saw  # told of every answer
        self._limits = limits  # None: nobody judges apps idle
        self._first: OrderedDict[tuple[AppRef, str], str] = OrderedDict()
        self._carried: OrderedDict[tuple[AppRef, str, str], bool] = OrderedDict()
        self._known: OrderedDict[AppRef, Running] = OrderedDict()
        self._seen = Sightings()
        self._blind_until: datetime | None = None  # when the cluster last gave no answer

    def url(self, ref: AppRef) -> str:
        """The app's public address."""
        return f"{self._apps_origin}{app_path(ref)}/"

    async def overviews(self, apps: Sequence[StoredApp]) -> list[Overview]:
        """The apps with their state and last use."""
        used = await self._store.last_activity([app.ref for app in apps])
        found = await asyncio.gather(*(self._last_known(app.ref) for app in apps))
        return [
            Overview(app, now.url, now.status, at, *deadlines(app.file, at, self._limits))
            for app, now in zip(apps, found, strict=True)
            for at in [used.get(app.ref, app.deployed_at)]
        ]

    async def overview_after_deploy(self, app: StoredApp) -> Overview:
        """The app right after its change was saved: that is the answer, whatever else fails."""
        try:
            return (await self.overviews([app]))[0]
        except PlatformError:
            _LOG.exception("saved, but the state of %s cannot be told", app.ref)
            return Overview(app, self.url(app.ref), "deploying", app.deployed_at)

    async def progress(self, ref: AppRef) -> Progress:
        """How far the app's newest intent has come; raises NotFound for no app of this tenant."""
        return (await self._look(ref))[1]

    async def status(self, ref: AppRef) -> Running:
        """What runs of the app, whichever version that is; raises NotFound."""
        newest, _, status = await self._look(ref)
        commit = await self._commit_of(newest, status.intent)
        running = Running(status.status, status.ready, self.url(ref), commit, status.message)
        _keep(self._known, ref, running)
        return running

    async def _last_known(self, ref: AppRef) -> Running:
        """The status; what was known of it before while the cluster cannot be observed."""
        try:
            return await self.status(ref)
        except ClusterUnavailable as error:
            said = without_addresses(error.message)
            unknown = Running("deploying", False, self.url(ref), None, said)
            return self._known.get(ref, unknown)

    async def follow(self, ref: AppRef) -> AsyncIterator[Progress]:
        """Progress of the intent that is the newest now, at every change until it ended."""
        changes = aiter(self._cluster.changes(ref))
        change = asyncio.ensure_future(anext(changes))
        told: Progress | None = None
        try:
            while told is None or told.stage not in _ENDED:
                await asyncio.wait({change}, timeout=_LOOK_AGAIN)
                if change.done():
                    change.result()
                    change = asyncio.ensure_future(anext(changes))
                try:
                    shown = await self.progress(ref)
                except ClusterUnavailable:
                    if told is None:
                        raise
                    continue  # the time until it is back does not count
                if told is not None and shown.commit != told.commit:
                    shown = _superseded(told, shown.commit)
                if shown != told:
                    yield shown
                    told = shown
        finally:
            change.cancel()

    async def _look(self, ref: AppRef) -> tuple[_Newest, Progress, RunStatus]:
        newest = await self._newest(ref)
        intent = await self._intent(newest)
        seen = await self._observe(ref)
        reached = Reached(
            fetched=await self._carries(newest, intent.published, seen.shard.fetched),
            attempted=await self._carries(newest, intent.published, seen.shard.attempted),
            applied=await self._carries(newest, intent.published, seen.shard.applied),
        )
        shown = progress(intent, reached, seen, datetime.now(UTC))
        if self._saw:
            self._saw(ref, shown)
        return newest, shown, run_status(intent, shown, seen)

    async def _observe(self, ref: AppRef) -> Observation:
        try:
            return await self._cluster.observe(ref)
        except ClusterUnavailable:
            self._blind_until = datetime.now(UTC)
            raise

    async def _newest(self, ref: AppRef) -> _Newest:
        tip = await self._intents.indexed_tip()
        commits = await self._history.newest(ref)
        if not commits:
            raise AppNotFound(ref.app_id)
        platform = await self._intents.platform(tip)
        return _Newest(
            ref,
            commits[0],
            await self._intents.entries(tip, platform, ref),
            await self._intents.find(tip, platform, ref),
            await self._intents.tenant(tip, platform, ref.user_id),
            platform,
            shard_of(ref.user_id, platform.shard_digits),
        )

    async def _intent(self, newest: _Newest) -> Intent:
        intent = await self._dated(newest)
        hold = self._publisher.holds(newest.shard).get(newest.ref)
        # A newer intent than the publisher has looked at is not held: it waits to be published.
        ours = hold is not None and hold.entries in (None, newest.entries)
        if hold and ours and not await self._is_tried_again(newest, hold):
            first = hold.first
            line = first.line if first.path not in ("app.yaml", "tenant.yaml") else None
            refusal = Hold(first.code, first.message, first.hint, first.path, line, hold.unknown)
            intent = replace(intent, hold=refusal)
        app = newest.app
        if app is None:
            return intent
        entries = newest.entries
        file = app.file
        block = newest.tenant.stops(newest.ref.app_id) if newest.tenant else None
        return replace(
            intent,
            digest=_digest(file, entries),
            wanted="running" if file is None or file.state == "running" else "stopped",
            blocked=f"Stopped by {block.by}: {block.reason}" if block else None,
        )

    async def _is_tried_again(self, newest: _Newest, hold: publication.Hold) -> bool:
        """Whether what the cluster refused stands on the branch again, at an operator's word."""
        if hold.first.code != REFUSED:
            return False
        tip = await self._repo.head(shard_branch(newest.shard))
        return tip is not None and await self._entries_at(newest.ref, tip) == newest.entries

    async def _dated(self, newest: _Newest) -> Intent:
        """The intent and its publication, with the times from which deadlines count."""
        now = datetime.now(UTC)
        commit, published = newest.commit, await self._published(newest)
        info = await self._repo.info(published) if published else None
        waiting = self._publisher.waiting(newest.shard)
        hold = self._publisher.holds(newest.shard).get(newest.ref)
        # While something is known to stand in the way, the time to publish does not run.
        hindered = info is None and (waiting or hold)
        sighting = self._seen.again if hindered else self._seen.first
        seen = sighting((newest.ref, commit.commit), now)
        intent = Intent(
            commit=commit.commit,
            committed_at=min(commit.at, seen),  # a date in the future would never pass
            digest=None,
            wanted="gone",
            waiting=waiting,
            app_id=newest.ref.app_id,
            seen_at=seen,
        )
        if info is None:
            return intent
        seen = self._seen.first((newest.ref, commit.commit, info.id), now)
        return replace(
            intent,
            published=info.id,
            published_at=min(info.at, seen),
            publication_seen_at=max(seen, self._blind_until or seen),
        )

    async def _published(self, newest: _Newest) -> str | None:
        """The first shard commit that carries the intent; None while there is none."""
        key = (newest.ref, newest.commit.commit)
        if key in self._first:
            return self._first[key]
        tip = await self._repo.head(shard_branch(newest.shard))
        digits = newest.platform.shard_digits
        wanted = Wanted(newest.ref, newest.commit.commit, newest.entries, digits)
        found = await self._repo.reading(first_publication, tip, wanted) if tip else None
        if found:
            _keep(self._first, key, found)
        return found

    async def _entries_at(self, ref: AppRef, revision: str) -> Entries:
        names = await self._repo.children(revision, f"{ref.user_id}/{ref.app_id}")
        return entries_of({name: entry.id for name, entry in names.items()})

    async def _carries(self, newest: _Newest, published: str | None, revision: str | None) -> bool:
        """Whether a shard commit is the first that carries the intent, or a later one with it."""
        if published is None or revision is None:
            return False
        key = (newest.ref, newest.commit.commit, revision)
        if key not in self._carried:
            answer = (
                await self._repo.is_ancestor(published, revision)
                and await self._entries_at(newest.ref, revision) == newest.entries
            )
            _keep(self._carried, key, answer)
        return self._carried[key]

    async def _commit_of(self, newest: _Newest, digest: str | None) -> str | None:
        """The newest commit of the app whose intent has this digest."""
        if digest is None:
            return None
        for commit in await self._history.newest(newest.ref, _MAX_BACK):
            if await self._digest_at(newest.ref, newest.platform, commit.commit) == digest:
                return commit.commit
        return None

    async def _digest_at(self, ref: AppRef, platform: PlatformFile, commit: str) -> str | None:
        entries = await self._intents.entries(commit, platform, ref)
        return _digest(await self._intents.file(entries), entries)


def _digest(file: AppFile | None, entries: Entries) -> str | None:
    if file is None:
        return None
    return intent_digest(file, entries.code, entries.overlay, entries.secrets)


def _keep(cache: OrderedDict[_Key, _Value], key: _Key, value: _Value) -> None:
    cache[key] = value
    while len(cache) > _KEPT:
        cache.popitem(last=False)


def _superseded(told: Progress, commit: str) -> Progress:
    """How a followed intent ended when a newer one of its app was accepted first."""
    stages = tuple(
        s if s.state in ("done", "skipped") else replace(s, state="skipped") for s in told.stages
    )
    message = f"Superseded by {commit[:7]} before it went live."
    return replace(told, stage="superseded", message=message, stages=stages, error=None)
