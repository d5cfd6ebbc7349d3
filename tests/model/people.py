"""What a person does to `main` with git, as edits and as what the model makes of them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import yaml

from api.clients.git_trees import Edit, Folder
from api.domain.names import AppRef, shard_of
from api.domain.repo_layout import EMPTY_OVERLAY
from tests.model.model import App, Main, Settings
from tests.publishing.stack import folder

HELLO: Final = b"from fastapi import FastAPI\n\napp = FastAPI()\n"
FORBIDDEN: Final = b"import os\n" + HELLO


def good(number: int) -> bytes:
    """A program like no other."""
    return b"# %d\n%s" % (number, HELLO)


def moved(app: App) -> tuple[dict[str, bytes], str]:
    """The files after the one that is served got another name, and that name."""
    before = app.settings.entrypoint if app.settings else "user_code.py"
    after = "web/main.py" if before == "user_code.py" else "user_code.py"
    return {after if path == before else path: text for path, text in app.files.items()}, after


def _settings(app: App, ref: AppRef) -> Settings:
    return app.settings or Settings(ref.app_id, ref.user_id, ref.app_id)


def _code(app: App, ref: AppRef, text: bytes) -> App:
    return replace(app, files={**app.files, _settings(app, ref).entrypoint: text})


def _values(app: App, ref: AppRef, **values: object) -> App:
    return replace(app, settings=replace(_settings(app, ref), **values))


def _moved(app: App, ref: AppRef) -> App:
    files, entrypoint = moved(app)
    return _values(replace(app, files=files), ref, entrypoint=entrypoint)


#: By name, what becomes of an app; None where nothing of the model changes.
EDITS: Final[Mapping[str, Callable[[App, AppRef, int], App | None]]] = {
    "new code": lambda app, ref, number: _code(app, ref, good(number)),
    "forbidden import": lambda app, ref, _: _code(app, ref, FORBIDDEN),
    "broken settings": lambda app, *_: replace(app, settings=None),
    "wrong user": lambda app, ref, _: _values(app, ref, user="somebody"),
    "right user": lambda app, ref, _: _values(app, ref, user=ref.user_id, app_id=ref.app_id),
    "asleep": lambda app, ref, _: _values(app, ref, state="hibernated"),
    "awake": lambda app, ref, _: _values(app, ref, state="running"),
    "file moved": lambda app, ref, _: _moved(app, ref),
    "overlay refused": lambda app, *_: replace(app, overlay=b"patches: [image:"),
    "overlay good": lambda app, *_: replace(app, overlay=EMPTY_OVERLAY),
    "removed": lambda *_: None,
}


#: Most edits are good ones.
OFTEN: Final = (*sorted(EDITS), "new code", "new code", "right user", "forbidden import")


def written(ref: AppRef, app: App | None, comment: int) -> dict[str, Edit]:
    """The edits that make an app's folder say so, in a person's own words."""
    if app is None:
        return {folder(ref): None}
    return {
        f"{folder(ref)}/app.yaml": _app_yaml(app.settings, comment),
        f"{folder(ref)}/code": _folders(app.files),
        f"{folder(ref)}/overlay/kustomization.yaml": app.overlay,
    }


def tenant_yaml(user: str, state: str) -> bytes:
    """A tenant's file."""
    values: dict[str, object] = {
        "apiVersion": "fastapi-platform/v1",
        "kind": "Tenant",
        "user": user,
        "username": f"name-{user}",
        "created": "2026-01-01T00:00:00Z",
    }
    if state == "wrong":
        return b"user: [\n"
    if state == "suspended":
        values["suspended"] = {"by": "root", "reason": "mining"}
    return yaml.safe_dump(values).encode()


def _tenant(state: str | None) -> Callable[[Main, str], tuple[dict[str, Edit], Main]]:
    def change(main: Main, user: str) -> tuple[dict[str, Edit], Main]:
        text = tenant_yaml(user, state) if state else None
        return {f"{_folder(user)}/tenant.yaml": text}, main.tenant(user, state)

    return change


def _without_tenant(main: Main, user: str) -> tuple[dict[str, Edit], Main]:
    apps = {ref: app for ref, app in main.apps.items() if ref.user_id != user}
    return {_folder(user): None}, replace(main, apps=apps).tenant(user, None)


def _without_apps(main: Main, user: str) -> tuple[dict[str, Edit], Main]:
    """Every app of the user's shard is gone, not the tenants."""
    gone = [ref for ref in main.apps if shard_of(ref.user_id, 2) == shard_of(user, 2)]
    rest = {ref: app for ref, app in main.apps.items() if ref not in gone}
    return {folder(ref): None for ref in gone}, replace(main, apps=rest)


#: What happens to all of a tenant, or more, and what undoes it.
ACCIDENTS: Final[Mapping[str, Callable[[Main, str], tuple[dict[str, Edit], Main]]]] = {
    "tenant.yaml gone": _tenant(None),
    "tenant.yaml wrong": _tenant("wrong"),
    "suspended": _tenant("suspended"),
    "tenant.yaml back": _tenant("fine"),
    "tenant.yaml put right": _tenant("fine"),
    "all in order": _tenant("fine"),
    "tenant gone": _without_tenant,
    "apps of the shard gone": _without_apps,
}


def _folder(user: str) -> str:
    return folder(AppRef(user, "x")).rpartition("/")[0]


def _app_yaml(settings: Settings | None, comment: int) -> bytes:
    if settings is None:
        return b"kind: [App"
    values: dict[str, object] = {
        "apiVersion": "fastapi-platform/v1",
        "kind": "App",
        "id": settings.app_id,
        "user": settings.user,
        "name": settings.name,
        "entrypoint": settings.entrypoint,
        "state": settings.state,
        "env": dict(settings.env),
    }
    if settings.restarted:
        values["restartedAt"] = settings.restarted
    return b"# %d\n" % comment + yaml.safe_dump(values).encode()


def _folders(files: Mapping[str, bytes]) -> Folder:
    flat: dict[str, bytes | Folder] = {p: text for p, text in files.items() if "/" not in p}
    nested: dict[str, dict[str, bytes]] = {}
    for path, text in files.items():
        name, _, rest = path.partition("/")
        if rest:
            nested.setdefault(name, {})[rest] = text
    return Folder(flat | {name: _folders(below) for name, below in nested.items()})
