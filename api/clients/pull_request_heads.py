"""The head of a pull request, fetched to be looked at: data that anybody may have written.

It goes into a repository of its own, which borrows the objects of the platform's clone and is
thrown away: nothing of it comes into the clone, under no name. Git does it within limits of size,
memory and time.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pygit2

from api.clients.git_program import Credentials, GitProgram, TimedOut
from api.clients.gitops_repo import GitopsRepo
from api.domain.repo_layout import MAIN
from api.errors import InvalidRequest, RepositoryUnavailable

#: What a change may bring, as git packs it; an app has 900 kB at most.
MAX_PACK_BYTES: Final = 64 * 1024 * 1024
#: Address space of git: packs of the clone are mapped into it.
_MEMORY: Final = 4 * 1024 * 1024 * 1024
_SECONDS: Final = 60.0
_BASE: Final = "refs/check/base"
_HEAD: Final = "refs/check/head"
_BOUNDS: Final = (
    "prlimit",
    f"--fsize={MAX_PACK_BYTES}",
    f"--as={_MEMORY}",
    f"--cpu={_SECONDS:.0f}",
)
#: One pack whatever comes, so that the limit is that of all of it; and nothing goes anywhere else.
_OPTIONS: Final = (
    *("-c", "fetch.unpackLimit=1", "-c", "transfer.unpackLimit=1", "-c", "pack.threads=1"),
    *("-c", "fetch.recurseSubmodules=no", "-c", "protocol.allow=never"),
    *("-c", "protocol.https.allow=always", "-c", "protocol.http.allow=always"),
    *("-c", "protocol.ssh.allow=always", "-c", "protocol.file.allow=always"),
    *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"),
)
_PREFIX: Final = "pull-request-"


@dataclass(frozen=True)
class FetchedHead:
    """What a change is, and where it would go: commits of a repository that is thrown away."""

    repo: GitopsRepo
    base: str
    head: str


class PullRequestHeads:
    """Fetches heads beside the clone at `clone`."""

    def __init__(self, clone: Path, url: str, credentials: Credentials) -> None:
        self._clone = clone
        self._url = url
        self._credentials = credentials

    @asynccontextmanager
    async def fetched(self, ref: str) -> AsyncIterator[FetchedHead]:
        """The head that stands at a ref of the forge, and `main`, while the context lasts.

        Raises InvalidRequest when there is none or it is too large, RepositoryUnavailable when
        the forge does not answer.
        """
        making = asyncio.create_task(asyncio.to_thread(self._make))
        try:
            folder = await asyncio.shield(making)
            await self._fetch(folder, ref)
            base, head = await asyncio.to_thread(_read, folder)
            repo = GitopsRepo(folder)
            try:
                yield FetchedHead(repo, base, head)
            finally:
                await repo.close()
        finally:
            # Who is cancelled cannot end the thread that makes it: it is awaited, then thrown away.
            await asyncio.to_thread(shutil.rmtree, await making, ignore_errors=True)

    def clear(self) -> None:
        """Throw away what a process left that was ended in the middle; for the start."""
        for folder in self._clone.parent.glob(f"{_PREFIX}*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _make(self) -> Path:
        try:
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._clone.parent))
            pygit2.init_repository(str(folder), bare=True)
            borrowed = folder / "objects" / "info" / "alternates"
            borrowed.parent.mkdir(exist_ok=True)
            objects = (self._clone / "objects").absolute()
            borrowed.write_text(f"{objects}\n", encoding="utf-8")
        except (OSError, pygit2.GitError) as error:
            raise RepositoryUnavailable(f"No room for a pull request: {error}") from error
        return folder

    async def _fetch(self, folder: Path, ref: str) -> None:
        git = GitProgram(folder, self._credentials, bounds=_BOUNDS)
        refs = (f"+refs/heads/{MAIN}:{_BASE}", f"+{ref}:{_HEAD}")
        try:
            done = await git.run(self._url, _SECONDS, *_OPTIONS, self._url, *refs)
        except TimedOut as error:
            raise InvalidRequest(f"It could not be fetched within {_SECONDS:g} s.") from error
        if done.status == 0:
            return
        if f"couldn't find remote ref {ref}" in done.errors:
            raise InvalidRequest("The forge has no head of it (any more).")
        if await asyncio.to_thread(_full, folder):
            raise InvalidRequest(f"It brings more than {MAX_PACK_BYTES // 2**20} MiB.")
        raise RepositoryUnavailable(f"It could not be fetched: {done.last_words[:500]}")


def _full(folder: Path) -> bool:
    """Whether a file grew up to its limit; git itself ends without a word then."""
    packs = folder / "objects" / "pack"
    return any(file.stat().st_size >= MAX_PACK_BYTES for file in packs.glob("*"))


def _read(folder: Path) -> tuple[str, str]:
    try:
        references = pygit2.Repository(str(folder)).references
        base, head = (references[name].peel(pygit2.Commit) for name in (_BASE, _HEAD))
    except (pygit2.GitError, KeyError) as error:
        raise InvalidRequest("Its head is no commit.") from error
    return str(base.id), str(head.id)
