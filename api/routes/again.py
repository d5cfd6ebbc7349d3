"""Routes that look again before they say that something is not there."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.dependencies import current_platform
from api.errors import NotFound, StaleBase
from api.stale_base import UnknownBase


class LooksAgain(APIRoute):
    """Its answer may depend on a commit that another replica has just made.

    An error that says so is raised before anything was changed, so the request is handled once
    more when this replica has caught up; the second answer counts.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, twice where the first answer may be out of date."""
        handle = super().get_route_handler()

        async def handle_again(request: Request) -> Response:
            try:
                return await handle(request)
            except (NotFound, StaleBase, UnknownBase):
                catching_up = current_platform(request).catching_up
                if catching_up is None:
                    raise
                await catching_up.once()
            return await handle(request)

        return handle_again
