"""The real product, started as `make run` starts it, for tests and benchmarks.

Nothing in here knows more than a person at a terminal: HTTP, git, signals.
"""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
import psutil

ROOT = Path(__file__).resolve().parents[1]
PASSWORD = "correct horse battery staple"
START_SECONDS = 60.0
ENDED = {"live", "failed", "superseded"}


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def eventually(what: str, look: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true answer of `look`; AssertionError with the last answer when none comes."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:.0f} s; last seen: {seen!r}")
        time.sleep(0.05)


@dataclass
class Person:
    """Somebody with an account; `http` carries their token."""

    user_id: str
    username: str
    token: str
    http: httpx2.Client

    def ok(self, method: str, path: str, **arguments: Any) -> Any:
        """The answer's JSON; AssertionError with the error's words for anything but 2xx."""
        answer = self.http.request(method, path, **arguments)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:2000]}"
        return answer.json()

    def create(self, name: str, files: Mapping[str, str], **fields: Any) -> dict[str, Any]:
        """Deploy a new app."""
        return dict(self.ok("POST", "/api/apps", json={"name": name, "files": files, **fields}))

    def deploy_status(self, app_id: str) -> dict[str, Any]:
        """Progress of the app's newest intent."""
        return dict(self.ok("GET", f"/api/apps/{app_id}/deploy-status"))

    def settled(self, app_id: str, commit: str | None = None, seconds: float = 45) -> Any:
        """How the deploy of `commit` (default: the newest) ended."""

        def ended() -> dict[str, Any] | None:
            status = self.deploy_status(app_id)
            ours = commit is None or status["commit"] == commit
            return status if ours and status["stage"] in ENDED else None

        return eventually(f"deploy of {app_id} ends", ended, seconds)

    def live(self, app_id: str, commit: str | None = None, seconds: float = 45) -> Any:
        """The same, and it must have ended live."""
        status = self.settled(app_id, commit, seconds)
        assert status["stage"] == "live", status
        return status


@dataclass
class Product:
    """One installation in `data_dir`, on ports of its own that survive a restart."""

    data_dir: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    apps_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    source: Path = ROOT  # of the release that is started
    _clients: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def origin(self) -> str:
        """Where the editor and the API are."""
        return f"http://localhost:{self.port}"

    @property
    def apps_origin(self) -> str:
        """Where the users' apps are."""
        return f"http://localhost:{self.apps_port}"

    @property
    def repository(self) -> Path:
        """The bare repository that anybody may clone."""
        return self.data_dir / "repo.git"

    @property
    def log(self) -> str:
        """Everything the process has printed."""
        return (self.data_dir.parent / f"{self.data_dir.name}.log").read_text(errors="replace")

    def environment(self) -> dict[str, str]:
        """What the process inherits: nothing of the developer's own settings."""
        inherited = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "LANG", "TMPDIR"}}
        return inherited | {
            "PORT": str(self.port),
            "APPS_PORT": str(self.apps_port),
            "DATA_DIR": str(self.data_dir),
            **self.settings,
        }

    def start(self) -> Self:
        """Start and wait until it says it is ready."""
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        with (self.data_dir.parent / f"{self.data_dir.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api", "serve"],
                cwd=self.source,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"it ended at start:\n{self.log[-4000:]}"
            with contextlib.suppress(httpx2.TransportError):
                return httpx2.get(f"{self.origin}/readyz", timeout=5).status_code == 200
            return False

        eventually("the platform is ready", ready, START_SECONDS)
        return self

    def stop(self) -> int:
        """Ask it to end, as Ctrl-C or a service manager does; its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=30)

    def processes(self) -> list[psutil.Process]:
        """Every process that belongs to it: itself, its router, its apps."""
        if self.process is None or self.process.poll() is not None:
            return []
        this = psutil.Process(self.process.pid)
        return [this, *this.children(recursive=True)]

    def kill(self, *, everything: bool) -> None:
        """`kill -9` of the serve process alone, or of all that it started too."""
        assert self.process is not None
        victims = self.processes() if everything else [psutil.Process(self.process.pid)]
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)

    def client(self, token: str | None = None) -> httpx2.Client:
        """A client of the API, closed together with the product."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self._clients.enter_context(
            httpx2.Client(base_url=self.origin, headers=headers, timeout=60, trust_env=False)
        )

    def sign_up(self, username: str | None = None) -> Person:
        """A new person, logged in."""
        name = username or f"person-{secrets.token_hex(4)}"
        http = self.client()
        account = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
        answer = http.post("/api/auth/signup", json=account)
        assert answer.status_code == 201, answer.text
        return self.log_in(name, answer.json()["user_id"])

    def log_in(self, username: str, user_id: str) -> Person:
        """The same person with a new token."""
        credentials = {"username": username, "password": PASSWORD}
        answer = self.client().post("/api/auth/login", json=credentials)
        assert answer.status_code == 200, answer.text
        token = answer.json()["access_token"]
        return Person(user_id, username, token, self.client(token))

    def visit(self, url: str, **arguments: Any) -> httpx2.Response:
        """What a stranger's browser gets at an app's address."""
        # Longer than a request is held that comes while the app starts.
        return httpx2.get(url, timeout=30, follow_redirects=True, trust_env=False, **arguments)

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        """What git prints, in the bare repository or in a clone; its standard error on failure."""
        identity = ["-c", "user.name=Grace", "-c", "user.email=grace@example.org"]
        done = subprocess.run(
            ["git", *identity, *arguments],
            cwd=cwd or self.repository,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._clients.close()
        if self.process is not None and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill(everything=True)
                raise
