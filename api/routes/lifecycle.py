"""An app's rest over HTTP: restart, sleep, wake, pin, and what was removed lately."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.dependencies import CurrentUser, Lifecycle, RequestId, Resting, Rollouts
from api.intents import StoredApp
from api.routes.again import LooksAgain
from api.routes.apps import Ref, app_fields
from api.routes.errors import documented
from api.routes.schemas import Commit, Deploy

router = APIRouter(tags=["apps"], route_class=LooksAgain)
_OWN = documented(401, 403, 404)


class RemovedApp(BaseModel):
    """An app that is not on `main` any more; `restore` brings it back under its old address."""

    app_id: str
    name: str
    url: str
    removed_at: datetime
    idle: bool = Field(description="Removed because nobody used it; false when it was deleted.")
    reserved_until: datetime = Field(
        description="Until then it is listed here, and an idle one is woken by a visit."
    )
    commit: str = Field(description="The commit that removed it.")


class RemovedApps(BaseModel):
    """Reserved for whoever had them."""

    apps: list[RemovedApp] = Field(description="The last removed first.")


@router.get("/api/removed-apps", responses=documented(401, 403))
async def list_removed_apps(user: CurrentUser, resting: Resting, rollouts: Rollouts) -> RemovedApps:
    """Your apps that were removed or deleted within 30 days."""
    return RemovedApps(
        apps=[
            RemovedApp(
                app_id=app.ref.app_id,
                name=app.name,
                url=rollouts.url(app.ref),
                removed_at=app.removal.at,
                idle=app.idle,
                reserved_until=app.reserved_until,
                commit=app.removal.commit,
            )
            for app in await resting.removed(user.user_id)
        ]
    )


@router.post("/api/apps/{app_id}/restart", status_code=202, responses=_OWN)
async def restart(
    ref: Ref, user: CurrentUser, lifecycle: Lifecycle, request_id: RequestId
) -> Commit:
    """Start the app anew; files it has written are gone then."""
    return Commit(commit=(await lifecycle.restart(user, ref, request_id)).commit)


@router.post("/api/apps/{app_id}/hibernate", status_code=202, responses=_OWN)
async def hibernate(
    ref: Ref, user: CurrentUser, lifecycle: Lifecycle, rollouts: Rollouts, request_id: RequestId
) -> Deploy:
    """Put the app to sleep by a commit: it stops, and wakes when somebody opens its address."""
    return await _deploy(await lifecycle.hibernate(user, ref, request_id), rollouts)


@router.post(
    "/api/apps/{app_id}/wake", status_code=202, responses=documented(401, 403, 404, 409, 410)
)
async def wake(
    ref: Ref, user: CurrentUser, lifecycle: Lifecycle, rollouts: Rollouts, request_id: RequestId
) -> Deploy:
    """Wake the app by a commit; one that the cleanup removed comes back as it was last."""
    return await _deploy(await lifecycle.wake(user, ref, request_id), rollouts)


@router.post("/api/apps/{app_id}/pin", status_code=202, responses=documented(401, 403, 404, 409))
async def pin(
    ref: Ref, user: CurrentUser, lifecycle: Lifecycle, rollouts: Rollouts, request_id: RequestId
) -> Deploy:
    """Keep the app although nobody uses it; restarts nothing. 409 `pin_limit` for too many."""
    return await _deploy(await lifecycle.pin(user, ref, request_id), rollouts)


@router.delete("/api/apps/{app_id}/pin", status_code=202, responses=_OWN)
async def unpin(
    ref: Ref, user: CurrentUser, lifecycle: Lifecycle, rollouts: Rollouts, request_id: RequestId
) -> Deploy:
    """Let the app fall asleep again when nobody uses it; restarts nothing."""
    return await _deploy(await lifecycle.unpin(user, ref, request_id), rollouts)


async def _deploy(app: StoredApp, rollouts: Rollouts) -> Deploy:
    return Deploy(**app_fields(await rollouts.overview_after_deploy(app)))
