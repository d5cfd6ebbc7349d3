"""Where commits become durable: the branches of the repository that everybody shares.

Two ways, one contract: the bare repository on this machine, moved by compare-and-swap, or a remote
behind `git push --atomic`. A push says for every branch what came of it; a move that is not
confirmed is never taken for done.
"""

import asyncio
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Protocol

import pygit2

from api.clients.git_clone import prepare_clone, require_own
from api.clients.git_maintenance import clear_stale_locks
from api.clients.git_porcelain import Fate, read_porcelain
from api.clients.git_program import Credentials, Done, GitProgram, TimedOut
from api.domain.repo_layout import MAIN
from api.errors import OutcomeUnknown, RepositoryUnavailable

_log = logging.getLogger(__name__)
#: Bounds of one network operation, in seconds: a deploy fails rather than hangs.
PUSH_SECONDS: Final = 30.0
FETCH_SECONDS: Final = 30.0
CLONE_SECONDS: Final = 1800.0
#: More for each branch beyond the first: Gitea starts a program for each, 0.23 s on two busy cores.
_BRANCH_SECONDS: Final = 1.0
#: The old commit of a branch that is not there yet, as git writes it.
NOTHING: Final = "0" * 40
_MAX_WORDS: Final = 2000
#: What git says when it failed before anything was sent.
_NOT_SENT: Final = re.compile(
    r"unable to access|Could not read from remote repository|Authentication failed"
    r"|could not read (?:Username|Password)|does not appear to be a git repository"
    r"|repository '.*' not found|transport '.*' not allowed|unsupported protocol"
)


@dataclass(frozen=True)
class Move:
    """A branch that shall go from one commit to another, which descends from it."""

    branch: str
    old: str  # NOTHING: it is made
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

    async def open(self) -> None:
        """Make ready what is needed on this machine; raises Unavailable."""

    @property
    def problem(self) -> str | None:
        """Why it cannot be reached, as of the last attempt; None when it can."""

    async def refresh(self) -> None:
        """Learn where its branches stand; raises RepositoryUnavailable."""

    async def push(self, moves: Sequence[Move]) -> Result:
        """Move branches, `main` first where it cannot be done at once.

        Raises OutcomeUnknown when it was cut off: it may be there after a refresh, or still
        arrive. Raises RepositoryUnavailable when nothing was sent.
        """


class LocalUpstream:
    """The bare repository itself, which people clone and push to by path."""

    problem: str | None = None

    def __init__(self, path: Path) -> None:
        self._path = path

    async def open(self) -> None:
        """Nothing to make ready, unless the folder holds a copy of a remote."""
        await asyncio.to_thread(require_own, self._path)

    async def refresh(self) -> None:
        """Nothing to learn: the branches are here."""

    async def push(self, moves: Sequence[Move]) -> Result:
        """Compare and swap, one branch after the other; the first that fails ends it."""
        return await asyncio.to_thread(self._move_all, moves)

    @cached_property
    def _repository(self) -> pygit2.Repository:
        """Used by one push at a time. Opening it anew reads every packed reference: 3 of 7 ms."""
        return pygit2.Repository(str(self._path))

    def _move_all(self, moves: Sequence[Move]) -> Result:
        fates: dict[str, Fate] = {}
        try:
            for move in moves:
                moved = compare_and_swap(self._repository, move)
                fates[move.branch] = "moved" if moved else "stale"
                if fates[move.branch] == "stale":
                    clear_stale_locks(self._path)
                    break
        except (pygit2.GitError, OSError) as error:
            if not fates:
                raise RepositoryUnavailable(f"The repository cannot be written: {error}") from error
        return Result({move.branch: fates.get(move.branch, "dropped") for move in moves})


