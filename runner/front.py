"""What stands between the router and the learner's app: prefix, forwarded host, one log line."""

import contextlib
import logging
import os
import sys
import time
from typing import Any, TextIO

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from environment import Environment
from probes import Health

logger = logging.getLogger("uvicorn.error")

PROBE_HEADER = (b"fastapi-platform-probe", b"1")
MAX_LOGGED_PATH = 300


class Front(ProxyHeadersMiddleware):
    """The ASGI application that uvicorn serves: the learner's, seen from behind the router."""

    def __init__(self, app: Any, environment: Environment, health: Health) -> None:
        super().__init__(self._serve, environment.trusted)
        self.health = health
        self.learners = app
        self.root = environment.root_path.encode("ascii")
        self.intent = environment.intent.encode("latin-1")
        self.lifespan_error: BaseException | None = None
        self.log = sys.stdout  # theirs may be redirected while a request runs

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection's scope (ASGI 3)."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        if scope["type"] == "http" and PROBE_HEADER in scope["headers"]:
            await self._answer_probe(send)
            return
        client = scope.get("client")
        if client and client[0] in self.trusted_hosts:
            _use_forwarded_host(scope)
        # The router counts what has ended: what goes on for days, only this tells.
        exchange = _Exchange(receive)
        self.health.exchanges.add(exchange)

        async def noted(message: Any) -> None:
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self.health.exchanges.discard(exchange)

        try:
            await super().__call__(scope, receive, noted)
        finally:
            self.health.exchanges.discard(exchange)

    async def _lifespan(self, scope: Any, receive: Any, send: Any) -> None:
        failed = False

        async def without_text(message: Any) -> None:
            # The text is the whole traceback; the learner's part of it is printed at the end.
            nonlocal failed
            failed = message["type"].endswith(".failed")
            await send({"type": message["type"]})

        try:
            await self.learners(scope, receive, without_text)
        except BaseException as error:
            if failed:  # otherwise an ASGI application that knows no lifespan, which is allowed
                self.lifespan_error = error
            raise

    async def _answer_probe(self, send: Any) -> None:
        headers = [(b"fastapi-platform-intent", self.intent)]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        line = _LogLine(scope, self.root, self.log)

        async def watched(message: Any) -> None:
            if self.root and "headers" in message:
                message = {**message, "headers": self._under_root(message["headers"])}
            await send(message)
            line.sent(message)

        try:
            await self.learners(scope, receive, watched)
        except Exception:
            if scope["type"] != "http" or not line.written:
                raise  # uvicorn answers 500, or closes what was begun
            # The answer is complete (Starlette sends the 500 and raises all the same), so the
            # connection stays in step: closing it would fail the router's next request on it.
            logger.exception("Exception in ASGI application")
        finally:
            line.write()

    def _under_root(self, headers: Any) -> list[tuple[bytes, bytes]]:
        """The response's headers as the browser must see them: the router stripped the prefix.

        An unchanged `RedirectResponse("/docs")` lands on the app's own page, and cookies go to
        this app and no other on the same host.
        """
        return [
            (name, self._location(value))
            if name.lower() == b"location"
            else (name, self._cookie(value))
            if name.lower() == b"set-cookie"
            else (name, value)
            for name, value in headers
        ]

    def _location(self, value: bytes) -> bytes:
        return value if value.startswith(b"//") else self._path(value)

    def _cookie(self, value: bytes) -> bytes:
        if value.startswith(b"__Host-"):  # browsers take it with `Path=/` only
            return value
        parts = value.split(b";")
        for index, part in enumerate(parts):
            name, equals, path = part.partition(b"=")
            if name.strip().lower() == b"path":
                path = path.strip()
                parts[index] = name + equals + (self.root if path == b"/" else self._path(path))
        return b";".join(parts)

    def _path(self, path: bytes) -> bytes:
        inside = path == self.root or path.startswith((self.root + b"/", self.root + b"?"))
        return self.root + path if path.startswith(b"/") and not inside else path


class _Exchange:
    """A request, stream or WebSocket from its beginning until its answer is complete."""

    def __init__(self, receive: Any) -> None:
        # uvicorn's own, for ASGI tells of a client that left only to a handler that asks.
        self.transport = getattr(getattr(receive, "__self__", None), "transport", None)

    def goes_on(self) -> bool:
        """Whether its client is still there, as far as that is known."""
        return self.transport is None or not self.transport.is_closing()


class _LogLine:
    """One line a request: method, path, status, milliseconds until the last byte was handed over.

    The query stays out: it may carry what nobody should read in a log.
    """

    def __init__(self, scope: Any, root: bytes, log: TextIO) -> None:
        self.log = log
        self.started = time.perf_counter()
        self.method = scope.get("method", "WEBSOCKET")
        path = scope["raw_path"].removeprefix(root).decode("ascii", "backslashreplace")
        self.path = path if path.isprintable() else repr(path)
        self.status = 500  # what the server answers when nothing was sent
        self.written = False

    def sent(self, message: Any) -> None:
        kind = message["type"]
        if kind in {"http.response.start", "websocket.http.response.start"}:
            self.status = message["status"]
        elif kind == "websocket.accept":
            self.status = 101
            self.write()
        elif kind == "websocket.close":
            self.status = 403  # before it was accepted; afterwards the line is written
            self.write()
        elif kind == "http.response.body" and not message.get("more_body"):
            self.write()

    def write(self) -> None:
        if self.written:
            return
        self.written = True
        elapsed = (time.perf_counter() - self.started) * 1000
        path = self.path[:MAX_LOGGED_PATH]
        with contextlib.suppress(OSError):  # nobody reads: the request goes on all the same
            self.log.write(f"{self.method} {path} {self.status} {elapsed:.1f} ms\n")
            self.log.flush()


def _use_forwarded_host(scope: Any) -> None:
    """Put the host that the browser asked for where the app looks for it."""
    headers = scope["headers"]
    for name, value in headers:
        if name == b"x-forwarded-host" and value:
            host = value.partition(b",")[0].strip()
            scope["headers"] = [(b"host", host), *(pair for pair in headers if pair[0] != b"host")]
            return


def adapt(app: Any, workdir: str) -> None:
    """Add `/health` and the files of `static/` behind everything that the app has itself.

    Both answer only where its router found no route, mount or redirect, so nothing is shadowed
    and neither shows in /docs.
    """
    if getattr(app, "root_path", ""):
        print(f"fastapi-platform: root_path={app.root_path!r} is replaced by the app's address.")
        app.root_path = ""
    router = getattr(app, "router", None)
    theirs = getattr(router, "default", None)
    if router is None or theirs is None:
        return  # some other ASGI application: all of it is the learner's
    files = _static_files(os.path.join(workdir, "static"))

    async def default(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        reads = scope["type"] == "http" and scope["method"] in {"GET", "HEAD"}
        if reads and path == "/health":
            await _answer_health(send)
        elif reads and files and path.startswith("/static/"):
            below = {**scope, "root_path": scope.get("root_path", "") + "/static"}
            await files(below, receive, send)
        else:
            await theirs(scope, receive, send)

    router.default = default


def _static_files(folder: str) -> Any:
    if not os.path.isdir(folder):
        return None
    from starlette.staticfiles import StaticFiles  # noqa: PLC0415 - most apps have no such folder

    return StaticFiles(directory=folder)


async def _answer_health(send: Any) -> None:
    body = b'{"status":"ok"}'
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
