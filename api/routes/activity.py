"""Use of an app that no router sees: an editor in which it is open."""

from datetime import UTC, datetime

from fastapi import APIRouter

from api.dependencies import CurrentUser, Intents, Store
from api.domain.names import AppRef
from api.routes.again import LooksAgain
from api.routes.errors import documented
from api.routes.schemas import Used

router = APIRouter(prefix="/api/apps", tags=["apps"], route_class=LooksAgain)


@router.post("/{app_id}/activity", status_code=202, responses=documented(401, 403, 404))
async def note_activity(app_id: str, user: CurrentUser, intents: Intents, store: Store) -> Used:
    """Say that somebody works on the app: it counts as used in this minute."""
    app = await intents.app(AppRef(user.user_id, app_id))
    now = datetime.now(UTC)
    await store.touch_many([app.ref], now)
    return Used(last_activity_at=now.replace(second=0, microsecond=0))
