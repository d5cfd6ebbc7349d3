"""What shall become of people's changes, as values: written from the contract, not from the code.

`main` is a chain of snapshots; a shard branch is a chain of what stands. Each change of one and
each publish commit of the other is a function of what was there before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from api.domain.names import AppRef
from api.domain.repo_layout import EMPTY_OVERLAY

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Settings:
    """`app.yaml`, as far as anything here changes it."""

    app_id: str
    user: str
    name: str
    entrypoint: str = "user_code.py"
    env: tuple[tuple[str, str], ...] = ()
    state: str = "running"
    restarted: object = None


@dataclass(frozen=True)
class App:
    """An app's folder; settings are None where app.yaml cannot be read."""

    settings: Settings | None
    files: Files
    overlay: bytes
    #: The entries' very objects, where they were read from git.
    entries: tuple[str | None, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Main:
    """`main` at one commit; a tenant is `fine`, `suspended` or `wrong`, or has no file at all."""

    apps: Mapping[AppRef, App] = field(default_factory=dict)
    tenants: Mapping[str, str] = field(default_factory=dict)

    def put(self, ref: AppRef, app: App | None) -> "Main":
        rest = {other: found for other, found in self.apps.items() if other != ref}
        return replace(self, apps=rest if app is None else rest | {ref: app})

    def tenant(self, user: str, state: str | None) -> "Main":
        rest = {other: found for other, found in self.tenants.items() if other != user}
        return replace(self, tenants=rest if state is None else rest | {user: state})

    def known(self, user: str) -> "Main":
        """With a tenant.yaml: the platform writes a missing one."""
        return self if user in self.tenants else self.tenant(user, "fine")


@dataclass(frozen=True)
class Draft:
    """What somebody sends from the editor; None leaves a part as it is."""

    name: str | None = None
    files: Files | None = None
    entrypoint: str | None = None
    env: Mapping[str, str] | None = None


def written(app: App | None, ref: AppRef, draft: Draft) -> App:
    """The app after a deploy from the editor, which also wakes it."""
    before = (app and app.settings) or Settings(ref.app_id, ref.user_id, ref.app_id)
    env = before.env if draft.env is None else tuple(sorted(draft.env.items()))
    settings = Settings(
        ref.app_id,
        ref.user_id,
        draft.name or before.name,
        draft.entrypoint or before.entrypoint,
        env,
        restarted=before.restarted,
    )
    files = draft.files if draft.files is not None else (app.files if app else {})
    return App(settings, files, app.overlay if app else EMPTY_OVERLAY)


def rolled_back(app: App, past: App) -> App:
    """Code, overlay, entrypoint and variables of then; the rest stays."""
    assert past.settings
    before = app.settings or past.settings
    then = past.settings
    settings = replace(before, entrypoint=then.entrypoint, env=then.env, state="running")
    return App(settings, past.files, past.overlay)


def awake(app: App) -> App:
    return app if app.settings is None else with_settings(app, state="running")


def with_settings(app: App, **values: object) -> App:
    assert app.settings
    return replace(app, settings=replace(app.settings, **values))


def owned(ref: AppRef, app: App) -> bool:
    """Whether app.yaml can be read and names the folder it stands in."""
    found = app.settings
    return found is not None and (found.app_id, found.user) == (ref.app_id, ref.user_id)


def passes(ref: AppRef, app: App) -> bool:
    """The check, as far as the texts of this test go."""
    if not owned(ref, app) or app.settings is None or b"image:" in app.overlay:
        return False
    served = app.files.get(app.settings.entrypoint, b"")
    everything = b"\n".join(app.files.values())
    return b"app = FastAPI()" in served and b"import os" not in everything


@dataclass(frozen=True)
class Stands:
    """An app on its shard branch: what was last accepted, and whether it shall run."""

    app: App
    running: bool
    folder: str = field(default="", compare=False)  # object id of all of it
    serving: bool = field(default=False, compare=False)  # older code is kept for its pods
    made_by: str = field(default="", compare=False)  # the release that rendered it


@dataclass(frozen=True)
class Verdict:
    """How an app shall stand, and whether its newest intent is held."""

    stands: Stands | None
    held: bool


def verdict(
    ref: AppRef, main: Main, before: Stands | None, owner: str | None, older: Iterable[App]
) -> Verdict:
    """`published = render(check(intent))`; `older` are intents since the last one, newest first."""
    tenant = main.tenants.get(ref.user_id, "missing")
    if tenant in {"wrong", "missing"}:
        return Verdict(before, held=True)
    intent = main.apps.get(ref)
    if intent is None:
        return Verdict(None, held=False)
    if owner not in {None, ref.user_id}:
        return Verdict(before, held=True)
    if passes(ref, intent):
        return Verdict(_standing(intent, tenant), held=False)
    base = before.app if before else None
    for app in older:
        if before and app.entries == before.app.entries:
            break
        if passes(ref, app):
            base = app
            break
    if base is None or base.settings is None:
        return Verdict(before, held=True)
    if owned(ref, intent) and intent.settings:
        wish = intent.settings
        base = with_settings(base, state=wish.state, restarted=wish.restarted)
    return Verdict(_standing(base, tenant), held=True)


def _standing(app: App, tenant: str) -> Stands:
    assert app.settings
    return Stands(app, tenant == "fine" and app.settings.state == "running")


def looks_like_an_accident(removed: int, standing: int) -> bool:
    """All of a shard's apps, or more than a fifth of them and more than five."""
    return (removed == standing and removed > 1) or (removed > 5 and removed > standing / 5)
