"""Where commits become durable: the branches of the repository that everybody shares.

Two ways, one contract: the bare repository on this machine, moved by compare-and-swap, or a remote
behind `git push --atomic`. A push says for every branch what came of it; a move that is not
confirmed is never taken for done.
"""

import asyncio
import base64
import contextlib
import os
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol

import pygit2

from api.errors import RepositoryUnavailable

Fate = Literal["moved", "stale", "refused", "dropped"]

#: Bounds of one network operation, in seconds: a deploy fails rather than hangs.
PUSH_SECONDS: Final = 30.0
FETCH_SECONDS: Final = 60.0
_MAX_WORDS: Final = 2000
_PORCELAIN: Final = re.compile(
    r"(?P<flag>[ +\-*!=])\t[^:\t]*:refs/heads/(?P<branch>[^\t]+)\t(?P<summary>.*)"
)
_REASON: Final = re.compile(
    r"\[(?P<who>remote rejected|rejected|remote failure)\](?: \((?P<why>.*)\))?"
)
#: Reasons that say that somebody else was faster, in the words of git and of libgit2's servers.
_STALE: Final = re.compile(
    r"fetch first|non-fast-forward|stale info|cannot lock ref|incorrect old value"
    r"|failed to update ref|reference already exists|is at [0-9a-f]+ but expected"
)
#: Another branch of an atomic push was the reason.
_DROPPED: Final = re.compile(r"atomic (?:push failed|push failure|transaction failed)|atomic")


@dataclass(frozen=True)
class Move:
    """A branch that shall go from one commit to another."""

    branch: str
    old: str
    new: str


@dataclass(frozen=True)
class Result:
    """What came of a push: the fate of every branch, and the words of whoever refused."""

    fates: Mapping[str, Fate]
    words: str = ""

    @property
    def moved(self) -> bool:
        """Whether every branch stands where it should."""
        return all(fate == "moved" for fate in self.fates.values())

    def of(self, fate: Fate) -> list[str]:
        """The branches that met this fate."""
        return [branch for branch, met in self.fates.items() if met == fate]


class Upstream(Protocol):
    """The shared repository; local branches mirror what is known of it."""

    async def refresh(self) -> None:
        """Learn where its branches stand; raises RepositoryUnavailable."""

    async def push(self, moves: Sequence[Move]) -> Result:
        """Move branches, in this order where it cannot be done at once.

        Raises RepositoryUnavailable when it is not known what came of it: refresh, and look.
        """


