"""Writing commits, through libgit2: trees, messages, signatures; no branch moves here."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pygit2

from api.clients import git_clone, git_trees
from api.clients.commit_signing import Signer, signature_fault
from api.clients.git_trees import Edit
from api.domain.commit_message import COMMITTER, Person, source_commit
from api.errors import RepositoryUnavailable


@dataclass(frozen=True)
class Change:
    """One commit, as a value: what it writes, what it says, and what it takes for granted."""

    edits: Mapping[str, Edit]
    message: str
    author: Person
    #: Paths that must hold exactly this object (None: nothing) for the edits to make sense.
    expect: Mapping[str, str | None] = field(default_factory=dict)


class Overtaken(Exception):
    """What a change expects does not stand on the branch any more; `path` says where."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def read_file(path: Path, branch: str, file: str) -> bytes | None:
    """A file at the tip of a branch; None without the branch, empty without the file."""
    repository = pygit2.Repository(str(path))
    ref = repository.references.get(f"refs/heads/{branch}")
    return None if ref is None else git_trees.read(repository, str(ref.target), file) or b""


@dataclass(frozen=True)
class Parts:
    """What a commit is made of; the committer is always the platform."""

    tree: str
    parents: Sequence[str]
    message: str
    author: Person
    at: int  # seconds since the epoch, of both dates


def create(
    path: Path,
    edits: Mapping[str, Edit],
    branches: Mapping[str, Mapping[str, Edit]],
    signer: Signer | None = None,
) -> bool:
    """Make a bare repository with a first commit on `main` and on each branch of `branches`.

    Branches that exist are left alone, so that an interrupted run can be repeated. Returns
    whether anything was created; raises RepositoryUnavailable.
    """
    try:
        repository = pygit2.init_repository(str(path), bare=True, initial_head="main")
    except pygit2.GitError as error:
        raise RepositoryUnavailable(f"The repository {path} could not be made: {error}") from error
    git_clone.quieten(repository)
    created = False
    roots: dict[int, str] = {}
    for branch, content in {"main": edits, **branches}.items():
        if repository.references.get(f"refs/heads/{branch}") is not None:
            continue
        if id(content) not in roots:
            message = "Create the repository" if branch == "main" else "Create the shard branches"
            roots[id(content)] = begin(repository, content, message, signer)
        repository.references.create(f"refs/heads/{branch}", pygit2.Oid(hex=roots[id(content)]))
        created = True
    return created


def begin(
    repository: pygit2.Repository, edits: Mapping[str, Edit], message: str, signer: Signer | None
) -> str:
    """A commit without a parent; its id."""
    tree = git_trees.store(repository, edits, None)
    return write(repository, Parts(tree, (), message, COMMITTER, _now()), signer)


def _now() -> int:
    return int(datetime.now(UTC).timestamp())


def build(
    repository: pygit2.Repository, tip: str, changes: Sequence[Change], signer: Signer | None
) -> list[str | Overtaken]:
    """One commit after the other on `tip`, as `GitopsRepo.build` says."""
    built: list[str | Overtaken] = []
    for change in changes:
        if path := _unexpected(repository, tip, change):
            built.append(Overtaken(path))
            continue
        tree = git_trees.store(repository, change.edits, tip)
        if tree != str(git_trees.root(repository, tip).id):
            parts = Parts(tree, (tip,), change.message, change.author, _now())
            tip = write(repository, parts, signer)
        built.append(tip)
    return built


def _unexpected(repository: pygit2.Repository, tip: str, change: Change) -> str | None:
    """The first path that does not hold what the change takes for granted."""
    for path, expected in change.expect.items():
        found = git_trees.entry(repository, tip, path)
        if (found.id if found else None) != expected:
            return path
    return None


def compose(
    repository: pygit2.Repository,
    tip: str,
    edits: Mapping[str, Edit],
    message: str,
    signer: Signer | None,
) -> str:
    """A publish commit: a pure function of parent, tree, source and key."""
    at = repository[source_commit(message) or ""]
    assert isinstance(at, pygit2.Commit)  # noqa: S101  (publishing names the commit it read)
    tree = git_trees.store(repository, edits, tip)
    return write(repository, Parts(tree, (tip,), message, COMMITTER, at.commit_time), signer)


def write(repository: pygit2.Repository, parts: Parts, signer: Signer | None) -> str:
    """Write the commit object, signed where there is a key; its id."""
    content = (
        pygit2.Signature(parts.author.name, parts.author.email, parts.at, 0, "utf-8"),
        pygit2.Signature(COMMITTER.name, COMMITTER.email, parts.at, 0, "utf-8"),
        parts.message,
        pygit2.Oid(hex=parts.tree),
        [pygit2.Oid(hex=parent) for parent in parts.parents],
    )
    if signer is None:
        return str(repository.create_commit(None, *content))
    text = str(repository.create_commit_string(*content))  # type: ignore[arg-type]  # stubs err
    return str(repository.create_commit_with_signature(text, signer.sign(text.encode())))


def commit_fault(
    repository: pygit2.Repository, commit: str, known: Collection[bytes]
) -> str | None:
    """What is wrong with a commit's signature; None when one of the known keys made it."""
    found = repository[commit]
    assert isinstance(found, pygit2.Commit)  # noqa: S101  (ids come from a walk)
    signature, content = found.gpg_signature
    text = signature.decode("ascii", "replace") if signature else None
    return signature_fault(content or b"", text, known)
