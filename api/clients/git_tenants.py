"""The tenants of one shard on both branches, read in one go; only those that moved are opened."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pygit2

from api.clients import git_trees
from api.clients.git_trees import Entry
from api.domain.names import AppRef, is_id
from api.domain.publication import NOT_APPS

_ROOT_FILES: Final = frozenset({"README.md", "quarantine.json"})
#: What is read for every app: larger ones are read when they are asked for.
_SMALL_BYTES: Final = 2048

#: Object ids of a tenant's folder on `main` and on the shard branch; None where there is none.
Ids = tuple[str | None, str | None]


@dataclass(frozen=True)
class OpenedTenant:
    """What stands in a tenant's folders, two levels deep on `main`, three on the shard branch."""

    ids: Ids
    intents: Mapping[str, Entry]
    published: Mapping[str, Entry]


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


def open_shard(
    repository: pygit2.Repository, main: str, tip: str, shard: str, known: Mapping[str, Ids]
) -> OpenedShard:
    """Both sides of a shard: `main`'s folder of it, and its branch, each at a commit."""
    wanted = _folder(git_trees.find(git_trees.root(repository, main), f"apps/{shard}"))
    stands = _folder(git_trees.root(repository, tip))
    tenants: dict[str, OpenedTenant | None] = {}
    settings: dict[str, bytes] = {}
    for user_id in sorted((wanted.keys() | stands.keys()) - _ROOT_FILES):
        ids = _id(wanted.get(user_id)), _id(stands.get(user_id))
        if known.get(user_id) == ids:
            tenants[user_id] = None
            continue
        intents, published = (
            git_trees.below(side[user_id], depth) if user_id in side else {}
            for side, depth in ((wanted, 2), (stands, 3))
        )
        tenants[user_id] = OpenedTenant(ids, intents, published)
        settings |= dict(_settings(repository, intents))
    return OpenedShard(tenants, settings)


def _folder(tree: pygit2.Object | None) -> dict[str, pygit2.Object]:
    if not isinstance(tree, pygit2.Tree):
        return {}
    return {git_trees.shown_path(entry.raw_name or b""): entry for entry in tree}


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
