"""A real smart-HTTP git server: git's own `http-backend` behind a small CGI bridge, with faults.

It listens on loopback, unless it is for a cluster elsewhere. What goes wrong is decided by `fault`,
a function that may be replaced at any time; what happened is counted.
"""

import base64
import os
import socket
import struct
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

#: refuse: reset at once · before: closed when all was read, git never ran · after: git ran, its
#: answer is lost · busy: 503 · stall: nothing happens until the server is released.
Fault = Literal["refuse", "before", "after", "busy", "stall"]
#: What a request wants: the branches for a push or for a fetch, or the push or fetch itself.
Step = Literal["push-refs", "push", "fetch-refs", "fetch"]


def no_fault(step: Step) -> Fault | None:
    return None


def once(wanted: Step, fault: Fault) -> Callable[[Step], Fault | None]:
    """A fault that happens to the next request of a kind."""
    left = [fault]
    return lambda step: left.pop() if step == wanted and left else None


@dataclass
class GitServer:
    """Serves the bare repositories below `root`."""

    root: Path
    users: dict[str, str] = field(default_factory=dict)  # name → password; none: open to everybody
    #: Password → who that is, for the hooks of a repository: its REMOTE_USER.
    known: dict[str, str] = field(default_factory=dict)
    #: Decides instead of `users`, from name and password.
    opens: Callable[[str, str], bool] | None = None
    fault: Callable[[Step], Fault | None] = no_fault
    counts: Counter[str] = field(default_factory=Counter)  # of steps, and of "<fault>:<step>"
    #: With connections that stay open, curl repeats by itself a request that got no answer.
    keep_alive: bool = False
    released: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    host: str = "127.0.0.1"
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, name: str) -> str:
        return f"http://{self.host}:{self.port}/{name}"

    def count(self, *names: str) -> None:
        with self._lock:
            self.counts.update(names)

    @contextmanager
    def running(self) -> Iterator["GitServer"]:
        """Listen while the context lasts; a second time on the same port."""
        handler = type("Handler", (_Bridge,), {"served": self})
        with _Server((self.host, self.port), handler) as server:
            self.port = server.server_address[1]
            self.released.clear()
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                self.released.set()
                server.shutdown()
                thread.join()


def bare(root: Path, name: str, **config: str) -> Path:
    """An empty bare repository that may be pushed to over HTTP."""
    path = root / name
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path], check=True)
    for key, value in {"http.receivepack": "true", "receive.autogc": "false", **config}.items():
        subprocess.run(["git", "-C", path, "config", key, value], check=True)
    return path


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class _Bridge(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: GitServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name upstream)
        """Quiet."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:  # noqa: PLR0911  (one for each way to end)
        step = self._step()
        self.served.count(step)
        fault = self.served.fault(step)
        if fault:
            self.served.count(f"{fault}:{step}")
        if fault == "refuse":
            return self._cut(reset=True)
        body = self._body()
        if fault == "stall":
            self.served.released.wait(60)
            return self._cut(reset=True)
        if fault == "before":
            return self._cut(reset=False)
        if fault == "busy":
            return self._answer(503, [("Content-Type", "text/plain")], b"busy\n")
        if not self._may():
            return self._answer(401, [("WWW-Authenticate", 'Basic realm="git"')], b"who?\n")
        status, headers, content = self._backend(body)
        if fault == "after":
            return self._cut(reset=False)
        return self._answer(status, headers, content)

    def _step(self) -> Step:
        url = urlsplit(self.path)
        push = "git-receive-pack" in (url.query if url.path.endswith("/info/refs") else url.path)
        if url.path.endswith("/info/refs"):
            return "push-refs" if push else "fetch-refs"
        return "push" if push else "fetch"

    def _credential(self) -> tuple[str, str] | None:
        kind, _, token = (self.headers["Authorization"] or "").partition(" ")
        if kind != "Basic":
            return None
        name, _, password = base64.b64decode(token).decode().partition(":")
        return name, password

    def _may(self) -> bool:
        if not self.served.users and not self.served.opens:
            return True
        credential = self._credential()
        if credential is None:
            return False
        name, password = credential
        if self.served.opens:
            return self.served.opens(name, password)
        return self.served.users.get(name) == password

    def _body(self) -> bytes:
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        parts = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _backend(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        url = urlsplit(self.path)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.served.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": self.headers["Content-Type"] or "",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers["Content-Encoding"] or "",
            "GIT_PROTOCOL": self.headers["Git-Protocol"] or "",
            "REMOTE_ADDR": "127.0.0.1",
        }
        if credential := self._credential():
            environment["REMOTE_USER"] = self.served.known.get(credential[1], credential[0])
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [
            (name, value)
            for name, _, value in (line.partition(": ") for line in head.decode().splitlines())
        ]
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
        return status, [pair for pair in headers if pair[0] != "Status"], content

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        if not self.served.keep_alive:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def _cut(self, *, reset: bool) -> None:
        if reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        else:
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True
