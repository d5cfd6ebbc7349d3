"""The part of GitHub's API that mints installation tokens; it checks JWTs as is documented.

It listens on loopback. Its clock is the tests': nothing waits for an hour to pass.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

APP, INSTALLATION = "4711", 815
LONGEST = 600  # seconds that a JWT may be valid ahead


@dataclass
class Clock:
    """Stands in for the module `time` where tokens are kept, and for the host's clock."""

    ahead: float = 0.0  # seconds of the host against this machine
    passed: float = 0.0

    def time(self) -> float:
        return time.time() + self.passed

    def monotonic(self) -> float:
        return time.monotonic() + self.passed

    def host(self) -> float:
        return self.time() + self.ahead


@dataclass
class GithubApi:
    """Mints `ghs_1`, `ghs_2` …, each good for an hour on the host's clock."""

    key: RSAPublicKey
    clock: Clock
    port: int = 0
    tokens: dict[str, float] = field(default_factory=dict)  # token → its end on the host's clock
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    answer: tuple[int, bytes] | None = None  # instead of a token
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v3"

    def opens(self, token: str) -> bool:
        return self.tokens.get(token, 0.0) > self.clock.host()

    @contextmanager
    def running(self) -> Iterator["GithubApi"]:
        handler = type("Handler", (_Api,), {"api": self})
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            self.port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                self.gate.set()
                server.shutdown()
                thread.join()


class _Api(BaseHTTPRequestHandler):
    api: GithubApi

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name upstream)
        """Quiet."""

    def date_time_string(self, timestamp: float | None = None) -> str:  # noqa: ARG002  (its name upstream)
        return format_datetime(datetime.fromtimestamp(self.api.clock.host(), UTC), usegmt=True)

    def do_POST(self) -> None:
        self.api.asked.append((self.path, dict(self.headers)))
        self.api.gate.wait(20)
        status, content = self.api.answer or self._minted()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _minted(self) -> tuple[int, bytes]:
        if problem := self._problem():
            return 401, json.dumps({"message": problem, "status": "401"}).encode()
        if self.path != f"/api/v3/app/installations/{INSTALLATION}/access_tokens":
            return 404, b'{"message": "Not Found", "status": "404"}'
        token, end = f"ghs_{len(self.api.tokens) + 1}", self.api.clock.host() + 3600
        self.api.tokens[token] = end
        when = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return 201, json.dumps({"token": token, "expires_at": when, "permissions": {}}).encode()

    def _problem(self) -> str | None:
        scheme, _, proof = self.headers["Authorization"].partition(" ")
        try:
            claims = jwt.decode(
                proof, self.api.key, ["RS256"],
                # By this host's clock, below; PyJWT asks the machine's.
                options={
                    "require": ["iat", "exp", "iss"], "verify_exp": False, "verify_iat": False
                },
            )  # fmt: skip
        except jwt.InvalidTokenError:
            return "A JSON web token could not be decoded"
        now = self.api.clock.host()
        if scheme != "Bearer" or claims["iss"] != APP:
            return "Integration not found"
        if not claims["iat"] <= now:
            return "'Issued at' claim ('iat') must be an Integer representing the time"
        if not now < claims["exp"] <= now + LONGEST:
            return "'Expiration time' claim ('exp') is too far in the future"
        return None
