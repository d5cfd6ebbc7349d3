"""The past of apps, and of the whole repository: from an index kept in step with `main`."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from api.clients import git_changes, git_history
from api.clients.commit_index import (
    AppCommit,
    AuditedCommit,
    AuditFilter,
    CommitIndex,
    RewindSeen,
)
from api.clients.git_changes import Changes, Snapshot
from api.clients.git_history import Link
from api.clients.gitops_repo import GitopsRepo
from api.domain.names import AppRef
from api.domain.repo_layout import MAIN, AppFile, InvalidFile, parse_app
from api.errors import AppNotFound, InvalidRequest, NotFound

_log = logging.getLogger(__name__)
#: Commits indexed in one transaction, so that a long catch-up survives an interruption.
_BATCH: Final = 200
#: How far back it is looked at once for a commit that the index knows.
_STRIDES: Final = (16, 1000)
_KEPT_CHANGES: Final = 10_000
#: Apps shown with a commit of the audit log.
MAX_APPS: Final = 100
_SHOWN_REWINDS: Final = 10


@dataclass(frozen=True)
class Entry:
    """A commit of an app's history, with what it changed."""

    commit: AppCommit
    changes: Changes


@dataclass(frozen=True)
class Page:
    """Some entries, newest first; `next` is where the older ones begin, None at the end."""

    entries: list[Entry]
    deleted: bool
    next: str | None


@dataclass(frozen=True)
class PastVersion:
    """An app as it was at a commit; `app` is None where app.yaml is missing or cannot be read."""

    commit: AppCommit
    app: AppFile | None
    snapshot: Snapshot


@dataclass(frozen=True)
class AuditPage:
    """Some commits, newest first, and the rewinds of `main` that were seen."""

    commits: list[AuditedCommit]
    next: str | None
    rewinds: list[RewindSeen]


