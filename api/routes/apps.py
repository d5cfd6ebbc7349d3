"""A person's own apps over HTTP; anybody else's are not found."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response

from api.clients.cluster import LogLine as Line
from api.dependencies import (
    ClusterView,
    CurrentUser,
    Deployments,
    Following,
    Intents,
    RequestId,
    Rollouts,
    Validating,
)
from api.domain import source_check
from api.domain.drafts import AppDraft
from api.domain.names import AppRef
from api.intents import StoredApp
from api.rollouts import Overview
from api.routes.again import LooksAgain
from api.routes.errors import documented
from api.routes.schemas import (
    App,
    AppCreate,
    AppDetail,
    AppList,
    AppStatus,
    AppUpdate,
    Commit,
    Deploy,
    DeployStatus,
    Diagnostic,
    LogLine,
    Logs,
    ValidateRequest,
    Validation,
)
from api.routes.sse import EventStream

router = APIRouter(prefix="/api/apps", tags=["apps"], route_class=LooksAgain)
_ANY = documented(401, 403)
_OWN = documented(401, 403, 404)
_Responses = dict[int | str, dict[str, Any]]
_STREAM: _Responses = {
    200: {"content": {"text/event-stream": {}}, "description": "Events, until it ended."}
}
_ZIP: _Responses = {200: {"content": {"application/zip": {}}, "description": "The files."}}


def _ref(app_id: str, user: CurrentUser) -> AppRef:
    return AppRef(user.user_id, app_id)


async def _own(ref: Annotated[AppRef, Depends(_ref)], intents: Intents) -> StoredApp:
    return await intents.app(ref)


#: The app under the caller's own id: whoever names another's finds nothing there.
Ref = Annotated[AppRef, Depends(_ref)]
Own = Annotated[StoredApp, Depends(_own)]
Key = Annotated[
    str | None, Header(alias="Idempotency-Key", description="Repeat a request without harm.")
]


@router.get("", responses=_ANY)
async def list_apps(user: CurrentUser, intents: Intents, rollouts: Rollouts) -> AppList:
    """Your apps, newest deploy first."""
    apps = await intents.apps(user.user_id)
    overviews = await rollouts.overviews(apps)
    return AppList(apps=[App(**app_fields(overview)) for overview in overviews])


@router.post("", status_code=202, responses=documented(401, 403, 409))
async def create_app(
    body: AppCreate,
    user: CurrentUser,
    deployments: Deployments,
    rollouts: Rollouts,
    request_id: RequestId,
    key: Key = None,
) -> Deploy:
    """Deploy a new app: checked, committed on `main`, published."""
    app = await deployments.create(user, AppDraft(**dict(body)), request_id, key)
    return Deploy(**app_fields(await rollouts.overview_after_deploy(app)))


@router.post("/validate", responses=documented(401, 403, 429), dependencies=[Validating])
async def validate(body: ValidateRequest, _: CurrentUser, deployments: Deployments) -> Validation:
    """Check code without deploying it."""
    draft = AppDraft(code=body.code, files=body.files, entrypoint=body.entrypoint)
    return _validation(await deployments.validate(draft, None))


@router.get("/{app_id}", responses=_OWN)
async def read_app(app: Own, rollouts: Rollouts) -> AppDetail:
    """One app with its files."""
    fields = app_fields((await rollouts.overviews([app]))[0])
    return AppDetail(**fields, files=app.texts(), env=dict(app.env))


@router.put("/{app_id}", status_code=202, responses=documented(401, 403, 404, 409))
async def update_app(
    ref: Ref,
    body: AppUpdate,
    user: CurrentUser,
    deployments: Deployments,
    rollouts: Rollouts,
    request_id: RequestId,
) -> Deploy:
    """Deploy a change; the same content again makes no commit."""
    draft = AppDraft(**body.model_dump(exclude={"base_commit"}))
    app = await deployments.update(user, ref, draft, body.base_commit, request_id)
    return Deploy(**app_fields(await rollouts.overview_after_deploy(app)))


@router.delete("/{app_id}", status_code=202, responses=_OWN)
async def delete_app(
    ref: Ref, user: CurrentUser, deployments: Deployments, request_id: RequestId
) -> Commit:
    """Delete an app by a commit; its history stays in the repository."""
    return Commit(commit=await deployments.delete(user, ref, request_id))


@router.post(
    "/{app_id}/validate",
    responses=documented(401, 403, 404, 429),
    dependencies=[Validating],
)
async def validate_app(app: Own, body: ValidateRequest, deployments: Deployments) -> Validation:
    """Check a change of an app without deploying it; what is left out is as deployed."""
    draft = AppDraft(code=body.code, files=body.files, entrypoint=body.entrypoint)
    return _validation(await deployments.validate(draft, app))


@router.get("/{app_id}/status", responses=_OWN)
async def status(ref: Ref, rollouts: Rollouts) -> AppStatus:
    """What runs now."""
    return AppStatus(**vars(await rollouts.status(ref)))


@router.get("/{app_id}/deploy-status", responses=_OWN)
async def deploy_status(ref: Ref, rollouts: Rollouts) -> DeployStatus:
    """How far the newest change on `main` has come, whoever made it."""
    return DeployStatus.model_validate(await rollouts.progress(ref), from_attributes=True)


# The status is said, because OpenAPI cannot be made from a response class without one.
@router.get("/{app_id}/events", status_code=200, responses=_OWN | _STREAM, response_class=Response)
async def events(ref: Ref, rollouts: Rollouts) -> EventStream:
    """The same as deploy-status, as events named `status`, until live, failed or superseded."""
    await rollouts.progress(ref)  # not found is an answer, not an event

    async def statuses() -> AsyncIterator[DeployStatus]:
        async for progress in rollouts.follow(ref):
            yield DeployStatus.model_validate(progress, from_attributes=True)

    return EventStream("status", statuses())


@router.get(
    "/{app_id}/logs",
    responses=documented(401, 403, 404, 429) | _STREAM,
    response_model=Logs,
    dependencies=[Following],
)
async def logs(
    app: Own,
    cluster: ClusterView,
    *,
    follow: bool = False,
    previous: bool = False,
    tail: Annotated[int, Query(ge=1, le=2000)] = 200,
) -> Logs | EventStream:
    """The app's output, oldest first; `follow` streams events named `line`."""
    lines = cluster.logs(app.ref, follow=follow, previous=previous, tail=tail)
    if not follow:
        return Logs(lines=[_line(line) async for line in lines])
    return EventStream("line", (_line(line) async for line in lines))


