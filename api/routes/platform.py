"""The platform about itself: health, metrics, what the editor must know before a log-in."""

import asyncio
import logging

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from api import __version__
from api.dependencies import Check, CurrentPlatform
from api.domain.addresses import without_addresses
from api.errors import PlatformError, Unavailable
from api.routes.errors import documented
from api.routes.schemas import Meta

_logger = logging.getLogger(__name__)
CHECK_SECONDS = 5.0
router = APIRouter(tags=["platform"])


class Health(BaseModel):
    """The process answers."""

    status: str = "ok"


class PartHealth(BaseModel):
    """Whether one part can be used, and if not, why; what is amiss with a part that can."""

    ok: bool
    message: str


@router.get("/healthz")
async def healthz() -> Health:
    """Whether the process answers."""
    return Health()


@router.get("/readyz", responses=documented(503))
async def readyz(platform: CurrentPlatform) -> dict[str, PartHealth]:
    """Whether every part can be used; 503 with the same table in `details` when one cannot."""
    answers = await asyncio.gather(*map(_health, platform.checks.values()))
    parts = dict(zip(platform.checks, answers, strict=True))
    broken = [f"{name}: {part.message}" for name, part in parts.items() if not part.ok]
    if broken:
        raise Unavailable(
            "; ".join(broken),
            code="not_ready",
            hint="Repair the part that is named.",
            details={name: part.model_dump() for name, part in parts.items()},
        )
    return parts


@router.get("/metrics", response_class=Response, include_in_schema=False)
async def metrics(platform: CurrentPlatform) -> Response:
    """Figures for Prometheus, and whether each part can be used."""
    answers = await asyncio.gather(*map(_health, platform.checks.values()))
    for name, part in zip(platform.checks, answers, strict=True):
        platform.metrics.note_part(name, ready=part.ok)
    return Response(platform.metrics.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/api/meta")
async def meta(platform: CurrentPlatform) -> Meta:
    """What the editor must know before anybody logs in."""
    settings = platform.settings
    return Meta(
        mode=settings.mode,
        signup=settings.signup,
        apps_origin=settings.apps_origin,
        isolated=platform.cluster.isolated,
        idle_hours=settings.idle_hours,
        max_apps_per_user=settings.max_apps_per_user,
        max_pinned_apps=settings.max_pinned_apps,
        version=__version__,
    )


async def _health(check: Check) -> PartHealth:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            said = await check()
    except TimeoutError:
        return PartHealth(ok=False, message=f"no answer within {CHECK_SECONDS:g} s")
    except PlatformError as error:
        return _told(error.message, ok=False)
    return _told(said or "", ok=True)


def _told(words: str, *, ok: bool) -> PartHealth:
    """For anybody who asks; addresses are for those who read the log."""
    shown = without_addresses(words)
    if shown != words:
        _logger.info("asked for its health: %s", words)
    return PartHealth(ok=ok, message=shown)
