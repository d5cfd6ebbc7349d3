"""Around every request: headers, a request id, a log line, metrics, a limit on the body.

Plain ASGI, so that event streams pass through as they are.
"""

import asyncio
import logging
import re
import secrets
import time
from contextlib import suppress
from typing import Final
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.clients.metrics import Metrics
from api.log import request_id
from api.routes.errors import error_response, internal_error

MAX_BODY: Final = 8 * 1024 * 1024  # bytes; an app has at most 900 KiB, JSON may escape each byte

#: What more comes is taken and thrown away, up to so much and so long, before it is refused: a
#: router that is cut off while it still sends answers 502 in the platform's place.
_REST: Final = 8 * 1024 * 1024
_REST_SECONDS: Final = 2.0

_SANE_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_QUIET: Final = frozenset(("/healthz", "/readyz", "/metrics"))  # asked every few seconds
_access = logging.getLogger("api.access")
_logger = logging.getLogger(__name__)

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; script-src 'self'; "
    "style-src 'self' 'unsafe-inline'; "  # Monaco sets styles while it runs
    "worker-src 'self' blob:; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
#: On everything of the platform's origin: a learner's page is another origin and gets nothing.
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class SecurityHeaders:
    """Sets SECURITY_HEADERS, and `Cache-Control: no-store` on the API's answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                if scope["path"].startswith("/api/"):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        await self._app(scope, receive, send_with_headers)


class RequestLog:
    """Gives each request an id, a log line and a place in the metrics; answers unexpected errors.

    A sane `X-Request-Id` is taken over, so that an id can be followed from the router on.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        token = request_id.set(given if _SANE_ID.fullmatch(given) else secrets.token_hex(8))
        answer = _Answer()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.start(message["status"])
                MutableHeaders(scope=message)["X-Request-Id"] = request_id.get()
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            _logger.exception("unexpected error")
            if answer.status:  # too late for another answer; the server ends the connection
                raise
            await error_response(internal_error())(scope, receive, send_with_id)
        finally:
            self._record(scope, answer)
            request_id.reset(token)

    def _record(self, scope: Scope, answer: "_Answer") -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = getattr(scope.get("route"), "path", "unmatched")
        self._metrics.count_request(method, route, answer.status, answer.seconds)
        # Percent-encoded, and without the query: what people type there is not the log's business.
        path = quote(scope["path"])
        level = logging.DEBUG if scope["path"] in _QUIET else logging.INFO
        milliseconds = answer.seconds * 1000
        fields = {
            "method": method,
            "path": path,
            "route": route,
            "status": answer.status,
            "milliseconds": round(milliseconds, 1),
        }
        words = (method, path, answer.status, milliseconds)
        _access.log(level, "%s %s %s %.1f ms", *words, extra=fields)


class _Answer:
    """When a response began, and its status (0 until then)."""

    def __init__(self) -> None:
        self.status = 0
        self._asked = time.perf_counter()
        self.seconds = 0.0

    def start(self, status: int) -> None:
        self.status = status
        self.seconds = time.perf_counter() - self._asked


def _too_large() -> HTTPException:
    # The connection ends with the answer: otherwise the rest would be read, and thrown away.
    return HTTPException(413, headers={"Connection": "close"})


async def _throw_away(receive: Receive) -> None:
    """Take the rest of a body, within bounds."""
    left = _REST
    with suppress(TimeoutError):
        async with asyncio.timeout(_REST_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body"):  # also when the client has left
                    return


class BodyLimit:
    """Refuses bodies over MAX_BODY bytes, announced or not, before they fill the memory."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        length = int(announced[:20]) if announced.isdecimal() else 0
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            if length > MAX_BODY + _REST:
                raise _too_large()
            message = await receive()
            received += len(message.get("body", b""))
            if max(length, received) > MAX_BODY:
                if message.get("more_body"):
                    await _throw_away(receive)
                raise _too_large()
            return message

        await self._app(scope, receive_within_limit, send)