@router.get(
    "/{app_id}/download",
    responses=_OWN | _ZIP,
    response_class=Response,
)
async def download(app: Own) -> Response:
    """The app's files as a zip archive."""
    archive = await asyncio.to_thread(_zipped, app)
    headers = {"Content-Disposition": f'attachment; filename="{app.ref.app_id}.zip"'}
    return Response(archive, media_type="application/zip", headers=headers)


def _zipped(app: StoredApp) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in sorted(app.files.items()):
            archive.writestr(f"{app.ref.app_id}/{path}", data)
    return buffer.getvalue()


def app_fields(overview: Overview) -> dict[str, object]:
    """What the shapes `App` and `Deploy` say of an app."""
    app = overview.app
    return {
        "app_id": app.ref.app_id,
        "user_id": app.ref.user_id,
        "name": app.name,
        "url": overview.url,
        "entrypoint": app.entrypoint,
        "status": overview.status,
        "commit": app.commit,
        "created_at": app.created_at,
        "deployed_at": app.deployed_at,
        "last_activity_at": overview.last_activity_at,
        "hibernates_at": overview.hibernates_at,
        "expires_at": overview.expires_at,
        "pinned": app.file is not None and app.file.pinned,
    }


def _validation(found: list[source_check.Diagnostic]) -> Validation:
    return Validation(
        valid=source_check.is_valid(found), diagnostics=[Diagnostic(**vars(d)) for d in found]
    )


def _line(line: Line) -> LogLine:
    return LogLine(at=line.at, text=line.text, pod=line.pod)
