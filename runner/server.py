"""The server: uvicorn with one worker, whose state the probes can see."""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Collection, Generator
from types import FrameType
from typing import Any

import uvicorn

from failure import learner_traceback
from front import Front
from probes import Health

#: Longer than the router keeps an idle connection (Traefik: 90 s), so that it never sends a
#: request on one that is being closed here.
KEEP_ALIVE_SECONDS = 100
#: Of the time to stop, what open requests leave for the app's own shutdown.
SHUTDOWN_SECONDS = 3


def websocket_protocol(**arguments: Any) -> Any:
    """Make uvicorn's WebSocket protocol; imported for the first WebSocket, not for every start."""
    from uvicorn.protocols.websockets.websockets_sansio_impl import (  # noqa: PLC0415 - as above
        WebSocketsSansIOProtocol,
    )

    return WebSocketsSansIOProtocol(**arguments)


class AppServer(uvicorn.Server):
    """uvicorn's server, which tells the probes how it is."""

    def __init__(self, config: uvicorn.Config, health: Health) -> None:
        super().__init__(config)
        self.health = health

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app, then listen; from here on it serves."""
        await super().startup(sockets)
        self.health.answered = time.monotonic()
        self.health.serving = not self.should_exit

    async def on_tick(self, counter: int) -> bool:
        """Run ten times a second, whenever the event loop is not blocked."""
        self.health.answered = time.monotonic()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close what is open, then let the app's own shutdown run."""
        self.health.answered = None  # no ticks from here on: silence means nothing
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop: not ready from the first moment on."""
        self.health.serving = False
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals alone: the entrypoint handles them since the process started."""
        yield


def make_server(front: Front, health: Health, stop_seconds: int) -> AppServer:
    """A server with one worker on asyncio; its sockets are given when it runs."""
    config = uvicorn.Config(
        front,
        interface="asgi3",
        loop="asyncio",
        http="httptools",
        ws=websocket_protocol,  # type: ignore[arg-type] # uvicorn only calls it
        workers=1,  # or uvicorn would read WEB_CONCURRENCY
        log_config=None,
        access_log=False,
        proxy_headers=False,  # Front does it
        forwarded_allow_ips="",
        root_path=front.root.decode("ascii"),
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, stop_seconds - SHUTDOWN_SECONDS),
    )
    return AppServer(config, health)


class _LearnersLines(logging.Formatter):
    def __init__(self, files: Collection[str]) -> None:
        super().__init__("%(levelname)s: %(message)s")
        self.files = files

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return learner_traceback(ei[1], self.files)


def log_errors(files: Collection[str]) -> None:
    """Errors of requests go to standard error with the learner's lines only.

    Learners log to `uvicorn` and `uvicorn.error` too; uvicorn's own small talk is left out.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_LearnersLines(files))
    package = os.path.dirname(uvicorn.__file__)
    handler.addFilter(
        lambda record: record.levelno >= logging.WARNING or not record.pathname.startswith(package)
    )
    logger = logging.getLogger("uvicorn")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
