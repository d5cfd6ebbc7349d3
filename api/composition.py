"""How the apps of one shard shall stand on its branch: composed from `main`, app by app.

Only the entries of an app go over, as the very objects of `main`; everything else in its folder is
rendered. Nothing here writes: the result of a look is a value.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from api.checking import IntentCheck
from api.clients.git_tenants import Ids
from api.clients.git_trees import Edit, Entry
from api.clients.gitops_repo import GitopsRepo
from api.domain.intent_check import AppFolder, is_entry, problem
from api.domain.manifests import (
    RenderError,
)
from api.domain.names import AppRef, is_id, shard_of
from api.domain.publication import (
    NOT_APPS,
    Accepted,
    Checked,
    Entries,
    Hold,
    Target,
    decide,
    entries_of,
    is_up_to_date,
)
from api.domain.repo_layout import (
    InvalidFile,
    PlatformFile,
    TenantFile,
    app_folder,
    parse_tenant,
)
from api.errors import RepositoryUnavailable
from api.history import History
from api.intents import Intents
from api.rendering import FolderRenderer, Sides, Tips, branch_folder

_log = logging.getLogger(__name__)
#: How many refused intents are looked through for the newest one that passes.
_MAX_OLDER: Final = 50


@dataclass(frozen=True)
class Outcome:
    """What a look found for one app, and what it writes."""

    ref: AppRef
    edits: Mapping[str, Edit] | None = None  # None: the app stands as it should
    removes: bool = False
    stands: bool = False  # it is on the shard branch before this look
    hold: Hold | None = None
    anew: bool = False  # only its manifests are written: by another renderer or runner image


@dataclass(frozen=True)
class _SettledTenant:
    """A tenant of whom nothing is to be done while their folders are these."""

    ids: Ids
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class _Shard:
    """What was found of a shard when history ended at `head`."""

    head: str
    platform: PlatformFile
    tenants: dict[str, _SettledTenant] = field(default_factory=dict)


class Composer:
    """Compares, checks and renders; its results depend on both branches and nothing else."""

    def __init__(
        self,
        repo: GitopsRepo,
        intents: Intents,
        history: History,
        check: IntentCheck,
        renderer: FolderRenderer,
    ) -> None:
        self._repo = repo
        self._intents = intents
        self._history = history
        self._check = check
        self._renderer = renderer
        self._shards: dict[str, _Shard] = {}

    async def look(self, tips: Tips, *, anew: bool = False) -> list[Outcome]:
        """Compare every app of a shard; `tips.main` must be indexed in history.

        `anew`: what stands as it should, or is held, is rendered again if it was made with
        another renderer or runner image than today's.
        """
        settled = {} if anew else await self._settled_tenants(tips)
        ids = {user_id: tenant.ids for user_id, tenant in settled.items()}
        tenants = await self._repo.open_shard(tips.main, tips.tip, tips.shard, ids)
        found: list[tuple[Outcome, Sides | None]] = []
        for user_id, tenant in tenants.items():
            if tenant is None:
                found += [(outcome, None) for outcome in settled[user_id].outcomes]
                continue
            outcomes = await self._tenant_outcomes(tips, user_id, tenant.intents, tenant.published)
            found += outcomes
            if all(_is_settled(outcome, app) for outcome, app in outcomes):
                looked_at = tuple(outcome for outcome, _ in outcomes)
                settled[user_id] = _SettledTenant(tenant.ids, looked_at)
            else:
                settled.pop(user_id, None)
        for user_id in settled.keys() - tenants.keys():
            del settled[user_id]
        if anew:
            found = [(await self._renewed(tips, outcome, app), app) for outcome, app in found]
        if any(outcome.edits is not None for outcome, _ in found):
            return [await self._settled(tips, outcome, app) for outcome, app in found]
        return [outcome for outcome, _ in found]

    async def _settled_tenants(self, tips: Tips) -> dict[str, _SettledTenant]:
        """What earlier looks found of the shard, as far as it says anything about this one.

        Who owns an app id is the one thing that neither folder tells: a rewind can change it.
        """
        shard = self._shards.get(tips.shard)
        head = await self._history.head()
        if (
            shard is None
            or head is None
            or shard.platform != tips.platform
            or not await self._repo.is_ancestor(shard.head, head)
        ):
            shard = _Shard(head or "", tips.platform)
        self._shards[tips.shard] = replace(shard, head=head or "")
        return shard.tenants

    async def _tenant_outcomes(
        self,
        tips: Tips,
        user_id: str,
        intents: Mapping[str, Entry],
        published: Mapping[str, Entry],
    ) -> list[tuple[Outcome, Sides | None]]:
        refs = [AppRef(user_id, app_id) for app_id in sorted(_apps(intents) | _apps(published))]
        tenant = await self._tenant(tips.shard, user_id, intents.get("tenant.yaml"))
        if isinstance(tenant, Hold):
            return [
                (Outcome(ref, stands=ref.app_id in published, hold=tenant), None) for ref in refs
            ]
        owners = await self._history.owners([ref.app_id for ref in refs])
        apps = [
            Sides(
                ref,
                tenant,
                _entries(intents.get(ref.app_id)),
                _accepted(published.get(ref.app_id)),
                published.get(ref.app_id),
                owners.get(ref.app_id),
            )
            for ref in refs
        ]
        found: list[tuple[Outcome, Sides | None]] = []
        for app in apps:
            outcome = await self._guarded_outcome(tips, app)
            hold = replace(outcome.hold, entries=app.intent) if outcome.hold else None
            found.append((replace(outcome, stands=app.stands is not None, hold=hold), app))
        return found

    async def _settled(self, tips: Tips, outcome: Outcome, app: Sides | None) -> Outcome:
        """The shard is written anyway: drop the old code of an app whose new version is live."""
        if outcome.edits is not None or app is None or app.accepted is None or app.stands is None:
            return outcome
        if "serving" not in app.stands.children or not await self._renderer.is_live(app):
            return outcome
        return replace(outcome, edits=await self._as_it_stands(tips, app, settled=True))

    async def _renewed(self, tips: Tips, outcome: Outcome, app: Sides | None) -> Outcome:
        """Rendered by today's renderer, unless it was or is written anyway."""
        if outcome.edits is not None or app is None or app.stands is None:
            return outcome
        if await self._renderer.is_of_today(app.stands):
            return outcome
        try:
            edits = await self._as_it_stands(tips, app, settled=False)
        except RenderError as error:
            unrendered = problem("app.yaml", "render", str(error), "Change the value it names.")
            return replace(outcome, hold=outcome.hold or Hold((unrendered,), entries=app.intent))
        return replace(outcome, edits=edits, anew=edits is not None)

    async def _as_it_stands(
        self, tips: Tips, app: Sides, *, settled: bool
    ) -> Mapping[str, Edit] | None:
        """The folder of the accepted version; None when it cannot be read."""
        last = await self._renderer.last(app)
        if app.accepted is None or last is None or last.app is None:
            return None
        target = Target(last.entries, last.app, patched=False, running=app.accepted.running)
        return await self._renderer.folder(tips, app, target, settled=settled)

    async def _tenant(self, shard: str, user_id: str, entry: Entry | None) -> TenantFile | Hold:
        if not is_id(user_id) or shard_of(user_id, len(shard)) != shard:
            return _tenant_hold(f"The folder {user_id!r} does not belong in shard {shard}.")
        if entry is None or entry.kind != "file":
            return _tenant_hold("The file tenant.yaml of this tenant is missing.")
        try:
            tenant = parse_tenant(await self._repo.blob(entry.id))
        except InvalidFile as error:
            return _tenant_hold(f"The file tenant.yaml of this tenant is wrong: {error.message}.")
        if tenant.user != user_id:
            return _tenant_hold(f"tenant.yaml is of {tenant.user}, not of {user_id}.")
        return tenant

    async def _guarded_outcome(self, tips: Tips, app: Sides) -> Outcome:
        """Whatever one app's folder makes go wrong is that app's alone: it is held, and said."""
        try:
            return await self._app_outcome(tips, app)
        except RepositoryUnavailable:
            raise
        except Exception:  # noqa: BLE001  (reported; everybody else's apps go on)
            _log.exception("app %s could not be looked at", app.ref.app_id)
            hint = "Look at the last commits of the app; an administrator finds more in the log."
            unread = problem("app.yaml", "unreadable", "This version cannot be read.", hint)
            return Outcome(app.ref, hold=Hold((unread,), unknown=True))

    async def _app_outcome(self, tips: Tips, app: Sides) -> Outcome:
        if not app.intent:
            removed = {branch_folder(app.ref): None} if app.stands else None
            return Outcome(app.ref, removed, removes=app.stands is not None)
        if app.owner not in (None, app.ref.user_id):
            message = f"The id {app.ref.app_id} belongs to another tenant."
            hint = "Give the app an id of its own: the folder's name, and `id` in app.yaml."
            return Outcome(app.ref, hold=Hold((problem("app.yaml", "foreign_id", message, hint),)))
        if await self._stands(app):
            return Outcome(app.ref)
        newest = await self._checked(tips, app.ref, app.intent, tips.main)
        older = () if newest.passed else await self._older(tips, app)
        last = None if newest.passed else await self._renderer.last(app)
        target, hold = decide(newest, older, last, app.tenant)
        if target is None:
            return Outcome(app.ref, hold=hold)
        try:
            return Outcome(app.ref, await self._edits(tips, app, target), hold=hold)
        except RenderError as error:
            unrendered = problem("app.yaml", "render", str(error), "Change the value it names.")
            return Outcome(app.ref, hold=Hold((unrendered,)))

    async def _stands(self, app: Sides) -> bool:
        if app.accepted is None or app.accepted.entries != app.intent or not app.intent.app:
            return False
        settings = await self._intents.file(app.intent)
        return settings is not None and is_up_to_date(
            app.intent, settings, app.tenant, app.accepted
        )

    async def _checked(self, tips: Tips, ref: AppRef, entries: Entries, commit: str) -> Checked:
        known = self._check.known(ref, entries, tips.platform)
        if known:
            return known
        path = app_folder(ref, len(tips.shard))
        files = await self._repo.files(commit, path)
        odd = await self._repo.odd_paths(commit, path)
        folder = AppFolder(
            {name: data for name, data in files.items() if is_entry(name)},
            tuple(name for name in odd if is_entry(name)),
        )
        return await self._check.verdict(ref, entries, folder, tips.platform)

    async def _older(self, tips: Tips, app: Sides) -> Sequence[Checked]:
        """Intents since the last accepted one, newest first, down to the first that passes."""
        found: list[Checked] = []
        seen = {app.intent}
        path = app_folder(app.ref, len(tips.shard))
        for commit in [c.commit for c in await self._history.newest(app.ref, _MAX_OLDER)]:
            if not await self._repo.is_ancestor(commit, tips.main):
                continue  # history may be ahead of what this attempt read
            if tips.source and await self._repo.is_ancestor(commit, tips.source):
                break
            entry = await self._repo.outline(commit, path)
            entries = _entries(Entry("", "folder", entry)) if entry else Entries()
            if entries == (app.accepted and app.accepted.entries):
                break
            if not entries or entries in seen:
                continue
            seen.add(entries)
            found.append(await self._checked(tips, app.ref, entries, commit))
            if found[-1].passed:
                break
        return found

    async def _edits(self, tips: Tips, app: Sides, target: Target) -> Mapping[str, Edit] | None:
        """The whole folder of the app, rendered; None when the branch says just that already."""
        if target.patched:
            if app.accepted and await self._same_settings(app.accepted, target):
                return None
        elif app.accepted == Accepted(target.entries, target.running):
            return None
        return await self._renderer.folder(tips, app, target)

    async def _same_settings(self, accepted: Accepted, target: Target) -> bool:
        """Whether the accepted version already carries the newest state and restart."""
        stands = await self._intents.file(accepted.entries)
        rest = (target.entries.code, target.entries.overlay, target.entries.secrets)
        entries = accepted.entries
        return (
            stands == target.app
            and (entries.code, entries.overlay, entries.secrets) == rest
            and accepted.running == target.running
        )


def _is_settled(outcome: Outcome, app: Sides | None) -> bool:
    """Whether a later look at the same folders finds the same, and has nothing to do."""
    if app is None or outcome.edits is not None or outcome.hold is not None:
        return False
    return app.stands is None or "serving" not in app.stands.children


def _apps(folder: Mapping[str, Entry]) -> set[str]:
    return {
        name
        for name, entry in folder.items()
        if entry.kind == "folder" and is_id(name) and name not in NOT_APPS
    }


def _entries(folder: Entry | None) -> Entries:
    return entries_of({name: entry.id for name, entry in folder.children.items()} if folder else {})


def _accepted(folder: Entry | None) -> Accepted | None:
    if folder is None:
        return None
    generated = folder.children.get("generated")
    return Accepted(_entries(folder), generated is not None and _ROUTE in generated.children)


def _tenant_hold(message: str) -> Hold:
    hint = "Put tenant.yaml back as it was: `git log -- <path>` shows the last version."
    return Hold((problem("tenant.yaml", "tenant", message, hint),))


_ROUTE: Final = "ingressroute.yaml"
