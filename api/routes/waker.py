"""The apps' own origin, where no app answers: a page, or JSON, or the app as soon as it is awake.

The router sends here what no app's route takes. Nothing else of the platform is on this origin.
"""

import json
import logging
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api.clients.metrics import Metrics
from api.domain.names import AppRef
from api.domain.visits import Visit, app_at
from api.errors import PlatformError
from api.log import request_id
from api.routes.errors import http_error
from api.routes.middleware import BodyLimit, RequestLog
from api.routes.waiting_page import AWAY, HEADERS, page, words_for
from api.settings import Settings
from api.waker import Told, Waker

_LOG: Final = logging.getLogger(__name__)
#: A person rather sees what is going on than an empty window.
_PAGE_AFTER: Final = 1.5
_LOOPBACKS: Final = ["127.0.0.1", "::1"]
_RETRY_LATER: Final = 5


class AppsOrigin:
    """Takes the requests whose host is the apps'; everything else is the platform's."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        embedded = settings.mode == "embedded"
        # By the host, which has one port only; without a domain by the port, whatever the host.
        apps = urlsplit(settings.apps_origin)
        self._place = (apps.hostname, None) if settings.base_domain else (None, apps.port)
        inner: ASGIApp = RequestLog(BodyLimit(WaitingApp(settings.wake_hold_seconds)), metrics)
        # The router runs on this machine, and says for whom it asks.
        behind: Any = ProxyHeadersMiddleware  # uvicorn's types of ASGI are not Starlette's
        self._waiting: ASGIApp = behind(inner, _LOOPBACKS) if embedded else inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        ours = scope["type"] != "http" or not self._is_apps(scope)
        await (self._app if ours else self._waiting)(scope, receive, send)

    def _is_apps(self, scope: Scope) -> bool:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        try:
            host = urlsplit(f"//{hosts[0].decode('latin-1')}") if hosts else None
            found = (host.hostname, host.port) if host else (None, None)
        except ValueError:  # no host that a browser could name
            return False
        name, port = self._place
        return found[0] == name if name else found[1] == port


class WaitingApp:
    """Answers for an app that no route leads to."""

    def __init__(self, hold_seconds: float) -> None:
        self._hold = hold_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        response = await self._answer(request, scope["app"].state.platform.waker)
        await response(scope, receive, send)

    async def _answer(self, request: Request, waker: Waker) -> Response:
        visit = Visit(request.method, dict(request.headers))
        ref = app_at(_path(request.scope))
        if ref is None:
            return _response(visit, "", Told("unknown"))
        if visit.probes and "application/json" not in visit.headers.get("accept", ""):
            return Response(status_code=503, headers=HEADERS)  # of a router check: not yet
        try:
            told = await self._told(request, waker, visit, ref)
        except (PlatformError, TimeoutError) as error:
            _LOG.warning("%s cannot be woken now: %s", ref, error, exc_info=error.__cause__)
            return _response(visit, ref.app_id, None)
        if told is not None:
            return _response(visit, ref.app_id, told)
        if visit.upgrades:  # a WebSocket is opened at the app itself
            return Response(status_code=307, headers={"Location": _target(request.scope)} | HEADERS)
        return await _handed_on(request, waker, visit, ref)

    async def _told(self, request: Request, waker: Waker, visit: Visit, ref: AppRef) -> Told | None:
        if visit.probes:
            return await waker.look(ref)
        seconds = min(self._hold, _PAGE_AFTER) if _shows_page(visit) else self._hold
        address = request.client.host if request.client else "unknown"
        return await waker.visit(ref, address, request_id.get(), wakes=visit.wakes, seconds=seconds)


async def _handed_on(request: Request, waker: Waker, visit: Visit, ref: AppRef) -> Response:
    """The app's own answer, byte for byte."""
    has_body = "content-length" in visit.headers or "transfer-encoding" in visit.headers
    try:
        answer = await waker.apps.send(
            request.method,
            _target(request.scope).encode("latin-1"),
            request.scope["headers"],
            request.stream() if has_body else None,
        )
    except HTTPException as error:  # the body is too large
        return http_error(error)
    except PlatformError as error:
        _LOG.warning("%s was woken and gave no answer: %s", ref, error.message)
        return _response(visit, ref.app_id, None)
    response = StreamingResponse(
        answer.content(), answer.status, background=BackgroundTask(answer.close)
    )
    response.raw_headers = answer.headers
    return response


def _path(scope: Scope) -> bytes:
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    return path


def _target(scope: Scope) -> str:
    query: bytes = scope["query_string"]
    return (_path(scope) + (b"?" + query if query else b"")).decode("latin-1")


def _shows_page(visit: Visit) -> bool:
    """Whether the page may take the place of what was asked for, and ask again by itself."""
    return visit.wants_page and visit.method == "GET" and not visit.upgrades


def _response(visit: Visit, app_id: str, told: Told | None) -> Response:
    """`told` is None when a part of the platform is away."""
    status = told.status if told else 503
    retry = told.retry_after if told else _RETRY_LATER
    headers = HEADERS | ({"Retry-After": str(retry)} if retry else {})
    if visit.wants_page:
        text = page(told, app_id, refreshes=_shows_page(visit))
        return Response(text, status, headers, media_type="text/html")
    words = words_for(told) if told else AWAY
    error = {
        "code": f"app_{told.state}" if told else "unavailable",
        "message": words.message,
        "hint": words.hint,
        "details": {
            "title": words.title,
            "state": told.state if told else "away",
            "progress": told.progress if told else None,
            "retry_after": retry,
        },
    }
    body = json.dumps({"error": error})
    return Response(body, status, headers, media_type="application/json")