class History:
    """Answers about the past; `follow` makes it complete up to a commit."""

    def __init__(self, repo: GitopsRepo, index: CommitIndex) -> None:
        self._repo = repo
        self._index = index
        self._following = asyncio.Lock()
        self._followed: str | None = None  # the index was complete up to here
        self._changes: OrderedDict[tuple[AppRef, str], Changes] = OrderedDict()

    async def head(self) -> str | None:
        """The commit of `main` up to which everything is known."""
        return await self._index.head()

    async def owner(self, app_id: str) -> str | None:
        """The tenant who had the app id first; None for an id that was never used."""
        return await self._index.owner(app_id)

    async def owners(self, app_ids: Sequence[str]) -> Mapping[str, str]:
        """The same for several ids; those that were never used are left out."""
        return await self._index.owners(app_ids)

    async def ends(self, ref: AppRef) -> tuple[AppCommit, AppCommit] | None:
        """The commit that created the app and the newest that touches it; None for no app."""
        return await self._index.ends(ref)

    async def newest(self, ref: AppRef, limit: int = 1) -> list[AppCommit]:
        """The newest commits that touch the app, newest first."""
        return await self._index.newest(ref, limit)

    async def last_changes(self, user_id: str, since: datetime) -> list[AppCommit]:
        """The newest commit of each app of a tenant, if not older than `since`; newest first."""
        return await self._index.last_changes(user_id, since)

    def as_of(self, commit: str) -> "History":
        """History as it was when a commit was the newest, for what was decided then."""
        return _HistoryThen(self._repo, self._index, commit)

    async def page(self, ref: AppRef, before: str | None, limit: int) -> Page:
        """Entries older than the commit `before`; raises NotFound for no app of this tenant."""
        await self._catch_up()
        newest = await self._newest(ref)
        if before is not None and await self._index.commit(ref, before) is None:
            raise _unknown_cursor(before)
        found = await self._index.newest(ref, limit + 1, before=before)
        shown = found[:limit]
        entries = [
            Entry(commit, changes)
            for commit, changes in zip(shown, await self._changes_of(shown), strict=True)
        ]
        folder = await self._repo.reading(git_changes.folder, newest.commit, ref)
        return Page(entries, folder is None, shown[-1].commit if len(found) > limit else None)

    async def commit(self, ref: AppRef, commit: str) -> AppCommit:
        """One commit of an app; raises NotFound for a commit that does not touch it."""
        await self._catch_up()
        await self._newest(ref)
        found = await self._index.commit(ref, commit)
        if found is None:
            raise NotFound(
                f"The history of {ref.app_id} has no commit {commit[:40]!r}.",
                code="commit_not_found",
                hint=f"Its commits are at /api/apps/{ref.app_id}/history, all 40 digits each.",
            )
        return found

    async def version(self, ref: AppRef, commit: str) -> PastVersion:
        """The app as it was at a commit, and the texts of what that commit changed."""
        found = await self.commit(ref, commit)
        then = await self._repo.reading(git_changes.snapshot, found.base, found.commit, ref)
        try:
            app = parse_app(then.files.get("app.yaml", b""))
        except InvalidFile:
            app = None
        return PastVersion(found, app, then)

    async def touched_since(self, commit: str) -> set[AppRef] | None:
        """The apps that were changed after a commit; None when that is no commit of `main`.

        What the platform did to idle apps by itself is no change.
        """
        await self._catch_up()
        return await self._index.touched_since(commit)

    async def audit(self, wanted: AuditFilter, before: str | None, limit: int) -> AuditPage:
        """Commits of everybody; raises InvalidRequest for an unknown place to go on from."""
        await self._catch_up()
        if before is not None and not await self._index.knows(before):
            raise _unknown_cursor(before)
        found = await self._index.audit(wanted, limit + 1, before=before, apps=MAX_APPS)
        following = found[limit - 1].commit if len(found) > limit else None
        return AuditPage(found[:limit], following, await self._index.rewinds(_SHOWN_REWINDS))

    async def follow(self, head: str) -> None:
        """Index what came onto `main`, at least up to `head`, a tip that it has or had.

        What a rewind took from `main` leaves the index too; that is reported.
        """
        if head == self._followed:
            return
        async with self._following:
            await self._follow(head)
            self._followed = head

    async def _follow(self, head: str) -> None:
        while True:
            known = await self._index.head()
            if known == head:
                return
            # Read after the index: older than what is indexed only when it was rewound.
            tip = await self._repo.head(MAIN)
            if tip is None or tip == known or await self._extend(known, tip):
                return

    async def _catch_up(self) -> None:
        tip = await self._repo.head(MAIN)
        if tip is not None:
            await self.follow(tip)

    async def rebuild(self, progress: Callable[[int, int], None] = lambda _, __: None) -> int:
        """Make the index anew from git alone and put it in place at once; how many commits.

        `progress` hears how many tips of `main` are done, and of how many.
        """
        async with self._following:
            tip = await self._repo.head(MAIN)
            _, links = await self._missing(tip, within_index=False)
            count = 0
            for start in range(0, len(links), _BATCH):
                landed = await self._repo.reading(git_history.landed, links[start : start + _BATCH])
                await self._index.stage(count, landed)
                count += len(landed)
                progress(min(start + _BATCH, len(links)), len(links))
            if links:
                await self._index.swap()
                # What came meanwhile was indexed by others, in the index that this one replaces.
                await self._follow(await self._repo.head(MAIN) or links[-1].id)
            return count

    async def _extend(self, known: str | None, tip: str) -> bool:
        """Bring the index to `tip`; False when another process wrote it meanwhile."""
        keep, links = await self._missing(tip, within_index=True)
        fork = links[0].before if links else tip
        if known is not None and fork != known:
            await self._report(known, tip)
        if not links:  # main went back to a commit that it had before
            return await self._index.replace(known, keep, ())
        for start in range(0, len(links), _BATCH):
            batch = links[start : start + _BATCH]
            landed = await self._repo.landed(batch)
            if not await self._index.replace(known, keep, landed):
                return False
            known = batch[-1].id
            keep += len(landed)
        return True

    async def _missing(self, tip: str | None, *, within_index: bool) -> tuple[int, list[Link]]:
        """The tips of `main` that the index lacks, oldest first, and the place they come behind."""
        missing: list[Link] = []
        at = tip
        while at is not None:
            stride = _STRIDES[0] if not missing else _STRIDES[1]
            links = await self._repo.reading(git_history.line, at, stride)
            places = await self._index.places([x.id for x in links]) if within_index else {}
            for link in links:
                if link.id in places:
                    return places[link.id], missing[::-1]
                missing.append(link)
            at = links[-1].before
        return 0, missing[::-1]

    async def _report(self, known: str, tip: str) -> None:
        if await self._repo.is_ancestor(known, tip):
            _log.info("main was merged into somebody's work; its order is indexed anew")
            return
        _log.error("ALARM: main was rewound: %s does not contain %s any more", tip, known)
        await self._index.note_rewind(known, tip)

    async def _newest(self, ref: AppRef) -> AppCommit:
        newest = await self._index.newest(ref)
        if not newest:
            raise AppNotFound(ref.app_id)
        return newest[0]

    async def _changes_of(self, commits: Sequence[AppCommit]) -> list[Changes]:
        """What each commit changed; commits never change, so it is kept."""
        keys = [(commit.ref, commit.commit) for commit in commits]
        missing = [c for c in commits if (c.ref, c.commit) not in self._changes]
        if missing:
            asked = [(commit.base, commit.commit, commit.ref) for commit in missing]
            found = await self._repo.reading(git_changes.changes, asked)
            for commit, changes in zip(missing, found, strict=True):
                self._changes[commit.ref, commit.commit] = changes
        for key in keys:
            self._changes.move_to_end(key)
        answer = [self._changes[key] for key in keys]
        while len(self._changes) > _KEPT_CHANGES:
            self._changes.popitem(last=False)
        return answer


class _HistoryThen(History):
    def __init__(self, repo: GitopsRepo, index: CommitIndex, until: str) -> None:
        super().__init__(repo, index)
        self._until = until

    async def newest(self, ref: AppRef, limit: int = 1) -> list[AppCommit]:
        """The newest commits of that time that touch the app, newest first."""
        return await self._index.newest(ref, limit, until=self._until)


def _unknown_cursor(before: str) -> InvalidRequest:
    return InvalidRequest(
        f"There is no page before {before[:40]!r}.",
        hint="Send `next` of the page before, or start again without `before`.",
    )
