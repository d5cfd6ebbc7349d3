"""An app's folder on its shard branch, rendered: entries as the objects they are, the rest anew."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Final

import yaml

from api.clients.git_trees import Edit, Entry, Folder, Same
from api.clients.gitops_repo import GitopsRepo
from api.domain.made_with import made_with, today
from api.domain.manifests import (
    AppSource,
    RenderSettings,
    Serving,
    Templates,
    intent_digest,
    render_app,
    render_tenant,
)
from api.domain.names import AppRef
from api.domain.publication import Accepted, Checked, Entries, Target
from api.domain.quarantine import NOTHING, Quarantine
from api.domain.repo_layout import PlatformFile, TenantFile, dump
from api.domain.rollout import LiveVersion
from api.intents import Intents

_REMEMBERED: Final = 1000  # tenants whose rendered objects are kept, some 4 kB each


@dataclass(frozen=True)
class Tips:
    """Where both branches stood at one look, and what holds in the whole repository."""

    shard: str
    main: str
    tip: str
    source: str | None  # Source-Commit of the tip; None on the branch's root commit
    platform: PlatformFile
    quarantine: Quarantine = NOTHING  # what the cluster refused of the shard


@dataclass(frozen=True)
class Sides:
    """One app as a look finds it on both branches."""

    ref: AppRef
    tenant: TenantFile
    intent: Entries
    accepted: Accepted | None
    stands: Entry | None
    owner: str | None  # the tenant who had the app's id first; None for a new one


class FolderRenderer:
    """Renders what was decided, and keeps the code that pods may still run."""

    def __init__(
        self,
        repo: GitopsRepo,
        intents: Intents,
        live: Callable[[AppRef], Awaitable[LiveVersion | None]],
        templates: Templates,
        settings: RenderSettings,
    ) -> None:
        self._repo = repo
        self._intents = intents
        self._live = live
        self._templates = templates
        self._settings = settings
        self._tenant_objects = lru_cache(_REMEMBERED)(partial(render_tenant, templates))

    async def folder(
        self, tips: Tips, app: Sides, target: Target, *, settled: bool = False
    ) -> Mapping[str, Edit]:
        """The edits that make the app stand as decided, its tenant's objects included.

        `settled`: the version is live, so no older code is kept. Raises RenderError.
        """
        serving = None if settled else await self._serving(tips, app, target)
        app_file = dump(target.app) if target.patched else Same(target.entries.app or "", "file")
        code = Same(target.entries.code or "", "folder")
        source = AppSource(
            target.app,
            tuple(sorted(await self._repo.tree_files(code.id))),
            (),
            intent_digest(
                target.app, target.entries.code, target.entries.overlay, target.entries.secrets
            ),
        )
        content: dict[str, bytes | Same | Folder] = {"app.yaml": app_file, "code": code}
        for name, object_id in (
            ("overlay", target.entries.overlay),
            ("secrets", target.entries.secrets),
            ("serving", serving[1] if serving else None),
        ):
            if object_id:
                content[name] = Same(object_id, "folder")
        settings = self._settings_at(tips)
        rendered = render_app(
            self._templates,
            source,
            settings,
            running=target.running,
            serving=serving[0] if serving else None,
        )
        content |= _nested(rendered)
        tenant = self._tenant_objects(app.tenant, settings, tips.shard)
        return {branch_folder(app.ref): Folder(content)} | {
            f"{app.ref.user_id}/{name}": data for name, data in tenant.items()
        }

    async def is_of_today(self, tips: Tips, stands: Entry) -> bool:
        """Whether the folder on the branch was made with today's renderer, image and settings."""
        file = stands.children.get("kustomization.yaml")
        made = made_with(await self._repo.blob(file.id)) if file else None
        return made == today(self._settings_at(tips))

    def _settings_at(self, tips: Tips) -> RenderSettings:
        return replace(self._settings, ceilings=tips.platform.ceilings)

    async def last(self, app: Sides) -> Checked | None:
        """The accepted version as it stands; it passed once, and a stricter check stops nothing."""
        if app.accepted is None or not app.accepted.entries.app:
            return None
        settings = await self._intents.file(app.accepted.entries)
        return Checked(app.accepted.entries, settings, ()) if settings else None

    async def _serving(self, tips: Tips, app: Sides, target: Target) -> tuple[Serving, str] | None:
        """Code to keep for pods that still run it: the parent's if seen live, else its own."""
        if app.accepted is None or app.stands is None or not app.accepted.running:
            return None
        if not target.running:
            return None
        before = app.accepted.entries
        live = await self._live(app.ref)
        if live and before.code and await self.is_live(app):
            return await self._kept(before.code, live.intent, live.config_map, target)
        kept = app.stands.children.get("serving")
        if kept is None:
            return None
        text = await self._repo.read(tips.tip, f"{branch_folder(app.ref)}/kustomization.yaml")
        kustomization = yaml.safe_load(text or b"")
        intent = kustomization["metadata"]["annotations"]["fastapi-platform/serving-intent"]
        name = kustomization["configMapGenerator"][1]["name"]
        return await self._kept(kept.id, intent, name, target)

    async def is_live(self, app: Sides) -> bool:
        """Whether the version on the shard branch was the last one seen serving."""
        last = await self.last(app)
        live = await self._live(app.ref)
        if live is None or last is None or last.app is None:
            return False
        entries = last.entries
        digest = intent_digest(last.app, entries.code, entries.overlay, entries.secrets)
        return live.intent == digest

    async def _kept(
        self, code: str, intent: str, config_map: str, target: Target
    ) -> tuple[Serving, str] | None:
        if code == target.entries.code:
            return None  # one ConfigMap of that name is enough
        files = tuple(sorted(await self._repo.tree_files(code)))
        return Serving(intent, config_map, files), code


def branch_folder(ref: AppRef) -> str:
    """An app's folder on its shard branch."""
    return f"{ref.user_id}/{ref.app_id}"


def _nested(files: Mapping[str, bytes]) -> dict[str, bytes | Folder]:
    """Rendered files as folders; the templates are one level deep."""
    folders: dict[str, dict[str, bytes]] = {}
    found: dict[str, bytes | Folder] = {}
    for path, data in files.items():
        folder, _, name = path.rpartition("/")
        if folder:
            folders.setdefault(folder, {})[name] = data
        else:
            found[name] = data
    return found | {name: Folder(content) for name, content in folders.items()}