def compare_and_swap(repository: pygit2.Repository, move: Move) -> bool:
    """Move a local branch; libgit2 compares under the reference's lock file, as git does.

    False when somebody else was faster or is at it; raises pygit2.GitError or OSError when the
    file cannot be written.
    """
    name, new = f"refs/heads/{move.branch}", pygit2.Oid(hex=move.new)
    ref = repository.references.get(name)
    if (str(ref.target) if ref else NOTHING) != move.old:
        return False
    try:
        if ref is None:
            repository.references.create(name, new)
        else:
            ref.set_target(new)
    except pygit2.AlreadyExistsError:
        return False
    except (pygit2.GitError, OSError) as error:  # a lock that is held is an OSError
        ref = repository.references.get(name)
        if (str(ref.target) if ref else NOTHING) == move.old and "lock" not in str(error):
            raise  # not a race: a full disk, say
        return False
    return True


class RemoteUpstream:
    """A forge or any other git server; `publish_url` names a second one for the shard branches.

    `path` is the clone on this machine: bare, its branches mirror the remote's.
    """

    def __init__(
        self,
        path: Path,
        url: str,
        publish_url: str | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self._path = path
        self._git = GitProgram(path, credentials or Credentials())
        self._url = url
        self._publish_url = publish_url
        self._one_by_one: set[str] = set()  # remotes that cannot move several branches at once
        # A fetch that began before a push ended would put the branch back.
        self._lock = asyncio.Lock()
        self.problem: str | None = None

    async def refresh(self, seconds: float = FETCH_SECONDS) -> None:
        """Fetch: with two repositories the shards first, for `main` may only be newer."""
        main, shards = (f"+refs/heads/{which}:refs/heads/{which}" for which in (MAIN, "flux/*"))
        async with self._lock:
            try:
                if self._publish_url is None:
                    await self._fetch(self._url, seconds, main, shards)
                else:
                    try:
                        await self._fetch(self._publish_url, seconds, shards)
                    finally:  # the second repository is not needed to go on reading
                        await self._fetch(self._url, seconds, main)
            except RepositoryUnavailable as error:
                self.problem = error.message
                raise
            self.problem = None

    async def open(self) -> None:
        """Make the copy, or bring it up to date; where there is one, it will do for a start.

        Raises RepositoryUnavailable when there is nothing to start with, Unavailable when the
        folder holds something else.
        """
        await asyncio.to_thread(prepare_clone, self._path, self._url)
        await asyncio.to_thread(clear_stale_locks, self._path)
        known = await asyncio.to_thread(self._knows_main)
        try:
            await self.refresh(FETCH_SECONDS if known else CLONE_SECONDS)
        except RepositoryUnavailable as error:
            if not known:
                raise
            _log.warning("starting with what was known before: %s", error.message)

    def _knows_main(self) -> bool:
        return f"refs/heads/{MAIN}" in pygit2.Repository(str(self._path)).references

    async def branches(self) -> set[str]:
        """The branches that are there, without fetching anything; raises RepositoryUnavailable."""
        found: set[str] = set()
        for url in filter(None, (self._url, self._publish_url)):
            done = await self._git.run(url, FETCH_SECONDS, "ls-remote", "--heads", url)
            if done.status != 0:
                raise _unreachable(done)
            names = [line.partition("\trefs/heads/")[2] for line in done.output.splitlines()]
            shards = self._publish_url in (None, url)
            intents = url == self._url
            found |= {n for n in names if (n == MAIN and intents) or (n != MAIN and shards)}
        return found

    async def push(self, moves: Sequence[Move]) -> Result:
        """Push at once where the remote can; else `main`, then the shards."""
        async with self._lock:
            try:
                return await self._push_stages(moves)
            except _NotAtomicError as found:
                self._one_by_one.add(found.url)
                return await self._push_stages(moves)

    async def _push_stages(self, moves: Sequence[Move]) -> Result:
        fates: dict[str, Fate] = dict.fromkeys((move.branch for move in moves), "dropped")
        for url, part in self._stages(moves):
            try:
                result = await self._push(url, part)
            except RepositoryUnavailable as error:
                self.problem = error.message
                if "moved" not in fates.values():
                    raise
                return Result(fates, error.message)  # what moved has moved
            fates |= result.fates
            if not result.moved:
                return Result(fates, result.words)
        return Result(fates)

    def _stages(self, moves: Sequence[Move]) -> list[tuple[str, Sequence[Move]]]:
        if self._publish_url is None and self._url not in self._one_by_one:
            return [(self._url, moves)]
        intents = [move for move in moves if move.branch == MAIN]
        shards = [move for move in moves if move.branch != MAIN]
        stages = [(self._url, intents), (self._publish_url or self._url, shards)]
        return [(url, part) for url, part in stages if part]

    async def _fetch(self, url: str, seconds: float, *refspecs: str) -> None:
        options = ("--quiet", "--no-tags", "--prune", "--no-write-fetch-head")
        done = await self._git.run(url, seconds, "fetch", *options, url, *refspecs)
        if done.status != 0 and "cannot lock ref" in done.errors:
            # Another process on the same clone was faster, or died with a lock in its hand.
            await asyncio.to_thread(clear_stale_locks, self._path)
            done = await self._git.run(url, seconds, "fetch", *options, url, *refspecs)
        if "find remote ref refs/heads/main" in done.errors:
            raise RepositoryUnavailable(
                "The repository has no branch main.",
                hint="Nothing was saved. Make its branches with `python -m api init-repo`.",
            )
        if done.status != 0:
            raise _unreachable(done)

    async def _push(self, url: str, moves: Sequence[Move]) -> Result:
        # The lease makes it a compare-and-swap: a branch that was rewound is not brought back.
        leases = [f"--force-with-lease=refs/heads/{m.branch}:{_lease(m.old)}" for m in moves]
        refs = [f"{move.new}:refs/heads/{move.branch}" for move in moves]
        atomic = ["--atomic"] if len(moves) > 1 and url not in self._one_by_one else []
        arguments = ("push", "--porcelain", "--no-verify", *atomic, *leases, url, *refs)
        seconds = PUSH_SECONDS + _BRANCH_SECONDS * (len(moves) - 1)
        try:
            done = await self._git.run(url, seconds, *arguments)
        except TimedOut as error:
            raise OutcomeUnknown(error.message) from error
        if "does not support --atomic" in done.errors:
            raise _NotAtomicError(url)
        result = _result(done, [move.branch for move in moves])
        self.problem = None
        moved = [move for move in moves if result.fates[move.branch] == "moved"]
        await asyncio.to_thread(self._mirror, moved)
        return result

    def _mirror(self, moves: Sequence[Move]) -> None:
        repository = pygit2.Repository(str(self._path))
        for move in moves:
            compare_and_swap(repository, move)  # or it is known already; the next fetch tells


class _NotAtomicError(Exception):
    """The remote does not offer to move several branches at once."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


def _lease(old: str) -> str:
    return "" if old == NOTHING else old


def _result(done: Done, branches: Collection[str]) -> Result:
    """What a push came to; raises OutcomeUnknown or RepositoryUnavailable when that is not told."""
    told = read_porcelain(done.output)
    fates: dict[str, Fate] = {branch: told.get(branch, "dropped") for branch in branches}
    if done.status == 0 and told.keys() >= set(branches):
        return Result(fates)
    if told and (MAIN not in fates or MAIN in told):
        return Result(fates, _remote_words(done) if "refused" in fates.values() else "")
    if not told and _NOT_SENT.search(done.errors):
        raise _unreachable(done)
    raise OutcomeUnknown(f"The push was cut off: {done.last_words[:_MAX_WORDS]}")


def _unreachable(done: Done) -> RepositoryUnavailable:
    return RepositoryUnavailable(
        f"The repository cannot be reached: {done.last_words[:_MAX_WORDS]}",
        hint="Nothing was saved. Check the address, the credential and the forge's status.",
    )


def _remote_words(done: Done) -> str:
    """What the forge itself said (`remote: …`), or else git's last line."""
    lines = [
        line.removeprefix("remote:").strip()
        for line in done.errors.splitlines()
        if line.startswith("remote:")
    ]
    return ("\n".join(filter(None, lines)) or done.last_words)[:_MAX_WORDS]
