"""Webhooks of the forge that holds the repository."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field

from api import webhooks
from api.dependencies import CurrentPlatform
from api.domain.forge_events import ForgeName
from api.errors import NotFound
from api.routes.errors import documented
from api.webhooks import MAX_BYTES, Delivery, Outcome

router = APIRouter(tags=["platform"])


class Received(BaseModel):
    """The message was understood; what comes of it is on the forge's own pages."""

    outcome: Outcome = Field(
        description="`publishing`: a look at `main`; `checking`: a pull request's head is checked, "
        "and its status tells; `nothing`: the platform has no use for it."
    )


def _webhooks(platform: CurrentPlatform) -> webhooks.Webhooks:
    if platform.webhooks is None:
        raise NotFound(
            "This platform takes no webhooks.", hint="An operator sets FORGE_WEBHOOK_SECRET_FILE."
        )
    return platform.webhooks


async def _body(request: Request) -> bytes:
    # To the end, which BodyLimit bounds: a router that is cut off while it sends answers 502.
    if len(body := await request.body()) > MAX_BYTES:
        raise HTTPException(413)
    return body


@router.post(
    "/api/hooks/{forge}", status_code=202, responses=documented(401, 404, 413, 422, 429, 503)
)
async def receive_webhook(
    forge: ForgeName,
    request: Request,
    receiver: Annotated[webhooks.Webhooks, Depends(_webhooks)],
) -> Received:
    """Hear that `main` or a pull request moved; signed with the webhook's secret.

    Bodies are JSON of the forge's own shape, 2 MiB at most. Delivering one again does no harm.
    """
    delivery = Delivery(forge, dict(request.headers), await _body(request))
    return Received(outcome=await receiver.receive(delivery))