class LocalUpstream:
    """The bare repository itself, which people clone and push to by path."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def refresh(self) -> None:
        """Nothing to learn: the branches are here."""

    async def push(self, moves: Sequence[Move]) -> Result:
        """Compare and swap, one branch after the other; the first that fails ends it."""
        return await asyncio.to_thread(self._move_all, moves)

    def _move_all(self, moves: Sequence[Move]) -> Result:
        repository = pygit2.Repository(str(self._path))
        fates: dict[str, Fate] = {}
        for move in moves:
            fates[move.branch] = "moved" if compare_and_swap(repository, move) else "stale"
            if fates[move.branch] == "stale":
                break
        return Result({move.branch: fates.get(move.branch, "dropped") for move in moves})


def compare_and_swap(repository: pygit2.Repository, move: Move) -> bool:
    """Move a local branch; libgit2 compares under the reference's lock file, as git does.

    False when somebody else was faster; raises pygit2.GitError when the file cannot be written.
    """
    name = f"refs/heads/{move.branch}"
    ref = repository.references.get(name)
    if ref is None or str(ref.target) != move.old:
        return False
    try:
        ref.set_target(pygit2.Oid(hex=move.new))
    except pygit2.GitError as error:
        ref = repository.references.get(name)
        if ref is not None and str(ref.target) == move.old and "lock" not in str(error):
            raise  # not a race: a full disk, say
        return False
    return True


@dataclass(frozen=True)
class Credentials:
    """How to speak to a remote; read anew for each use, so that rotation needs no restart."""

    token_file: Path | None = None
    username: str = "x-access-token"
    ssh_key: Path | None = None
    known_hosts: Path | None = None

    def environment(self, url: str) -> dict[str, str]:
        """Variables for git: never arguments, which every process of the machine can read."""
        found = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "LC_ALL": "C"}
        config = {"http.lowSpeedLimit": "1", "http.lowSpeedTime": "20"}
        config["http.followRedirects"] = "false"  # a header must not follow to another host
        if self.token_file and url.startswith("https://"):
            token = self.token_file.read_text().strip()
            basic = base64.b64encode(f"{self.username}:{token}".encode()).decode()
            config[f"http.{url}.extraHeader"] = f"Authorization: Basic {basic}"
        if self.ssh_key:
            known = self.known_hosts or Path("/etc/ssh/ssh_known_hosts")
            found["GIT_SSH_COMMAND"] = (
                f"ssh -i '{self.ssh_key}' -o IdentitiesOnly=yes -o BatchMode=yes"
                f" -o StrictHostKeyChecking=yes -o UserKnownHostsFile='{known}'"
                " -o ConnectTimeout=10"
            )
        found["GIT_CONFIG_COUNT"] = str(len(config))
        for number, (name, value) in enumerate(config.items()):
            found |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
        return found

    def scrub(self, text: str) -> str:
        """The text without anything that opens a door."""
        if self.token_file:
            with contextlib.suppress(OSError):
                text = text.replace(self.token_file.read_text().strip(), "***")
        return re.sub(r"(://)[^/@\s]+@", r"\1***@", text)


@dataclass(frozen=True)
class RemoteUpstream:
    """A forge or any other git server; `publish_url` names a second one for the shard branches."""

    path: Path  # the clone on this machine: bare, its branches mirror the remote's
    url: str
    publish_url: str | None = None
    credentials: Credentials = field(default_factory=Credentials)

    async def refresh(self) -> None:
        """Fetch: with two repositories the shards first, for `main` may only be newer."""
        everything = "+refs/heads/*:refs/heads/*"
        if self.publish_url:
            await self._fetch(self.publish_url, "+refs/heads/flux/*:refs/heads/flux/*")
            await self._fetch(self.url, "+refs/heads/main:refs/heads/main")
        else:
            await self._fetch(self.url, everything)

    async def push(self, moves: Sequence[Move]) -> Result:
        """Push at once; with two repositories `main` first."""
        if self.publish_url is None:
            return await self._push(self.url, moves)
        intents = [move for move in moves if move.branch == "main"]
        shards = [move for move in moves if move.branch != "main"]
        result = await self._push(self.url, intents)
        if not result.moved or not shards:
            dropped: dict[str, Fate] = dict.fromkeys((m.branch for m in shards), "dropped")
            return Result({**result.fates, **dropped}, result.words)
        published = await self._push(self.publish_url, shards)
        return Result({**result.fates, **published.fates}, published.words)

    async def _fetch(self, url: str, refspec: str) -> None:
        arguments = (
            "fetch",
            "--quiet",
            "--no-tags",
            "--prune",
            "--no-write-fetch-head",
            url,
            refspec,
        )
        status, _, errors = await self._git(url, FETCH_SECONDS, *arguments)
        if status != 0:
            raise RepositoryUnavailable(
                f"The repository cannot be reached: {_last_words(errors)}",
                hint="Nothing was saved. Check the address, the credential and the forge's status.",
            )

    async def _push(self, url: str, moves: Sequence[Move]) -> Result:
        if not moves:
            return Result({})
        refs = [f"{move.new}:refs/heads/{move.branch}" for move in moves]
        atomic = ["--atomic"] if len(moves) > 1 else []
        status, output, errors = await self._git(
            url, PUSH_SECONDS, "push", "--porcelain", "--no-verify", *atomic, url, *refs
        )
        fates = read_porcelain(output)
        wanted = {move.branch for move in moves}
        if status == 0 and wanted <= fates.keys():
            result = Result(fates)
        elif fates.keys() & wanted:
            fates = {branch: fates.get(branch, "dropped") for branch in wanted}
            result = Result(fates, _remote_words(errors))
        else:
            raise RepositoryUnavailable(
                f"The push was cut off: {_last_words(errors)}",
                hint="It is not known whether it was saved; sending it again does no harm.",
            )
        await asyncio.to_thread(
            self._mirror, [m for m in moves if result.fates[m.branch] == "moved"]
        )
        return result

    def _mirror(self, moves: Sequence[Move]) -> None:
        repository = pygit2.Repository(str(self.path))
        for move in moves:
            repository.references.create(
                f"refs/heads/{move.branch}", pygit2.Oid(hex=move.new), force=True
            )

    async def _git(self, url: str, seconds: float, *arguments: str) -> tuple[int, str, str]:
        try:
            environment = await asyncio.to_thread(self.credentials.environment, url)
        except OSError as error:
            raise RepositoryUnavailable(f"The credential cannot be read: {error}") from error
        base = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            "git", "-C", str(self.path), *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=base | environment,
            start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(seconds):
                output, errors = await process.communicate()
        except TimeoutError:
            raise RepositoryUnavailable(
                f"The repository did not answer within {seconds:g} s.",
                hint="It is not known whether it was saved; sending it again does no harm.",
            ) from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # git and its transport helpers
                await process.wait()
        text = self.credentials.scrub(errors.decode(errors="replace"))
        return process.returncode or 0, output.decode(errors="replace"), text


def read_porcelain(output: str) -> dict[str, Fate]:
    """The fate of every branch that `git push --porcelain` names."""
    fates: dict[str, Fate] = {}
    for line in output.splitlines():
        match = _PORCELAIN.fullmatch(line)
        if match is None:
            continue
        fates[match["branch"]] = "moved" if match["flag"] != "!" else _fate(match["summary"])
    return fates


def _fate(summary: str) -> Fate:
    match = _REASON.search(summary)
    why = (match["why"] or "") if match else summary
    if _STALE.search(why) or (match and match["who"] == "rejected" and "atomic" not in why):
        return "stale"
    return "dropped" if _DROPPED.search(why) else "refused"


def _remote_words(errors: str) -> str:
    """What the forge itself said (`remote: …`), or else git's last line."""
    lines = [
        line.removeprefix("remote:").strip()
        for line in errors.splitlines()
        if line.startswith("remote:")
    ]
    return "\n".join(filter(None, lines))[:_MAX_WORDS] or _last_words(errors)


def _last_words(errors: str) -> str:
    lines = [line for line in errors.splitlines() if line.strip()]
    return (lines[-1] if lines else "git gave no reason")[:_MAX_WORDS]
