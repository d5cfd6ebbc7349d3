"""The git repository, through libgit2 and without a work tree.

Trees are edited along the changed paths only, so a commit costs by the depth of the tree and not
by the number of apps. A branch moves by compare-and-swap: a commit that lost a race is written
again on the new tip when what it expects still stands there, and never rebased or forced.
"""

import asyncio
import threading
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, TypeVarTuple

import pygit2
from pygit2.enums import ObjectType, SortMode

from api.clients import git_commits, git_folders, git_gathering, git_history, git_tenants, git_trees
from api.clients.commit_signing import Signer
from api.clients.git_commits import Change, Overtaken, create, read_file
from api.clients.git_folders import OpenedFolder
from api.clients.git_history import commit_time, signature
from api.clients.git_tenants import Ids, OpenedTenant, ShardState, ShardTip
from api.clients.git_trees import Edit, Entry
from api.domain.commit_message import Person
from api.errors import RepositoryUnavailable

__all__ = [
    "Change", "CommitInfo", "GitopsRepo", "Overtaken", "ShardState", "create", "read_file",
]  # fmt: skip

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Ts = TypeVarTuple("_Ts")

#: Threads for what may take long: a page of history, the packing of a batch.
_LONG: Final = 3
# libgit2 keeps the trees that it has parsed, but only small ones unless told: `apps/` with 4,096
# shards has 120 kB, and is looked into a dozen times for each deploy (1.9 ms, or 0.06 ms kept).
pygit2.settings.cache_object_limit(ObjectType.TREE, 512 * 1024)
pygit2.settings.cache_max_size(64 * 1024 * 1024)
# As git itself does: a damaged object is found by its checksum, and by `git fsck` for certain.
pygit2.settings.enable_strict_hash_verification(False)
_MANY_SMALL: Final = 10_000
_SMALL_BYTES: Final = 4096
#: Packing removes folders of loose objects that became empty, also in the moment in which libgit2
#: puts an object there; writing the same objects again makes the folder anew.
_TRIES: Final = 4


@dataclass(frozen=True)
class CommitInfo:
    """What a commit says of itself."""

    id: str
    parent: str | None
    message: str
    author: Person
    committer: Person
    at: datetime  # of the commit (committer), in UTC


