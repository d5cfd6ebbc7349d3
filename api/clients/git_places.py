"""What a change of `main` leaves where: only folders that differ are opened.

Without a commit to compare with, everything is a change. Trees are looked at as people may push
them: names of any bytes, a name twice, trees that name each other a million times, or not at all.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import pygit2
from pygit2.enums import FileMode

from api.clients import git_trees
from api.clients.git_differences import Difference, differences
from api.clients.git_tenants import is_app
from api.domain.intent_check import malformed, problem
from api.domain.layout_check import Kind, app_at, judge, tenant_at
from api.domain.names import AppRef
from api.domain.source_check import Diagnostic
from api.domain.tree_form import is_well_formed

#: Names that are looked at, of one change or of a whole repository: below `apps/` …
MAX_PLACES: Final = 1_000_000
MAX_OUTSIDE: Final = 20_000  # … and outside of it
_KINDS: Final[dict[int, Kind]] = {
    FileMode.TREE: "folder",
    FileMode.BLOB_EXECUTABLE: "executable",
    FileMode.LINK: "link",
    FileMode.COMMIT: "submodule",
}


@dataclass
class Places:
    """What differs, each by its path from the root."""

    refused: list[Diagnostic] = field(default_factory=list)
    apps: dict[AppRef, bool] = field(default_factory=dict)  # whether its folder was there before
    #: Shard and user id of every tenant of whom something differs; whether they have or had apps.
    tenants: dict[tuple[str, str], bool] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)  # object ids of those outside of apps
    #: Every path that differs; of apps' entries no more than the entry.
    changed: list[str] = field(default_factory=list)


class _TooMany(Exception):
    pass


def places(
    repository: pygit2.Repository, before: str | None, after: str, shard_digits: int
) -> Places:
    """What `after` has otherwise than `before`; raises RepositoryUnavailable for no commits."""
    found = Places()
    old = git_trees.root(repository, before) if before else None
    walk = _Walk(repository, shard_digits, found)
    try:
        walk.folder("", old, git_trees.root(repository, after))
    except _TooMany:
        message = f"More than {MAX_PLACES:,} names below apps/, or {MAX_OUTSIDE:,} outside of it."
        found.refused.append(problem(".", "too_many", message, "Split it into several changes."))
    return found


def blob_sizes(repository: pygit2.Repository, object_ids: Collection[str]) -> dict[str, int | None]:
    """The sizes of files, without reading them; None for one that is not here."""
    return {object_id: _size(repository, object_id) for object_id in object_ids}


def _size(repository: pygit2.Repository, object_id: str) -> int | None:
    try:
        return int(repository.odb.read_header(pygit2.Oid(hex=object_id))[1])
    except (KeyError, pygit2.GitError):
        return None


class _Walk:
    def __init__(self, repository: pygit2.Repository, digits: int, found: Places) -> None:
        self._repository = repository
        self._digits = digits
        self._found = found
        self._left = {True: MAX_PLACES, False: MAX_OUTSIDE}

    def folder(self, prefix: str, old: pygit2.Tree | None, new: pygit2.Tree | None) -> None:
        """Look at the names that two sides of a folder have otherwise."""
        try:
            entries = self._entries(prefix, new)
            differing = list(differences(self._repository, old, new))
        except (pygit2.GitError, KeyError) as error:
            message = f"This folder cannot be read: {error}"
            self._refuse(problem(prefix or ".", "unreadable", message, _CLONE))
            return
        inside = prefix.startswith("apps/")
        self._left[inside] -= len(differing)
        if self._left[inside] < 0:
            raise _TooMany
        for difference in sorted(differing, key=lambda each: each.name):
            self._name(prefix, difference, entries.get(difference.name))

    def _entries(self, prefix: str, tree: pygit2.Tree | None) -> dict[bytes, pygit2.Object]:
        seen: dict[bytes, pygit2.Object] = {}
        twice = False
        for entry in tree if tree is not None else ():
            name = entry.raw_name or b""
            if name in seen:
                twice = True
                path = prefix + _shown(name)
                self._refuse(problem(path, "twice", "This name stands twice in a folder.", _GIT))
            seen[name] = entry
        if tree is not None and not twice and not is_well_formed(git_trees.raw_bytes(tree)):
            self._refuse(malformed(prefix.removesuffix("/") or "."))
        return seen

    def _name(self, prefix: str, difference: Difference, entry: pygit2.Object | None) -> None:
        path = prefix + _shown(difference.name)
        kind: Kind = _KINDS.get(entry.filemode, "file") if entry is not None else "folder"
        wrong = judge(path, kind, self._digits)
        inside = _is_entry(path)  # of an app: the intent check looks at it as a whole
        if entry is not None and wrong is not None:
            self._refuse(wrong)
        if kind != "folder" or difference.file or inside or wrong is not None:
            self._found.changed.append(path)
        if wrong is not None or inside:
            return
        if entry is not None and kind != "folder":
            self._found.files[path] = str(entry.id)
        if difference.old is not None or difference.new is not None:
            self._note(path, difference)
            self.folder(f"{path}/", difference.old, difference.new)

    def _note(self, path: str, difference: Difference) -> None:
        if (tenant := tenant_at(path)) is not None:
            sides = (git_trees.below(tree, 1) for tree in (difference.old, difference.new))
            self._found.tenants[tenant] = any(
                is_app(name, entry) for side in sides for name, entry in side.items()
            )
        elif (app := app_at(path)) is not None and difference.new is not None:
            self._found.apps[app] = difference.old is not None

    def _refuse(self, diagnostic: Diagnostic) -> None:
        self._found.refused.append(diagnostic)


def _is_entry(path: str) -> bool:
    folder, _, _ = path.rpartition("/")
    return folder.startswith("apps/") and app_at(folder) is not None


def _shown(name: bytes) -> str:
    return git_trees.shown_path(name).replace("/", "\\x2f")


_CLONE: Final = "Fetch all of it again: git fetch --no-filter origin; git fsck names what is wrong."
_GIT: Final = "Write the commit anew with git itself."
