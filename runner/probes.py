"""The runner's own port, which says whether this process lives and serves.

A thread of its own with plain sockets, so that the learner's routes, their errors and a blocked
event loop change nothing about the answer, and so that nothing heavy is imported for it.
"""

import contextlib
import json
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

#: A loop silent for this long does not serve: /ready says so. A handler that calls `time.sleep(5)`
#: is a beginner's mistake, and waiting for it is better than being told "no server available".
SILENT_SECONDS = 10.0
#: A loop silent for this long will not come back: /live says so, and a restart helps.
STUCK_SECONDS = 60.0
REQUEST_SECONDS = 1.0  # a prober has its request in the first packet
#: Whoever asks /ready before the app serves is answered when it does, or after this long: kubelets
#: ask once a second and wait for one, so that half a second of every start would be lost.
HOLD_SECONDS = 0.8
LOOK_MILLISECONDS = 20
MOST_HELD = 16


class Exchange(Protocol):
    """A request with its answer; hashed by identity."""

    def goes_on(self) -> bool:
        """Whether somebody still waits for it, sends or listens."""


@dataclass
class Health:
    """What the probes answer from; written by the main thread, read by the probes' thread."""

    intent: str
    serving: bool = False  # startup is done and the process was not asked to stop
    served: bool = False  # it was serving once
    answered: float | None = None  # time.monotonic() when the event loop last ran; None before
    #: Requests, streams and WebSockets under way, without the platform's probes.
    exchanges: set[Exchange] = field(default_factory=set)

    @property
    def open(self) -> int:
        """How many of them go on: a handler may run for ever after its client has left."""
        # A copy, in one step: the main thread changes the set meanwhile.
        return sum(each.goes_on() for each in tuple(self.exchanges))

    def silent(self) -> float:
        """Seconds since the event loop last ran; 0 before it started."""
        return time.monotonic() - self.answered if self.answered is not None else 0.0

    def waits(self) -> bool:
        """Whether the app is still starting, so that a better answer may come in a moment."""
        if self.serving:
            self.served = True
        return not self.served

    def answer(self, path: str) -> tuple[int, dict[str, object]]:
        """Status and JSON body of one probe."""
        silent = self.silent()
        body: dict[str, object] = {"intent": self.intent, "loop_silent_seconds": round(silent, 1)}
        if path == "/ready":
            return (200 if self.serving and silent < SILENT_SECONDS else 503), body
        if path == "/live":
            return (200 if silent < STUCK_SECONDS else 503), body
        if path == "/usage":
            return 200, {"intent": self.intent, "open": self.open}
        return 404, {"message": "Here are only /ready, /live and /usage."}


def start_probes(listener: socket.socket, health: Health, parent_fd: int | None) -> None:
    """Answer probes for as long as the process lives; ask it to stop when `parent_fd` closes."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    held: list[Held] = []
    actions: dict[int, Callable[[], None]] = {
        listener.fileno(): lambda: _accept(listener, health, held)
    }
    if parent_fd is not None:
        os.set_inheritable(parent_fd, False)
        poll.register(parent_fd, select.POLLIN)
        actions[parent_fd] = lambda: _watch(parent_fd, poll)

    def serve() -> None:
        while True:
            for descriptor, _ in poll.poll(LOOK_MILLISECONDS if held else None):
                actions[descriptor]()
            held[:] = [one for one in held if not one.answered(health)]

    threading.Thread(target=serve, name="fastapi-platform-probes", daemon=True).start()


@dataclass(frozen=True)
class Held:
    """A question about readiness that came before there was a good answer."""

    connection: socket.socket
    since: float  # time.monotonic()

    def answered(self, health: Health) -> bool:
        """Whether it was time to answer, and that was tried."""
        if health.waits() and time.monotonic() - self.since < HOLD_SECONDS:
            return False
        _answer(self.connection, "/ready", health)
        return True


def _accept(listener: socket.socket, health: Health, held: list[Held]) -> None:
    try:
        connection, _ = listener.accept()
        connection.settimeout(REQUEST_SECONDS)
        words = connection.recv(4096).split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    except OSError:
        return  # the prober went away or sent nothing: it learns nothing, the next one does
    path = words[1].partition("?")[0] if len(words) > 1 else ""
    if path == "/ready" and health.waits() and len(held) < MOST_HELD:
        held.append(Held(connection, time.monotonic()))
    else:
        _answer(connection, path, health)


def _answer(connection: socket.socket, path: str, health: Health) -> None:
    status, body = health.answer(path)
    reason = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}[status]
    content = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(content)}\r\nconnection: close\r\n\r\n"
    )
    with connection, contextlib.suppress(OSError):  # the prober went away
        connection.sendall(head.encode() + content)


def _watch(parent_fd: int, poll: select.poll) -> None:
    if not os.read(parent_fd, 4096):
        poll.unregister(parent_fd)
        os.kill(os.getpid(), signal.SIGTERM)
