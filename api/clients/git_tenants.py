"""Shards as both branches have them, read in one go; only tenants that moved are opened."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pygit2

from api.clients import git_trees
from api.clients.git_trees import Entry
from api.domain.commit_message import source_commit
from api.domain.names import AppRef, is_id, shard_of
from api.domain.publication import NOT_APPS
from api.domain.quarantine import QUARANTINE_FILE
from api.domain.repo_layout import is_shard_branch, shard_branch, tenant_folder
from api.domain.tree_form import holds, is_well_formed, stands_once

_REFS: Final = "refs/heads/"
_ROOT_FILES: Final = frozenset({"README.md", QUARANTINE_FILE})
#: What is read for every app: larger ones are read when they are asked for.
_SMALL_BYTES: Final = 2048

ShardState = Literal["empty", "same", "behind"]
#: Object ids of a tenant's folder on `main` and on the shard branch; None where there is none.
Ids = tuple[str | None, str | None]


@dataclass(frozen=True)
class OpenedTenant:
    """What stands in a tenant's folders, two levels deep on `main`, three on the shard branch."""

    ids: Ids
    intents: Mapping[str, Entry]
    published: Mapping[str, Entry]
    malformed: bool  # its folder on `main`, or a name on the way to it, can be read in two ways


@dataclass(frozen=True)
class OpenedShard:
    """By user id: a tenant's folders, or None for one that is as it was known."""

    tenants: Mapping[str, OpenedTenant | None]
    settings: Mapping[str, bytes]  # small tenant.yaml and app.yaml, by object id


def is_app(name: str, entry: Entry) -> bool:
    """Whether an entry of a tenant's folder is an app's, on either branch."""
    return entry.kind == "folder" and is_id(name) and name not in NOT_APPS


def apps_of(tenants: Mapping[str, Entry]) -> dict[AppRef, Entry]:
    """The folders of apps, from an outline of a shard's tenants."""
    return {
        AppRef(user_id, name): entry
        for user_id, tenant in tenants.items()
        if is_id(user_id)
        for name, entry in tenant.children.items()
        if is_app(name, entry)
    }


def all_apps(repository: pygit2.Repository, main: str) -> list[AppRef]:
    """Every app on `main`; by ids alone, for there may be very many."""
    shards = git_trees.find(git_trees.root(repository, main), "apps")
    return [
        AppRef(user_id, app_id)
        for name, shard in _folder(shards).items()
        for user_id, tenant in _folder(shard).items()
        if is_id(user_id) and shard_of(user_id, len(name)) == name
        for app_id, app in _folder(tenant).items()
        if isinstance(app, pygit2.Tree) and is_id(app_id) and app_id not in NOT_APPS
    ]


@dataclass(frozen=True)
class AppFolderSeen:
    """An app's folder on `main` by its object id, and the settings files that concern it."""

    tree: str
    app: bytes  # app.yaml; empty without it
    tenant: bytes  # tenant.yaml of whose it is; empty without it


def app_folders(
    repository: pygit2.Repository, main: str, refs: Sequence[AppRef], digits: int
) -> dict[AppRef, AppFolderSeen]:
    """The folders of these apps; those that are not there are left out."""
    root = git_trees.root(repository, main)
    found = {}
    for ref in refs:
        tenant = git_trees.find(root, tenant_folder(ref.user_id, digits))
        folder = git_trees.find(tenant, ref.app_id) if isinstance(tenant, pygit2.Tree) else None
        if isinstance(tenant, pygit2.Tree) and isinstance(folder, pygit2.Tree):
            settings = _data(folder, "app.yaml"), _data(tenant, "tenant.yaml")
            found[ref] = AppFolderSeen(str(folder.id), *settings)
    return found


def _data(tree: pygit2.Tree, name: str) -> bytes:
    found = git_trees.find(tree, name)
    return found.data if isinstance(found, pygit2.Blob) else b""


@dataclass(frozen=True)
class ShardTip:
    """The newest publish commit of a shard, and how it stands to a commit of `main`."""

    commit: str
    message: str
    source: str | None  # Source-Commit; None on the branch's root commit
    follows: bool  # whether `main` contains the source, or there is none
    quarantine: bytes | None  # the file of what the cluster refused


