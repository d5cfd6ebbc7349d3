"""Where on a shard branch a change was first published: read through libgit2, in one go.

Once a shard's source contains a commit of `main`, every later one does. So the search goes back in
strides that double, and then halves the last one: a fresh deploy costs nothing to speak of, and an
old one no more than the list of commits in between.
"""

from dataclasses import dataclass

import pygit2

from api.clients import git_trees
from api.domain.commit_message import source_commit
from api.domain.names import AppRef
from api.domain.publication import Entries, entries_of
from api.domain.repo_layout import app_folder


@dataclass(frozen=True)
class Wanted:
    """A commit of `main` and the entries that it gave an app."""

    ref: AppRef
    commit: str
    entries: Entries
    shard_digits: int


def first_publication(repository: pygit2.Repository, tip: str, wanted: Wanted) -> str | None:
    """The first commit of the line up to `tip` that carries what is wanted; None if `tip` does not.

    It holds the entries, and its source contains the commit. A commit of `main` that changed
    nothing of what is published was carried before: where the source had the same entries.
    """
    line = _Line(repository, tip)
    if not _holds(repository, line.at(0), wanted):
        return None
    first = -1  # places count back from the tip
    if _contains(repository, line.at(0), wanted.commit):
        first = _oldest(repository, line, wanted)
    while _stood(repository, line.at(first + 1), wanted):
        first += 1
    found = line.at(first) if first >= 0 else None
    return str(found.id) if found else None


class _Line:
    """The commits of a branch by their place back from its tip, read as far as asked."""

    def __init__(self, repository: pygit2.Repository, tip: str) -> None:
        self._repository = repository
        self._ids = [pygit2.Oid(hex=tip)]

    def at(self, place: int) -> pygit2.Commit | None:
        """The commit at a place; None before the branch began."""
        while len(self._ids) <= place:
            last = self._repository[self._ids[-1]]
            if not isinstance(last, pygit2.Commit) or not last.parent_ids:
                return None
            self._ids.append(last.parent_ids[0])
        found = self._repository[self._ids[place]]
        return found if isinstance(found, pygit2.Commit) else None


def _oldest(repository: pygit2.Repository, line: _Line, wanted: Wanted) -> int:
    """The oldest place that holds the entries after the commit; the tip does."""

    def carries(place: int) -> bool:
        at = line.at(place)
        return _holds(repository, at, wanted) and _contains(repository, at, wanted.commit)

    yes, stride = 0, 1
    while carries(yes + stride):
        yes += stride
        stride *= 2
    no = yes + stride
    while no - yes > 1:
        middle = (yes + no) // 2
        if carries(middle):
            yes = middle
        else:
            no = middle
    return yes


def _holds(repository: pygit2.Repository, at: pygit2.Commit | None, wanted: Wanted) -> bool:
    path = f"{wanted.ref.user_id}/{wanted.ref.app_id}"
    return at is not None and _entries(repository, str(at.id), path) == wanted.entries


def _contains(repository: pygit2.Repository, at: pygit2.Commit | None, commit: str) -> bool:
    source = _source(repository, at)
    if source is None or commit not in repository:
        return False
    return source == commit or repository.descendant_of(source, commit)


def _stood(repository: pygit2.Repository, at: pygit2.Commit | None, wanted: Wanted) -> bool:
    source = _source(repository, at)
    if source is None or not _holds(repository, at, wanted):
        return False
    path = app_folder(wanted.ref, wanted.shard_digits)
    return _entries(repository, source, path) == wanted.entries


def _source(repository: pygit2.Repository, at: pygit2.Commit | None) -> str | None:
    """The commit of `main` that a shard commit was made from, if it is here."""
    message = at.raw_message.decode("utf-8", "replace") if at else ""
    source = source_commit(message)
    try:
        known = source is not None and isinstance(repository.get(source), pygit2.Commit)
    except ValueError:  # no object id
        return None
    return source if known else None


def _entries(repository: pygit2.Repository, commit: str, path: str) -> Entries:
    names = git_trees.outline(repository, commit, path, 1)
    return entries_of({name: entry.id for name, entry in names.items()})
