"""What git holds, read by libgit2 alone, in the model's terms."""

from collections.abc import Mapping
from typing import Any

import pygit2
import yaml

from api.domain.names import AppRef
from tests.model.model import App, Main, Settings, Stands

_PLATFORM = "FastAPI Platform"


def main_at(repository: pygit2.Repository, commit: str) -> Main:
    """`main` at a commit."""
    apps: dict[AppRef, App] = {}
    tenants: dict[str, str] = {}
    for _, shard in _folders(repository[commit].tree["apps"]):
        for user, folder in _folders(shard):
            if "tenant.yaml" in folder:
                tenants[user] = _tenant(user, _yaml(folder["tenant.yaml"].data))
            for app_id, below in _folders(folder):
                apps[AppRef(user, app_id)] = _app(below)
    return Main(apps, tenants)


def shard_at(repository: pygit2.Repository, commit: str) -> Mapping[AppRef, Stands]:
    """A shard branch at a commit."""
    return {
        AppRef(user, app_id): _stands(below)
        for user, folder in _folders(repository[commit].tree)
        for app_id, below in _folders(folder)
    }


def tenant_objects(repository: pygit2.Repository, commit: str) -> Mapping[str, object]:
    """What stands beside the apps: every tenant's own objects, and the branch's own files."""
    tree = repository[commit].tree
    found: dict[str, object] = {user: _files_of(folder) for user, folder in _folders(tree)}
    return found | {"": _files_of(tree)}


def trailers(repository: pygit2.Repository, commit: str) -> Mapping[str, str]:
    """The last paragraph of a message that the platform wrote; a person's says nothing."""
    found = repository[commit]
    return message_trailers(found.message) if found.committer.name == _PLATFORM else {}


def message_trailers(message: str) -> Mapping[str, str]:
    """The last paragraph of a message."""
    lines = message.strip().split("\n\n")[-1].splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def _folders(tree: pygit2.Tree) -> list[tuple[str, pygit2.Tree]]:
    return [(entry.name, entry) for entry in tree if isinstance(entry, pygit2.Tree)]


def _files_of(tree: pygit2.Tree) -> Mapping[str, str]:
    return {entry.name: str(entry.id) for entry in tree if isinstance(entry, pygit2.Blob)}


def _texts(tree: pygit2.Tree, prefix: str = "") -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for entry in tree:
        path = prefix + entry.name
        found |= _texts(entry, f"{path}/") if isinstance(entry, pygit2.Tree) else {path: entry.data}
    return found


def _yaml(data: bytes) -> Any:
    try:
        return yaml.safe_load(data)
    except yaml.YAMLError:
        return None


def _app(folder: pygit2.Tree) -> App:
    texts = _texts(folder)
    values = _yaml(texts.get("app.yaml", b""))
    settings = None
    if values is not None:
        settings = Settings(
            values["id"],
            values["user"],
            values["name"],
            values["entrypoint"],
            tuple(sorted(values["env"].items())),
            values["state"],
            values.get("restartedAt"),
        )
    files = {p.removeprefix("code/"): data for p, data in texts.items() if p.startswith("code/")}
    names = ("app.yaml", "code", "overlay", "secrets")
    entries = tuple(str(folder[name].id) if name in folder else None for name in names)
    return App(settings, files, texts.get("overlay/kustomization.yaml", b""), entries)


def _tenant(user: str, values: Any) -> str:
    if not isinstance(values, dict) or values.get("user") != user:
        return "wrong"
    return "suspended" if "suspended" in values else "fine"


def _stands(folder: pygit2.Tree) -> Stands:
    generated = folder["generated"]
    said = _yaml(folder["kustomization.yaml"].data)["metadata"]["annotations"]
    return Stands(
        _app(folder),
        "ingressroute.yaml" in generated,
        str(folder.id),
        "serving" in folder,
        said["fastapi-platform/renderer-version"] + said["fastapi-platform/runner-image"],
    )
