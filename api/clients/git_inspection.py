"""Commits as an audit looks at them: what they say, and every path that they change."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pygit2
from pygit2.enums import SortMode

from api.clients import git_trees
from api.clients.commit_signing import signature_fault
from api.clients.git_differences import differing_paths
from api.clients.git_history import find_commit, signature
from api.domain.commit_message import Person


@dataclass(frozen=True)
class Inspected:
    """A commit, and the paths that it leaves otherwise than every one of its parents.

    `signature_fault` says what is wrong with its signature; None also when no keys were given.
    """

    id: str
    parents: tuple[str, ...]
    message: str
    author: Person
    committer: Person
    paths: tuple[str, ...]
    signature_fault: str | None


def reachable(repository: pygit2.Repository, tip: str, since: str | None) -> list[str]:
    """Every commit that `tip` contains and `since` does not, oldest first."""
    walker = repository.walk(pygit2.Oid(hex=tip), SortMode.TOPOLOGICAL | SortMode.REVERSE)
    if since is not None:
        walker.hide(pygit2.Oid(hex=since))
    return [str(commit.id) for commit in walker]


def inspect(
    repository: pygit2.Repository, commits: Sequence[str], keys: Collection[bytes] | None
) -> list[Inspected]:
    """What commits say and change, and whether one of the keys signed them."""
    return [_inspected(repository, find_commit(repository, commit), keys) for commit in commits]


def differences(repository: pygit2.Repository, tree_id: str, commit: str) -> list[str]:
    """Every path that a commit has otherwise than a tree."""
    tree = repository[tree_id]
    before = tree if isinstance(tree, pygit2.Tree) else None
    return _changed_paths(repository, before, git_trees.root(repository, commit))


def _inspected(
    repository: pygit2.Repository, commit: pygit2.Commit, keys: Collection[bytes] | None
) -> Inspected:
    trees: list[pygit2.Tree | None] = [parent.tree for parent in commit.parents]
    paths = [_changed_paths(repository, tree, commit.tree) for tree in trees or [None]]
    shared = set(paths[0]).intersection(*paths[1:])
    return Inspected(
        str(commit.id),
        tuple(str(parent) for parent in commit.parent_ids),
        commit.raw_message.decode("utf-8", "replace"),
        signature(commit.author),
        signature(commit.committer),
        tuple(path for path in paths[0] if path in shared),
        None if keys is None else _fault(commit, keys),
    )


def _fault(commit: pygit2.Commit, keys: Collection[bytes]) -> str | None:
    signature, content = commit.gpg_signature
    text = None if signature is None else signature.decode("ascii", "replace")
    return signature_fault(content or b"", text, keys)


def _changed_paths(
    repository: pygit2.Repository, before: pygit2.Tree | None, after: pygit2.Tree
) -> list[str]:
    return [git_trees.shown_path(raw) for raw in differing_paths(repository, before, after)]
