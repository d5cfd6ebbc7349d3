"""The git program, for what goes over the network: bounded in time, and silent about credentials.

libgit2 has no atomic push and walks every tree of every branch of the remote; git does better.
"""

import asyncio
import base64
import contextlib
import os
import re
import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from api.errors import RepositoryUnavailable
from api.settings import travels_safely

#: What git may know of the environment; nothing else of ours concerns it.
_PASSED: Final = (
    "PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO",
    "http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
)  # fmt: skip
_REFUSED: Final = "Authentication failed"
_USER_IN_URL: Final = re.compile(r"(://)[^/@\s]+@")
_ALWAYS: Final = {
    "http.followRedirects": "false",  # a header must not follow to another host
    "gc.auto": "0",  # packing is ours, off the path of deploys (git_maintenance)
    "maintenance.auto": "false",
}


class TimedOut(RepositoryUnavailable):
    """Git was ended because it took too long: what it did until then is not known."""


@dataclass(frozen=True)
class Done:
    """How a run of git ended; `errors` holds no credential."""

    status: int
    output: str
    errors: str

    @property
    def last_words(self) -> str:
        """The last thing that git said."""
        lines = [line for line in self.errors.splitlines() if line.strip()]
        return lines[-1] if lines else "git gave no reason"


class TokenSource(Protocol):
    """Where the token for an https remote comes from."""

    async def token(self, refused: str | None = None) -> str:
        """The token; another one, if there is any, than that which the host refused.

        Raises RepositoryUnavailable.
        """


@dataclass(frozen=True)
class TokenFile:
    """A token kept in a file; read anew for each use, so that rotation needs no restart."""

    path: Path

    async def token(self, refused: str | None = None) -> str:  # noqa: ARG002  (there is one only)
        """What the file says now; raises RepositoryUnavailable."""
        try:
            return (await asyncio.to_thread(self.path.read_text)).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise RepositoryUnavailable(f"The credential cannot be read: {error}") from error


@dataclass(frozen=True)
class Credentials:
    """How to speak to a remote."""

    tokens: TokenSource | None = None
    username: str = "x-access-token"  # as GitHub wants it; GitLab and Gitea take any name
    ssh_key: Path | None = None
    known_hosts: Path | None = None

    async def token(self, url: str, refused: str | None = None) -> str | None:
        """The token, if it may travel to this address: encrypted, or not at all.

        Raises RepositoryUnavailable.
        """
        if self.tokens is None or not travels_safely(url):
            return None
        return await self.tokens.token(refused)

    def environment(self, url: str, token: str | None) -> dict[str, str]:
        """Variables for git: never arguments, which every process of the machine can read."""
        config = dict(_ALWAYS)
        if token:
            config[f"http.{url}.extraHeader"] = f"Authorization: {self.basic(token)}"
        found = {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "LC_ALL": "C",
            "GIT_SSH_COMMAND": self._ssh(),
            "GIT_CONFIG_COUNT": str(len(config)),
        }
        for number, (name, value) in enumerate(config.items()):
            found |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
        return found

    def scrub(self, text: str, token: str | None) -> str:
        """The text without anything that opens a door."""
        if token:
            text = text.replace(token, "***").replace(self._basic(token), "***")
        return without_user(text)

    def basic(self, token: str) -> str:
        """The header `Authorization` for a token."""
        return f"Basic {self._basic(token)}"

    def _basic(self, token: str) -> str:
        return base64.b64encode(f"{self.username}:{token}".encode()).decode()

    def _ssh(self) -> str:
        """An unknown host key is always a refusal, never a question or a new entry."""
        words = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
        words += ["-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=10"]
        if self.ssh_key:
            words += ["-i", str(self.ssh_key), "-o", "IdentitiesOnly=yes"]
        if self.known_hosts:
            words += ["-o", f"UserKnownHostsFile={self.known_hosts}"]
            words += ["-o", "GlobalKnownHostsFile=/dev/null"]
        return shlex.join(words)


def without_user(text: str) -> str:
    """The text with the user and the password of every address in it left out."""
    return _USER_IN_URL.sub(r"\1***@", text)


@dataclass(frozen=True)
class GitProgram:
    """Runs git in one repository."""

    path: Path
    credentials: Credentials = field(default_factory=Credentials)
    bounds: tuple[str, ...] = ()  # a program, with its arguments, that starts git within limits

    async def run(self, url: str, seconds: float, *arguments: str) -> Done:
        """Run git for the remote `url`; raises TimedOut or RepositoryUnavailable.

        A token that the remote refuses may have been withdrawn a moment ago: once more with the
        next one, if there is one. Nothing was read or written by the first attempt.
        """
        token = await self.credentials.token(url)
        done = await self._run_with(token, url, seconds, arguments)
        if token and done.status != 0 and _REFUSED in done.errors:
            other = await self.credentials.token(url, refused=token)
            if other != token:
                return await self._run_with(other, url, seconds, arguments)
        return done

    async def _run_with(
        self, token: str | None, url: str, seconds: float, arguments: Sequence[str]
    ) -> Done:
        base = {name: os.environ[name] for name in _PASSED if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            *self.bounds, "git", "-C", str(self.path), *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=base | self.credentials.environment(url, token),
            start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(seconds):
                output, errors = await process.communicate()
        except TimeoutError:
            raise TimedOut(f"The repository did not answer within {seconds:g} s.") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # git and its transport helpers
                await process.wait()
        text = self.credentials.scrub(errors.decode(errors="replace"), token)
        return Done(process.returncode or 0, output.decode(errors="replace"), text)
