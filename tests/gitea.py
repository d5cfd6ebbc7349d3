"""A real Gitea, built from its Go module: a forge with users, rules of branches, and an API.

It runs as whoever runs the tests, which it calls unsafe for root: it serves loopback only, or a
throwaway cluster.
"""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2

from tests.cluster import build
from tests.product import free_port

LAUNCHER: Final = Path(__file__).parents[1] / "api/local/die_with_parent.py"
_START_SECONDS: Final = 60.0
_COMMAND_SECONDS: Final = 60.0
_ADMIN: Final = "administrator"
_SETTINGS: Final = """\
APP_NAME = Gitea of a test
RUN_MODE = prod
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
WORK_PATH = {folder}
[server]
HTTP_ADDR = {host}
HTTP_PORT = {port}
ROOT_URL = http://{host}:{port}/
LOCAL_ROOT_URL = http://{host}:{port}/
STATIC_ROOT_PATH = {static}
OFFLINE_MODE = true
DISABLE_SSH = true
[database]
DB_TYPE = sqlite3
PATH = {folder}/gitea.db
SQLITE_JOURNAL_MODE = WAL
[repository]
ROOT = {folder}/repositories
DEFAULT_BRANCH = main
[security]
INSTALL_LOCK = true
SECRET_KEY = {secret}
PASSWORD_HASH_ALGO = pbkdf2_v1
[webhook]
ALLOWED_HOST_LIST = loopback
[log]
MODE = console
LEVEL = warn
[queue]
TYPE = channel
[indexer]
ISSUE_INDEXER_TYPE = db
[actions]
ENABLED = false
[packages]
ENABLED = false
[cron]
ENABLED = false
"""


@dataclass
class Gitea:
    """One server; every name and token in it is a test's."""

    folder: Path
    host: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    program: Path = field(default_factory=lambda: build.programs(["gitea"])["gitea"])
    tokens: dict[str, str] = field(default_factory=dict)  # user → token for everything

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def remote(self, repository: str) -> str:
        """What git is told; `repository` is owner/name."""
        return f"{self.url}/{repository}.git"

    @contextmanager
    def running(self) -> Iterator["Gitea"]:
        """Listen while the context lasts, with an administrator in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        static = build.module_folder("gitea", "code.gitea.io/gitea")
        values = {"folder": self.folder, "host": self.host, "port": self.port, "static": static}
        text = _SETTINGS.format(**values, secret=secrets.token_hex(16))
        self._ini.write_text(text, encoding="utf-8")
        with (self.folder / "gitea.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid())),
                    *(str(self.program), "web", "--config", str(self._ini)),
                ],
                cwd=self.folder,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait(process)
            self._make_user(_ADMIN, admin=True)
            yield self
        finally:
            process.kill()
            process.wait()

    def user(self, name: str) -> str:
        """Somebody new; their token."""
        return self._make_user(name, admin=False)

    def repository(self, owner: str, name: str, **writers: str) -> str:
        """An empty one, as `owner/name`; `writers` are user=permission (read, write, admin)."""
        self.call("POST", "/user/repos", {"name": name, "private": True}, by=owner)
        for user, permission in writers.items():
            path = f"/repos/{owner}/{name}/collaborators/{user}"
            self.call("PUT", path, {"permission": permission}, by=owner)
        return f"{owner}/{name}"

    def protect(self, repository: str, rule: str, pushers: list[str], **more: Any) -> None:
        """A rule: these alone push, and nobody with force."""
        values = {
            "rule_name": rule,
            "enable_push": True,
            "enable_push_whitelist": True,
            "push_whitelist_usernames": pushers,
            **more,
        }
        self.call("POST", f"/repos/{repository}/branch_protections", values)

    def change_rule(self, repository: str, rule: str, **values: Any) -> None:
        """Other values in a rule."""
        path = f"/repos/{repository}/branch_protections/{rule.replace('/', '%2F')}"
        self.call("PATCH", path, values)

    def call(
        self, method: str, path: str, values: Mapping[str, Any] | None = None, by: str = _ADMIN
    ) -> Any:
        """One call of the API; what it answered."""
        answer = httpx2.request(
            method,
            f"{self.url}/api/v1{path}",
            json=values,
            headers={"Authorization": f"token {self.tokens[by]}"},
            timeout=30,
            trust_env=False,
        )
        assert answer.is_success, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    @property
    def _ini(self) -> Path:
        return self.folder / "app.ini"

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(self.folder)}

    def _wait(self, process: "subprocess.Popen[bytes]") -> None:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            assert process.poll() is None, (self.folder / "gitea.log").read_text()[-3000:]
            try:
                if httpx2.get(f"{self.url}/api/healthz", timeout=5, trust_env=False).is_success:
                    return
            except httpx2.HTTPError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"Gitea was not up within {_START_SECONDS:.0f} s")

    def _make_user(self, name: str, *, admin: bool) -> str:
        self._command(
            *("create", "--username", name, "--email", f"{name}@example.org"),
            *("--password", secrets.token_hex(12), "--must-change-password=false"),
            *(("--admin",) if admin else ()),
        )
        words = ("generate-access-token", "--username", name, "--scopes", "all", "--raw")
        self.tokens[name] = self._command(*words).split()[-1]
        return self.tokens[name]

    def _command(self, *words: str) -> str:
        done = subprocess.run(
            [str(self.program), "--config", str(self._ini), "admin", "user", *words],
            env=self._environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