class GitopsRepo:
    """A bare repository on this machine; no method keeps the event loop waiting."""

    def __init__(self, path: Path, signer: Signer | None = None) -> None:
        self.path = path
        self._signer = signer
        # Look-ups hold Python's lock anyway: in one thread, what libgit2 parses is parsed once.
        self._quick = ThreadPoolExecutor(1, thread_name_prefix="git")
        self._long = ThreadPoolExecutor(_LONG, thread_name_prefix="git-long")
        self._gathered: git_gathering.Objects = {}
        self._reading = _PerThread(lambda: git_gathering.open_reading(path, self._gathered))
        self._gathering = _PerThread(lambda: git_gathering.open_gathering(path, self._gathered))
        self._writing = self._reading
        self._scratch: git_gathering.Objects = {}
        self._previewing = _PerThread(lambda: git_gathering.open_gathering(path, self._scratch))
        self._small: dict[str, bytes] = {}  # contents by object id: they never change
        self._known: dict[Hashable, Any] = {}  # what was told of commits, by the question

    async def close(self) -> None:
        """Wait for what is under way."""
        await asyncio.to_thread(self._quick.shutdown)
        await asyncio.to_thread(self._long.shutdown)

    async def heads(self) -> dict[str, str]:
        """Every branch and the commit it points at."""
        return await self._run(_heads)

    async def head(self, branch: str) -> str | None:
        """The commit a branch points at; None when there is no such branch."""
        return await self._run(_head, branch)

    async def outline(self, commit: str, path: str = "", depth: int = 1) -> Mapping[str, Entry]:
        """Names below a folder, `depth` levels deep; empty when there is no such folder."""
        return await self._run(git_trees.outline, commit, path, depth)

    async def children(self, commit: str, path: str = "") -> Mapping[str, Entry]:
        """The names in a folder; empty when there is no such folder."""
        return await self._run(git_trees.outline, commit, path, 1)

    async def entry(self, commit: str, path: str) -> Entry | None:
        """What stands at a path."""
        return await self._run(git_trees.entry, commit, path)

    async def read(self, commit: str, path: str) -> bytes | None:
        """A small file's bytes; None when there is no such file."""
        return await self._told(git_trees.read, commit, path)

    async def blob(self, blob_id: str) -> bytes:
        """The bytes of a file by its object id."""
        known = self._small.get(blob_id)
        return await self._run(git_trees.blob, blob_id) if known is None else known

    async def blobs(self, blob_ids: Collection[str]) -> Mapping[str, bytes]:
        """The bytes of several files by their object ids, read in one go."""
        return await self._run(git_trees.blobs, blob_ids)

    async def shard_tip(self, shard: str, main: str) -> ShardTip | None:
        """Where a shard's branch stands to a commit of `main`; None when there is no branch."""
        return await self._run(git_tenants.shard_tip, shard, main)

    async def open_shard(
        self, main: str, tip: str, shard: str, known: Mapping[str, Ids]
    ) -> Mapping[str, OpenedTenant | None]:
        """The tenants of a shard on both branches; None for one whose ids are those known."""
        opened = await self._run(git_tenants.open_shard, main, tip, shard, known)
        self._small |= opened.settings
        _trim(self._small)
        return opened.tenants

    async def file(self, object_id: str) -> bytes | None:
        """The bytes of a file by its object id; None for a folder or a submodule."""
        known = self._small.get(object_id)
        return await self._run(git_trees.file, object_id) if known is None else known

    async def files(self, commit: str, path: str = "") -> dict[str, bytes]:
        """Every regular file below a folder, by path relative to it."""
        return await self._run(git_folders.files, commit, path)

    async def tree_files(self, tree_id: str) -> dict[str, bytes]:
        """Every regular file of a tree by its object id."""
        return await self._run(git_folders.tree_files, tree_id)

    async def open_folder(self, commit: str, path: str) -> OpenedFolder | None:
        """An app's folder with its entries; None when there is no such folder."""
        return await self._run(git_folders.open_folder, commit, path)

    async def info(self, commit: str) -> CommitInfo | None:
        """A commit's message and people; None for anything that is not a commit here."""
        return await self._told(_info, commit)

    async def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `older` is `newer` or one of the commits before it."""
        return await self._told(git_tenants.is_ancestor, older, newer)

    async def landed(self, links: Sequence[git_history.Link]) -> list[git_history.Landed]:
        """What came onto `main` with these tips; thousands at once are for `reading`."""
        return await self._run(git_history.landed, links)

    async def first_parents(self, until: str, since: str | None = None) -> list[CommitInfo]:
        """The branch's own line of commits after `since`, up to `until`, oldest first."""
        return await self._run(_first_parents, until, since)

    async def shard_states(self, main: str) -> dict[str, ShardState]:
        """How every shard branch stands to its folder on `main`: one tree id each."""
        return await self._run(git_tenants.shard_states, main)

    async def preview(self, base: str, edits: Mapping[str, Edit], path: str) -> Mapping[str, Entry]:
        """The names in a folder as they would be after edits of a commit; nothing is committed."""
        return await self._run_in(
            self._quick, self._previewing, _preview, base, edits, path, self._scratch
        )

    async def begin(self, edits: Mapping[str, Edit], message: str) -> str:
        """Write the first commit of a branch, without making the branch."""
        return await self._run_in(
            self._quick, self._writing, git_commits.begin, edits, message, self._signer
        )

    async def build(self, tip: str, changes: Sequence[Change]) -> list[str | Overtaken]:
        """Write one commit after the other on `tip`, without moving a branch.

        For each change the commit (the one before it when nothing would change), or Overtaken
        when what it expects is not there; such a change leaves no trace.
        """
        return await self._run_in(
            self._quick, self._writing, git_commits.build, tip, changes, self._signer
        )

    async def compose(self, tip: str, edits: Mapping[str, Edit], message: str) -> str:
        """Write a commit that is a pure function of `tip`, edits and message; no branch moves.

        The message's Source-Commit gives the dates, so that replicas write the same id.
        """
        return await self._run_in(
            self._quick, self._writing, git_commits.compose, tip, edits, message, self._signer
        )

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Keep what is built and composed in memory; `store` it before a branch names it."""
        self._gathered.clear()  # of a plan that was never sent
        self._writing = self._gathering
        try:
            yield
        finally:
            self._writing = self._reading

    async def store(self) -> None:
        """Put what was gathered into the repository, all at once."""
        gathered = dict(self._gathered)
        await self.reading(lambda _: git_gathering.store(self.path, gathered))
        self._gathered.clear()

    async def signature_fault(self, commit: str, known: Collection[bytes]) -> str | None:
        """What is wrong with a commit's signature; None when one of the known keys made it."""
        return await self._run(git_commits.commit_fault, commit, known)

    async def reading(
        self,
        function: Callable[Concatenate[pygit2.Repository, _P], _R],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _R:
        """What a function of `git_history` or `git_changes` reads; it may take its time."""
        return await self._run_in(self._long, self._reading, function, *args, **kwargs)

    async def _told(self, function: Callable[[pygit2.Repository, *_Ts], _R], *args: *_Ts) -> _R:
        """What objects say never changes: it is asked once, unless they were not there."""
        known: _R | None = self._known.get((function, *args))
        if known is not None:
            return known
        found = await self._run(function, *args)
        if found and not (isinstance(found, bytes) and len(found) > _SMALL_BYTES):
            self._known[function, *args] = found
            _trim(self._known)
        return found

    async def _run(
        self,
        function: Callable[Concatenate[pygit2.Repository, _P], _R],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _R:
        return await self._run_in(self._quick, self._reading, function, *args, **kwargs)

    async def _run_in(
        self,
        threads: ThreadPoolExecutor,
        repositories: "_PerThread",
        function: Callable[Concatenate[pygit2.Repository, _P], _R],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _R:
        def call() -> _R:
            repository = repositories.here()
            for _ in range(_TRIES - 1):
                try:
                    return function(repository, *args, **kwargs)
                except OSError as error:
                    if "failed to rename lockfile" not in str(error):
                        raise
            return function(repository, *args, **kwargs)

        try:
            return await asyncio.get_running_loop().run_in_executor(threads, call)
        except (pygit2.GitError, OSError, KeyError) as error:  # KeyError: an object is missing
            raise RepositoryUnavailable(f"The repository could not be used: {error}") from error


class _PerThread:
    """One opened repository for each thread, as libgit2 wants it."""

    def __init__(self, open_one: Callable[[], pygit2.Repository]) -> None:
        self._open = open_one
        self._local = threading.local()

    def here(self) -> pygit2.Repository:
        """This thread's own."""
        found: pygit2.Repository | None = getattr(self._local, "repository", None)
        if found is None:
            found = self._local.repository = self._open()
        return found


def _trim(kept: dict[Any, Any]) -> None:
    """Forget what has been kept longest."""
    while len(kept) > _MANY_SMALL:
        del kept[next(iter(kept))]


def _heads(repository: pygit2.Repository) -> dict[str, str]:
    prefix = "refs/heads/"
    return {
        ref.name.removeprefix(prefix): str(ref.target)
        for ref in repository.references.iterator()
        if ref.name.startswith(prefix)
    }


def _head(repository: pygit2.Repository, branch: str) -> str | None:
    ref = repository.references.get(f"refs/heads/{branch}")
    return None if ref is None else str(ref.target)


def _info(repository: pygit2.Repository, commit: str) -> CommitInfo | None:
    try:
        found = repository.get(commit)
    except ValueError:
        return None
    return _describe(found) if isinstance(found, pygit2.Commit) else None


def _describe(commit: pygit2.Commit) -> CommitInfo:
    return CommitInfo(
        id=str(commit.id),
        parent=str(commit.parent_ids[0]) if commit.parent_ids else None,
        message=commit.raw_message.decode("utf-8", "replace"),
        author=signature(commit.author),
        committer=signature(commit.committer),
        at=commit_time(commit),
    )


def _first_parents(
    repository: pygit2.Repository, until: str, since: str | None
) -> list[CommitInfo]:
    walker = repository.walk(pygit2.Oid(hex=until), SortMode.TOPOLOGICAL)
    walker.simplify_first_parent()
    if since is not None:
        walker.hide(pygit2.Oid(hex=since))
    return [_describe(commit) for commit in walker][::-1]


def _preview(
    repository: pygit2.Repository,
    base: str,
    edits: Mapping[str, Edit],
    path: str,
    scratch: git_gathering.Objects,
) -> Mapping[str, Entry]:
    try:
        tree = git_trees.store_below(repository, edits, base, path)
        return git_trees.outline_of(repository, tree, "", 1) if tree else {}
    finally:
        scratch.clear()  # what it wrote is nobody's
