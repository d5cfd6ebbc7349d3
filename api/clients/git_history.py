"""The history of `main`, read through libgit2: its line of tips, and what every commit touched.

`main`'s own line goes from a commit to the tip that it replaced. That is the first parent, unless
a person merged `main` into their work and pushed the result: then the other parent is known by
the platform's commits, which are only ever made on `main`. Commits that a merge brought stand
before it, so that the order is that in which changes came onto `main`; it depends on the newest
commit alone and not on when somebody looked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pygit2
from pygit2.enums import SortMode

from api.clients import git_changes, git_trees
from api.clients.git_differences import differences
from api.domain.authorship import Authorship, authorship, by_platform
from api.domain.commit_message import Person
from api.domain.names import AppRef, is_id, shard_of
from api.domain.publication import NOT_APPS
from api.domain.repo_layout import SHARD_DIGITS


@dataclass(frozen=True)
class Link:
    """A tip that `main` had, and the one that it replaced."""

    id: str
    before: str | None


@dataclass(frozen=True)
class Touched:
    """Whose folders of `main` a change touches."""

    apps: frozenset[AppRef] = frozenset()
    users: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Landed:
    """One commit that came onto `main`."""

    id: str
    base: str | None  # the parent that it is compared with
    on_line: bool  # False: brought by the next one that is
    at: datetime  # when it came onto main: the time of the commit on the line that brought it
    by: Authorship
    touched: Touched


def line(repository: pygit2.Repository, tip: str, limit: int) -> list[Link]:
    """The newest tips that `main` had, newest first."""
    found: list[Link] = []
    at: str | None = tip
    while at is not None and len(found) < limit:
        before = _before(repository, find_commit(repository, at))
        found.append(Link(at, before))
        at = before
    return found


def landed(repository: pygit2.Repository, links: Sequence[Link]) -> list[Landed]:
    """What came onto `main` with each of these tips, in the order of the links."""
    return [commit for link in links for commit in _landed_with(repository, link)]


def touched(repository: pygit2.Repository, before: str | None, after: str) -> Touched:
    """Whose folders differ between two commits."""
    apps: set[AppRef] = set()
    users: set[str] = set()
    old = _apps_tree(repository, before) if before else None
    for shard in differences(repository, old, _apps_tree(repository, after)):
        for user in differences(repository, shard.old, shard.new):
            user_id = git_trees.shown_path(user.name)
            if not is_id(user_id) or not _fits(git_trees.shown_path(shard.name), user_id):
                continue
            if user.old is not None or user.new is not None:
                users.add(user_id)
            for app in differences(repository, user.old, user.new):
                app_id = git_trees.shown_path(app.name)
                is_folder = app.old is not None or app.new is not None
                if is_folder and is_id(app_id) and app_id not in NOT_APPS:
                    apps.add(AppRef(user_id, app_id))
    return Touched(frozenset(apps), frozenset(users))


def commit_time(commit: pygit2.Commit) -> datetime:
    """When a commit was made, in UTC; times that no calendar holds become the nearest one."""
    seconds = min(max(commit.commit_time, 0), 253_402_300_799)  # the end of the year 9999
    return datetime.fromtimestamp(seconds, UTC)


def signature(found: pygit2.Signature) -> Person:
    """A commit's author or committer."""
    return Person(
        found.raw_name.decode("utf-8", "replace"), found.raw_email.decode("utf-8", "replace")
    )


def find_commit(repository: pygit2.Repository, commit_id: str) -> pygit2.Commit:
    """A commit by its id; raises GitError or KeyError for anything else."""
    found = repository[commit_id]
    if not isinstance(found, pygit2.Commit):
        raise pygit2.GitError(f"{commit_id} is not a commit")
    return found


def _before(repository: pygit2.Repository, commit: pygit2.Commit) -> str | None:
    """The tip of `main` that this one replaced."""
    parents = commit.parent_ids
    if not parents:
        return None
    first, *others = parents
    for other in others:
        if _platform_was_there(repository, other, without=first):
            if not _platform_was_there(repository, first, without=other):
                return str(other)
            break
    return str(first)


def _platform_was_there(
    repository: pygit2.Repository, commit: pygit2.Oid, *, without: pygit2.Oid
) -> bool:
    walker = repository.walk(commit, SortMode.NONE)
    walker.hide(without)
    return any(by_platform(signature(found.committer)) for found in walker)


def _landed_with(repository: pygit2.Repository, link: Link) -> Iterator[Landed]:
    tip = find_commit(repository, link.id)
    at = commit_time(tip)
    if len(tip.parent_ids) <= 1:
        yield _entry(tip, link.before, at, touched(repository, link.before, link.id))
        return
    sides = _brought(repository, link)
    newest: dict[AppRef, str] = {}  # the commit beside the line that touched an app last
    for side in sides:
        own = _touched_by(repository, side)
        newest |= dict.fromkeys(own.apps, str(side.id))
        base = str(side.parent_ids[0]) if side.parent_ids else None
        yield _entry(side, base, at, own, on_line=False)
    # A merge touches what it leaves otherwise than the newest change of it did.
    candidates = newest.keys() | touched(repository, link.before, link.id).apps
    apps = {
        ref
        for ref in candidates
        if _folder(repository, link.id, ref)
        != _folder(repository, newest.get(ref, link.before or link.id), ref)
    }
    yield _entry(
        tip,
        link.before,
        at,
        Touched(frozenset(apps), _touched_by(repository, tip).users | {a.user_id for a in apps}),
    )


def _brought(repository: pygit2.Repository, link: Link) -> list[pygit2.Commit]:
    walker = repository.walk(pygit2.Oid(hex=link.id), SortMode.TOPOLOGICAL | SortMode.REVERSE)
    if link.before:
        walker.hide(pygit2.Oid(hex=link.before))
    return [commit for commit in walker if str(commit.id) != link.id]


def _touched_by(repository: pygit2.Repository, commit: pygit2.Commit) -> Touched:
    """What a commit touches that none of its parents has like this."""
    parents: list[str | None] = [str(parent) for parent in commit.parent_ids] or [None]
    each = [touched(repository, parent, str(commit.id)) for parent in parents]
    return Touched(
        frozenset.intersection(*(one.apps for one in each)),
        frozenset.intersection(*(one.users for one in each)),
    )


def _entry(
    commit: pygit2.Commit, base: str | None, at: datetime, what: Touched, *, on_line: bool = True
) -> Landed:
    by = authorship(
        commit.raw_message.decode("utf-8", "replace"),
        signature(commit.author),
        signature(commit.committer),
        merge=len(commit.parent_ids) > 1,
        merged=not on_line,
    )
    return Landed(str(commit.id), base, on_line, at, by, what)


def _apps_tree(repository: pygit2.Repository, commit: str) -> pygit2.Tree | None:
    found = git_trees.find(find_commit(repository, commit).tree, "apps")
    return found if isinstance(found, pygit2.Tree) else None


def _folder(repository: pygit2.Repository, commit: str, ref: AppRef) -> str | None:
    tree = git_changes.folder(repository, commit, ref)
    return str(tree.id) if tree is not None else None


def _fits(shard: str, user_id: str) -> bool:
    return len(shard) in SHARD_DIGITS and shard_of(user_id, len(shard)) == shard
