"""The past over HTTP: of one's own apps, and for administrators of everybody's."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api.clients.commit_index import AuditedCommit, AuditFilter, IndexedCommit
from api.clients.forge import Place, pull_request_page
from api.clients.git_changes import FileChange, FileTexts, Snapshot
from api.dependencies import (
    Administrator,
    CurrentPlatform,
    CurrentUser,
    History,
    RequestId,
    Rollbacks,
    Rollouts,
    Store,
)
from api.domain.authorship import pull_request
from api.domain.repo_layout import DEFAULT_ENTRYPOINT
from api.errors import ClusterUnavailable
from api.history import Entry, PastVersion
from api.routes import schemas
from api.routes.again import LooksAgain
from api.routes.apps import Ref, app_fields
from api.routes.errors import documented
from api.routes.schemas import AuditEntry, AuditPage, ChangedFile, FileDiff, HistoryPage, Version

router = APIRouter(route_class=LooksAgain)
_OWN = documented(401, 403, 404)
Before = Annotated[
    str | None, Query(description="`next` of the page before: only older entries are given.")
]


async def _live(ref: Ref, rollouts: Rollouts) -> tuple[bool, str | None]:
    """Whether the cluster can be asked, and the commit whose version runs now."""
    try:
        return True, (await rollouts.status(ref)).commit
    except ClusterUnavailable:
        return False, None  # the past can be read at any time


Live = Annotated[tuple[bool, str | None], Depends(_live)]
#: The page of the pull request that a commit came by, where there is a forge and it says which.
PageOf = Callable[[IndexedCommit], str | None]


def _pages(platform: CurrentPlatform) -> PageOf:
    settings = platform.settings
    place = Place.of(settings.git_remote, settings.forge_url) if settings.git_remote else None

    def page(commit: IndexedCommit) -> str | None:
        named = pull_request(commit.landed) if commit.by.kind == "pull_request" else None
        return pull_request_page(place, named, settings.github_api_url) if place and named else None

    return page


Pages = Annotated[PageOf, Depends(_pages)]


@router.get("/api/apps/{app_id}/history", responses=_OWN, tags=["history"])
async def read_history(
    ref: Ref,
    history: History,
    live: Live,
    pages: Pages,
    before: Before = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> HistoryPage:
    """Every commit that touches the app, newest first; a deleted app keeps its history."""
    page = await history.page(ref, before, limit)
    return HistoryPage(
        entries=[_entry(entry, live, pages) for entry in page.entries],
        deleted=page.deleted,
        next=page.next,
    )


@router.get("/api/apps/{app_id}/history/{commit}", responses=_OWN, tags=["history"])
async def read_version(
    ref: Ref, commit: str, history: History, live: Live, pages: Pages
) -> Version:
    """The app as it was at a commit, and what that commit changed."""
    return _version(await history.version(ref, commit), live, pages)


@router.post(
    "/api/apps/{app_id}/rollback",
    status_code=202,
    responses=documented(401, 403, 404, 409),
    tags=["history"],
)
async def roll_back(
    ref: Ref,
    body: schemas.RollbackRequest,
    user: CurrentUser,
    rollbacks: Rollbacks,
    rollouts: Rollouts,
    request_id: RequestId,
) -> schemas.Deploy:
    """Deploy an earlier version: its code, entrypoint, variables and overlay, by a new commit.

    Name, secrets, `review` and `pinned` stay as they are. 422 `source_refused` when that version
    does not pass the check any more.
    """
    app = await rollbacks.rollback(user, ref, body.commit, request_id)
    return schemas.Deploy(**app_fields(await rollouts.overview_after_deploy(app)))


@router.post(
    "/api/apps/{app_id}/restore",
    status_code=202,
    responses=documented(401, 403, 404, 409),
    tags=["history"],
)
async def restore(
    ref: Ref, user: CurrentUser, rollbacks: Rollbacks, rollouts: Rollouts, request_id: RequestId
) -> schemas.Deploy:
    """Bring a deleted app back as it was last, under its old address."""
    app = await rollbacks.restore(user, ref, request_id)
    return schemas.Deploy(**app_fields(await rollouts.overview_after_deploy(app)))


@router.get("/api/audit", responses=documented(401, 403), tags=["administration"])
async def read_audit(
    _: Administrator,
    history: History,
    store: Store,
    pages: Pages,
    *,
    user: Annotated[
        str | None, Query(description="A username or user id: of the tenant, or of the author.")
    ] = None,
    app: Annotated[str | None, Query(description="An app's id.")] = None,
    action: Annotated[str | None, Query(description="`deploy`, `delete`, `edit` …")] = None,
    since: Annotated[datetime | None, Query(description="Not before this time.")] = None,
    until: Annotated[datetime | None, Query(description="Before this time.")] = None,
    before: Before = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> AuditPage:
    """Every commit on `main`, newest first."""
    parties: tuple[str, ...] | None = None
    if user is not None:
        account = await store.account_named(user)
        parties = (user, account.user_id) if account else (user,)
    wanted = AuditFilter(parties, app, action, _in_utc(since), _in_utc(until))
    page = await history.audit(wanted, before, limit)
    return AuditPage(
        entries=[_audited(commit, pages) for commit in page.commits],
        next=page.next,
        rewinds=[schemas.Rewind(**vars(rewind)) for rewind in page.rewinds],
    )


def _in_utc(at: datetime | None) -> datetime | None:
    """A time without a zone is taken for UTC, as all times of the API are."""
    return at if at is None or at.tzinfo else at.replace(tzinfo=UTC)


def _told(commit: IndexedCommit, pages: PageOf) -> dict[str, object]:
    by = commit.by
    return {
        "commit": commit.commit,
        "at": commit.at,
        "who": schemas.Who(name=by.name, kind=by.kind, pull_request=pages(commit)),
        "action": by.action,
        "subject": by.subject,
    }


def _is_live(commit: str, live: tuple[bool, str | None]) -> bool | None:
    known, running = live
    return commit == running if known else None


def _entry(entry: Entry, live: tuple[bool, str | None], pages: PageOf) -> schemas.HistoryEntry:
    return schemas.HistoryEntry(
        **_told(entry.commit, pages),
        changes=[_changed(file) for file in entry.changes.files],
        more_changes=entry.changes.more,
        live=_is_live(entry.commit.commit, live),
    )


def _changed(file: FileChange) -> ChangedFile:
    return ChangedFile(**vars(file))


def _diff(file: FileTexts) -> FileDiff:
    return FileDiff(**vars(file.change), diff=file.diff, old=file.old, new=file.new)


def _version(past: PastVersion, live: tuple[bool, str | None], pages: PageOf) -> Version:
    then = past.snapshot
    return Version(
        **_told(past.commit, pages),
        parent=past.commit.base,
        live=_is_live(past.commit.commit, live),
        exists=then.exists,
        name=past.app.name if past.app else past.commit.ref.app_id,
        entrypoint=past.app.entrypoint if past.app else DEFAULT_ENTRYPOINT,
        env=dict(past.app.env) if past.app else {},
        files=_texts(then, "code/"),
        overlay=_texts(then, "overlay/"),
        omitted=list(then.omitted),
        changes=[_diff(file) for file in then.changes],
        more_changes=then.more,
    )


def _texts(then: Snapshot, prefix: str) -> dict[str, str]:
    return {
        path.removeprefix(prefix): data.decode("utf-8", "replace")
        for path, data in then.files.items()
        if path.startswith(prefix)
    }


def _audited(commit: AuditedCommit, pages: PageOf) -> AuditEntry:
    apps = [schemas.TouchedApp(user_id=ref.user_id, app_id=ref.app_id) for ref in commit.apps]
    return AuditEntry(**_told(commit, pages), apps=apps, more_apps=commit.app_count - len(apps))
