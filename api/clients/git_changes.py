"""What a commit changed in one app, and the app as it was then: read through libgit2, bounded."""

import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

import pygit2

from api.clients import git_folders, git_trees
from api.domain.names import AppRef, shard_of
from api.domain.repo_layout import SHARD_DIGITS

#: Files told of one commit; the rest is counted.
MAX_FILES: Final = 100
#: Texts over this size are neither compared nor shown: as large as a file of an app may be.
MAX_TEXT_BYTES: Final = 256 * 1024
#: All texts of an answer together.
MAX_TOTAL_BYTES: Final = 4 * 1024 * 1024
_STATUSES: Final[Mapping[str, "Status"]] = {"A": "added", "D": "deleted"}

Status = Literal["added", "modified", "deleted"]


@dataclass(frozen=True)
class FileChange:
    """A file that a commit changed; lines are None for what is no text, or too large."""

    path: str  # in the app's folder
    status: Status
    added: int | None
    removed: int | None


@dataclass(frozen=True)
class FileTexts:
    """A file that a commit changed, with both texts and the unified difference of them.

    None for secrets, for what is no text, and for what is too large; "" where there is no file.
    """

    change: FileChange
    diff: str | None
    old: str | None
    new: str | None


@dataclass(frozen=True)
class Changes:
    """The first changed files of a commit by path, and how many more there are."""

    files: tuple[FileChange, ...]
    more: int


@dataclass(frozen=True)
class Snapshot:
    """An app as it was at a commit, and what that commit changed."""

    exists: bool
    files: Mapping[str, bytes]  # by path in the app's folder, as far as they are shown
    omitted: tuple[str, ...]  # files that are too large to be shown
    changes: tuple[FileTexts, ...]
    more: int


@dataclass(frozen=True)
class _Pair:
    """A changed file: its objects before and after, None where there is no regular file."""

    path: str
    status: Status
    old: pygit2.Oid | None
    new: pygit2.Oid | None

    @property
    def is_secret(self) -> bool:
        return self.path.startswith("secrets/")


@dataclass(frozen=True)
class _Compared:
    added: int
    removed: int
    diff: bytes
    old: bytes
    new: bytes


def folder(repository: pygit2.Repository, commit: str, ref: AppRef) -> pygit2.Tree | None:
    """An app's folder at a commit, in whichever number of shards it stands."""
    for digits in SHARD_DIGITS:
        path = f"apps/{shard_of(ref.user_id, digits)}/{ref.user_id}/{ref.app_id}"
        entry = git_trees.entry(repository, commit, path)
        found = repository[entry.id] if entry and entry.kind == "folder" else None
        if isinstance(found, pygit2.Tree):
            return found
    return None


def changes(
    repository: pygit2.Repository, asked: Sequence[tuple[str | None, str, AppRef]]
) -> list[Changes]:
    """What each commit changed in its app: of (the commit to compare with, the commit, the app)."""
    return [_changes(repository, *question) for question in asked]


def snapshot(repository: pygit2.Repository, base: str | None, commit: str, ref: AppRef) -> Snapshot:
    """The app at a commit, and the texts of what that commit changed."""
    tree = folder(repository, commit, ref)
    room = MAX_TOTAL_BYTES
    files: dict[str, bytes] = {}
    omitted: list[str] = []
    for path, blob_id in _regular(tree) if tree is not None else ():
        size = _size(repository, blob_id)
        if size > min(MAX_TEXT_BYTES, room):
            omitted.append(path)
            continue
        room -= size
        files[path] = git_trees.blob(repository, str(blob_id))
    pairs = _pairs(repository, base, commit, ref)
    texts = []
    room = MAX_TOTAL_BYTES
    for pair in islice(pairs, MAX_FILES):
        found = _texts(repository, pair, room)
        room -= len(found.old or "") + len(found.new or "")
        texts.append(found)
    return Snapshot(tree is not None, files, tuple(omitted), tuple(texts), _rest(pairs))


def _changes(repository: pygit2.Repository, base: str | None, commit: str, ref: AppRef) -> Changes:
    pairs = _pairs(repository, base, commit, ref)
    shown = tuple(_counted(repository, pair) for pair in islice(pairs, MAX_FILES))
    return Changes(shown, _rest(pairs))


def _rest(pairs: Iterator[_Pair]) -> int:
    return sum(1 for _ in pairs)


def _pairs(
    repository: pygit2.Repository, base: str | None, commit: str, ref: AppRef
) -> Iterator[_Pair]:
    """The changed files, by path."""
    old = folder(repository, base, ref) if base else None
    new = folder(repository, commit, ref)
    if old is None or new is None:
        tree = new or old
        if tree is None:
            return
        diff = tree.diff_to_tree(swap=new is not None)
    else:
        diff = old.diff_to_tree(new)
    for delta in diff.deltas:
        status = _STATUSES.get(delta.status_char(), "modified")
        path = git_trees.shown_path(delta.new_file.raw_path)
        yield _Pair(path, status, _blob_id(delta.old_file), _blob_id(delta.new_file))


def _blob_id(file: pygit2.DiffFile) -> pygit2.Oid | None:
    """The object of a regular file, executable or not: links and submodules have no text."""
    return file.id if stat.S_ISREG(file.mode) else None


def _counted(repository: pygit2.Repository, pair: _Pair) -> FileChange:
    compared = _compared(repository, pair)
    added, removed = (compared.added, compared.removed) if compared else (None, None)
    return FileChange(pair.path, pair.status, added, removed)


def _texts(repository: pygit2.Repository, pair: _Pair, room: int) -> FileTexts:
    compared = None if pair.is_secret else _compared(repository, pair)
    change = _counted(repository, pair)
    if compared is None or len(compared.old) + len(compared.new) > room:
        return FileTexts(change, None, None, None)
    texts = (compared.diff, compared.old, compared.new)
    return FileTexts(change, *(text.decode("utf-8", "replace") for text in texts))


def _compared(repository: pygit2.Repository, pair: _Pair) -> _Compared | None:
    """The difference by lines; None for what is no text, or too large to be compared."""
    ids = [blob_id for blob_id in (pair.old, pair.new) if blob_id is not None]
    if not ids or any(_size(repository, blob_id) > MAX_TEXT_BYTES for blob_id in ids):
        return None
    # A patch points into its blobs without keeping them alive: both live until it was read.
    old, new = (_blob(repository, blob_id) for blob_id in (pair.old, pair.new))
    if (old and old.is_binary) or (new and new.is_binary):
        return None
    patch = pygit2.Patch.create_from(old, new, old_as_path=pair.path, new_as_path=pair.path)
    _, added, removed = patch.line_stats
    return _Compared(added, removed, patch.data, old.data if old else b"", new.data if new else b"")


def _blob(repository: pygit2.Repository, blob_id: pygit2.Oid | None) -> pygit2.Blob | None:
    found = None if blob_id is None else repository[blob_id]
    return found if isinstance(found, pygit2.Blob) else None


def _size(repository: pygit2.Repository, blob_id: pygit2.Oid) -> int:
    _, size = repository.odb.read_header(blob_id)
    return size


def _regular(tree: pygit2.Tree) -> Iterator[tuple[str, pygit2.Oid]]:
    for path, entry in git_folders.walk(tree):
        if isinstance(entry, pygit2.Blob) and not path.startswith("secrets/"):
            yield path, entry.id
