"""The history of `main`, told by git itself and from the whole of it: what the index must say."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from api.domain.commit_message import COMMITTER
from api.domain.names import AppRef, is_id, shard_of
from tests.history.people import Repository


@dataclass
class Told:
    """Commits in the order in which they came onto `main`, and what each touches."""

    line: list[str] = field(default_factory=list)
    brought: dict[str, list[str]] = field(default_factory=dict)  # by the tip that brought them
    touches: dict[str, set[AppRef]] = field(default_factory=dict)


def walk(repository: Repository, tip: str) -> Told:
    """Everything, with one run of git for each question."""
    told = Told()
    at: str | None = tip
    before: dict[str, str | None] = {}
    while at is not None:
        told.line.insert(0, at)
        before[at] = _before(repository, at)
        at = before[at]
    for commit in told.line:
        base = before[commit]
        without = [f"^{base}"] if base else []
        sides = repository.git("rev-list", "--topo-order", "--reverse", commit, *without)[:-1]
        told.brought[commit] = sides
        for side in sides:
            each = [_changed(repository, parent, side) for parent in _parents(repository, side)]
            told.touches[side] = set.intersection(*each)
        told.touches[commit] = set(_left_otherwise(repository, commit, base, sides, told))
    return told


def _left_otherwise(
    repository: Repository, commit: str, base: str | None, sides: list[str], told: Told
) -> Iterator[AppRef]:
    """The apps that a tip has otherwise than the newest commit before it that touches them."""
    changed = _changed(repository, base, commit)
    for ref in changed.union(*(told.touches[side] for side in sides)):
        newest = next((s for s in reversed(sides) if ref in told.touches[s]), base)
        if newest is None or folder(repository, newest, ref) != folder(repository, commit, ref):
            yield ref


def folder(repository: Repository, commit: str, ref: AppRef) -> str:
    """The object id of an app's folder; "" when there is none."""
    path = f"apps/{shard_of(ref.user_id, 2)}/{ref.user_id}/{ref.app_id}"
    return "".join(repository.git("ls-tree", "--object-only", "-d", commit, path))


def _parents(repository: Repository, commit: str) -> list[str]:
    return repository.git("rev-list", "--parents", "-n1", commit)[0].split()[1:]


def _before(repository: Repository, commit: str) -> str | None:
    parents = _parents(repository, commit)
    if len(parents) > 1:
        first, other = parents
        if _made_there(repository, other, first) and not _made_there(repository, first, other):
            return other
    return parents[0] if parents else None


def _made_there(repository: Repository, commit: str, without: str) -> bool:
    emails = repository.git("log", "--format=%ce", commit, f"^{without}")
    return COMMITTER.email in emails


def _changed(repository: Repository, before: str | None, after: str) -> set[AppRef]:
    if before is None:
        paths = repository.git("ls-tree", "-r", "--name-only", after)
    else:
        paths = repository.git("diff-tree", "-r", "--no-renames", "--name-only", before, after)
    parts = [path.split("/") for path in paths]
    return {
        AppRef(p[2], p[3])
        for p in parts
        if len(p) > 4 and p[0] == "apps" and is_id(p[2]) and p[1] == shard_of(p[2], 2)
    }