def shard_tip(repository: pygit2.Repository, shard: str, main: str) -> ShardTip | None:
    """Where a shard's branch stands; None when there is no such branch."""
    ref = repository.references.get(_REFS + shard_branch(shard))
    commit = repository.get(ref.target) if ref else None
    if not isinstance(commit, pygit2.Commit):
        return None
    message = _message(commit)
    source = source_commit(message)
    follows = source is None or is_ancestor(repository, source, main)
    quarantine = git_trees.read(repository, str(commit.id), QUARANTINE_FILE)
    return ShardTip(str(commit.id), message, source, follows, quarantine)


def shard_states(repository: pygit2.Repository, main: str) -> dict[str, ShardState]:
    """How every shard branch stands to its folder on `main`: one tree id each."""
    now = git_trees.outline(repository, main, "apps", 1)
    sources: dict[str, Mapping[str, Entry]] = {}
    states: dict[str, ShardState] = {}
    for ref in repository.references.iterator():
        branch = ref.name.removeprefix(_REFS)
        if branch == ref.name or not is_shard_branch(branch):
            continue
        shard = branch.removeprefix(shard_branch(""))
        source = source_commit(_message(repository[ref.target]))
        if source is None:
            below = git_trees.outline(repository, main, f"apps/{shard}", 1)
            tenants = any(entry.kind == "folder" for entry in below.values())
            states[shard] = "behind" if tenants else "empty"
            continue
        if source not in sources:
            known = isinstance(repository.get(source), pygit2.Commit)
            sources[source] = git_trees.outline(repository, source, "apps", 1) if known else {}
        states[shard] = "same" if sources[source].get(shard) == now.get(shard) else "behind"
    return states


def _message(commit: pygit2.Object) -> str:
    return (
        commit.raw_message.decode("utf-8", "replace") if isinstance(commit, pygit2.Commit) else ""
    )


def is_ancestor(repository: pygit2.Repository, older: str, newer: str) -> bool:
    """Whether `older` is `newer` or one of the commits before it; False for what is not here."""
    if older == newer:
        return True
    if older not in repository or newer not in repository:
        return False
    return repository.descendant_of(newer, older)


def open_shard(
    repository: pygit2.Repository, main: str, tip: str, shard: str, known: Mapping[str, Ids]
) -> OpenedShard:
    """Both sides of a shard: `main`'s folder of it, and its branch, each at a commit."""
    root = git_trees.root(repository, main)
    folder = git_trees.find(root, f"apps/{shard}")
    uncertain = not (
        _stands_once(root, "apps") and _stands_once(git_trees.find(root, "apps"), shard)
    )
    wanted = _folder(folder)
    stands = _folder(git_trees.root(repository, tip))
    tenants: dict[str, OpenedTenant | None] = {}
    settings: dict[str, bytes] = {}
    for user_id in sorted((wanted.keys() | stands.keys()) - _ROOT_FILES):
        ids = _id(wanted.get(user_id)), _id(stands.get(user_id))
        malformed = uncertain or not (
            _stands_once(folder, user_id) and _is_well_formed(wanted.get(user_id))
        )
        if known.get(user_id) == ids and not malformed:
            tenants[user_id] = None
            continue
        intents, published = (
            git_trees.below(side[user_id], depth) if user_id in side else {}
            for side, depth in ((wanted, 2), (stands, 3))
        )
        tenants[user_id] = OpenedTenant(ids, intents, published, malformed)
        settings |= dict(_settings(repository, intents))
    return OpenedShard(tenants, settings)


def _folder(tree: pygit2.Object | None) -> dict[str, pygit2.Object]:
    if not isinstance(tree, pygit2.Tree):
        return {}
    return {git_trees.shown_path(entry.raw_name or b""): entry for entry in tree}


def _stands_once(tree: pygit2.Object | None, name: str) -> bool:
    """Whether a name is at most once in a folder, and found where it is looked for."""
    if not isinstance(tree, pygit2.Tree):
        return True
    raw = git_trees.raw_bytes(tree)
    return stands_once(raw, name.encode()) and (name in tree) == holds(raw, name.encode())


def _is_well_formed(tree: pygit2.Object | None) -> bool:
    return not isinstance(tree, pygit2.Tree) or is_well_formed(tree.read_raw())


def _id(entry: pygit2.Object | None) -> str | None:
    return None if entry is None else str(entry.id)


def _settings(
    repository: pygit2.Repository, intents: Mapping[str, Entry]
) -> Iterator[tuple[str, bytes]]:
    tenant = intents.get("tenant.yaml")
    apps = [entry.children.get("app.yaml") for entry in intents.values()]
    for file in filter(None, (tenant, *apps)):
        if file.kind == "file":
            data = git_trees.blob(repository, file.id)
            if len(data) <= _SMALL_BYTES:
                yield file.id, data
