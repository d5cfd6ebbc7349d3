"""How the apps of one shard shall stand on its branch: composed from `main`, app by app.

What becomes of each app, `api/verdicts.py` says. Nothing here writes: the result is a value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from api.checking import IntentCheck
from api.clients.git_tenants import Ids, OpenedTenant, is_app
from api.clients.git_trees import Entry
from api.clients.gitops_repo import GitopsRepo
from api.domain.intent_check import check_tenant, malformed
from api.domain.names import AppRef
from api.domain.publication import Accepted, Hold
from api.domain.quarantine import Record
from api.domain.repo_layout import PlatformFile, TenantFile
from api.history import History
from api.intents import Intents
from api.rendering import FolderRenderer, Sides, Tips
from api.verdicts import Outcome, Verdicts, entries_in


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
    quarantined: Mapping[AppRef, Record]
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
        self._history = history
        self._verdicts = Verdicts(repo, intents, history, check, renderer)
        self._shards: dict[str, _Shard] = {}

    async def look(self, tips: Tips, *, anew: bool = False) -> list[Outcome]:
        """Compare every app of a shard; `tips.main` must be indexed in history.

        `anew`: what stands as it should, or is held, is rendered again if it was made with
        another renderer, runner image or settings than today's.
        """
        everything = anew or tips.quarantine.news
        settled = {} if everything else await self._settled_tenants(tips)
        ids = {user_id: tenant.ids for user_id, tenant in settled.items()}
        tenants = await self._repo.open_shard(tips.main, tips.tip, tips.shard, ids)
        found: list[tuple[Outcome, Sides | None]] = []
        for user_id, tenant in tenants.items():
            if tenant is None:
                found += [(outcome, None) for outcome in settled[user_id].outcomes]
                continue
            outcomes = await self._tenant_outcomes(tips, user_id, tenant)
            found += outcomes
            if all(_is_settled(outcome, app) for outcome, app in outcomes):
                looked_at = tuple(outcome for outcome, _ in outcomes)
                settled[user_id] = _SettledTenant(tenant.ids, looked_at)
            else:
                settled.pop(user_id, None)
        for user_id in settled.keys() - tenants.keys():
            del settled[user_id]
        if anew:
            found = [
                (await self._verdicts.renewed(tips, outcome, app), app) for outcome, app in found
            ]
        if any(outcome.edits is not None for outcome, _ in found):
            return [await self._verdicts.settled(tips, outcome, app) for outcome, app in found]
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
            or shard.quarantined != tips.quarantine.records
            or not await self._repo.is_ancestor(shard.head, head)
        ):
            shard = _Shard(head or "", tips.platform, tips.quarantine.records)
        self._shards[tips.shard] = replace(shard, head=head or "")
        return shard.tenants

    async def _tenant_outcomes(
        self, tips: Tips, user_id: str, opened: OpenedTenant
    ) -> list[tuple[Outcome, Sides | None]]:
        intents, published = opened.intents, opened.published
        refs = [AppRef(user_id, app_id) for app_id in sorted(_apps(intents) | _apps(published))]
        tenant = await self._tenant(tips.shard, user_id, opened)
        if isinstance(tenant, Hold):
            kept = tips.quarantine.records
            return [
                (
                    Outcome(r, stands=r.app_id in published, hold=tenant, quarantined=kept.get(r)),
                    None,
                )
                for r in refs
            ]
        owners = await self._history.owners([ref.app_id for ref in refs])
        apps = [
            Sides(
                ref,
                tenant,
                entries_in(intents.get(ref.app_id)),
                _accepted(published.get(ref.app_id)),
                published.get(ref.app_id),
                owners.get(ref.app_id),
            )
            for ref in refs
        ]
        found: list[tuple[Outcome, Sides | None]] = []
        for app in apps:
            outcome = await self._verdicts.outcome(tips, app)
            hold = replace(outcome.hold, entries=app.intent) if outcome.hold else None
            found.append((replace(outcome, stands=app.stands is not None, hold=hold), app))
        return found

    async def _tenant(self, shard: str, user_id: str, opened: OpenedTenant) -> TenantFile | Hold:
        if opened.malformed:
            return Hold((malformed("tenant.yaml"),))
        data, entry = None, opened.intents.get("tenant.yaml")
        if entry is not None and entry.kind == "file":
            data = await self._repo.blob(entry.id)
        found = check_tenant(shard, user_id, data)
        return found if isinstance(found, TenantFile) else Hold((found,))


def _is_settled(outcome: Outcome, app: Sides | None) -> bool:
    """Whether a later look at the same folders finds the same, and has nothing to do."""
    if app is None or outcome.edits is not None or outcome.hold is not None:
        return False
    return app.stands is None or "serving" not in app.stands.children


def _apps(folder: Mapping[str, Entry]) -> set[str]:
    return {name for name, entry in folder.items() if is_app(name, entry)}


def _accepted(folder: Entry | None) -> Accepted | None:
    if folder is None:
        return None
    generated = folder.children.get("generated")
    return Accepted(entries_in(folder), generated is not None and _ROUTE in generated.children)


_ROUTE: Final = "ingressroute.yaml"
