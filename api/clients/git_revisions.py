"""Revisions of somebody's clone, as they name them; nothing of the clone is changed."""

from dataclasses import dataclass
from pathlib import Path

import pygit2

from api.errors import InvalidRequest


@dataclass(frozen=True)
class Revisions:
    """What is compared: commits, all 40 digits."""

    head: str
    base: str | None  # the tip that a change is meant for
    fork: str | None  # where the change left it


def git_folder(path: Path) -> Path:
    """The git directory of a clone, bare or with a work tree; raises InvalidRequest.

    It may belong to somebody else (a job in a container): libgit2 starts nothing that its
    configuration names, so nothing is lost by reading it.
    """
    pygit2.settings.owner_validation = False
    try:
        found = pygit2.discover_repository(str(path))
        repository = pygit2.Repository(found) if found else None
    except (pygit2.GitError, KeyError, ValueError) as error:
        raise _no_repository(path, str(error)) from error
    if repository is None:
        raise _no_repository(path, "there is none here")
    if repository.is_shallow:
        raise InvalidRequest(
            f"{path} is a shallow clone: who had an app's id first stands in the history.",
            hint="Fetch all of it: git fetch --unshallow (in a workflow: fetch-depth 0).",
        )
    return Path(repository.path)


def resolve(repository: pygit2.Repository, head: str, base: str | None) -> Revisions:
    """The commits that two revisions name; raises InvalidRequest for what names none."""
    tip = _commit(repository, head)
    if base is None:
        return Revisions(str(tip.id), None, None)
    other = _commit(repository, base)
    try:
        fork = repository.merge_base(tip.id, other.id)
    except (pygit2.GitError, KeyError) as error:
        raise InvalidRequest(
            f"The history of {head} and {base} cannot be read: {error}.", hint=_FETCH
        ) from error
    if fork is None:
        raise InvalidRequest(
            f"{head} and {base} have no commit in common.",
            hint="Name the branch that the change is meant for, such as origin/main.",
        )
    return Revisions(str(tip.id), str(other.id), str(fork))


def _commit(repository: pygit2.Repository, revision: str) -> pygit2.Commit:
    try:
        return repository.revparse_single(revision).peel(pygit2.Commit)
    except (pygit2.GitError, KeyError, ValueError) as error:
        raise InvalidRequest(
            f"{revision[:100]!r} is no commit of this clone.",
            hint="Name a branch, a tag or a commit that is here: git fetch brings what is missing.",
        ) from error


def _no_repository(path: Path, words: str) -> InvalidRequest:
    return InvalidRequest(
        f"{path} is no git repository: {words}.",
        hint="Run it in a clone of the apps' repository, or name one with --repository.",
    )


_FETCH = "Fetch everything again: git fetch --no-filter origin."
