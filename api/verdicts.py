"""How one app shall stand on its shard branch: published, held or withdrawn, and its folder.

Only its entries go over, as the very objects of `main`; everything else in its folder is rendered.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from api.checking import IntentCheck
from api.clients.git_trees import Edit, Entry, Same
from api.clients.gitops_repo import GitopsRepo
from api.domain.intent_check import AppFolder, check_owner, problem
from api.domain.manifests import (
    RenderError,
)
from api.domain.names import AppRef
from api.domain.publication import (
    Accepted,
    Checked,
    Entries,
    Hold,
    Target,
    decide,
    entries_of,
    is_up_to_date,
)
from api.domain.quarantine import QUARANTINE_FILE, REFUSED, Record, write_quarantine
from api.domain.repo_layout import AppFile, app_folder
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
    anew: bool = False  # only its manifests are written: by another renderer, image or settings
    quarantined: Record | None = None  # the cluster refused it: it stands as it was applied before

    @property
    def verb(self) -> str:
        """What becomes of the app, for the subject of a commit."""
        if self.quarantined:
            return "quarantine"
        return "withdraw" if self.removes else "rerender" if self.anew else "publish"


class Verdicts:
    """Says for each app by itself what becomes of it; depends on both branches and nothing else."""

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

    async def outcome(self, tips: Tips, app: Sides) -> Outcome:
        """Whatever one app's folder makes go wrong is that app's alone: it is held, and said."""
        try:
            return await self._outcome(tips, app)
        except RepositoryUnavailable:
            raise
        except Exception:  # noqa: BLE001  (reported; everybody else's apps go on)
            _log.exception("app %s could not be looked at", app.ref.app_id)
            hint = "Look at the last commits of the app; an administrator finds more in the log."
            unread = problem("app.yaml", "unreadable", "This version cannot be read.", hint)
            record = tips.quarantine.records.get(app.ref)
            return Outcome(app.ref, hold=Hold((unread,), unknown=True), quarantined=record)

    async def _outcome(self, tips: Tips, app: Sides) -> Outcome:
        if not app.intent:
            removed = {branch_folder(app.ref): None} if app.stands else None
            return Outcome(app.ref, removed, removes=app.stands is not None)
        if foreign := check_owner(app.ref, app.owner):
            return Outcome(app.ref, hold=Hold((foreign,)))
        record = tips.quarantine.records.get(app.ref)
        if record and record.intent == app.intent:
            settings = await self._intents.file(app.intent)
            return await self._gone_back(app, record, settings, _refusal(record))
        if await self._stands(app):
            return Outcome(app.ref)
        return await self._judged(tips, app, record)

    async def _judged(self, tips: Tips, app: Sides, record: Record | None) -> Outcome:
        newest = await self._checked(tips, app.ref, app.intent, tips.main)
        older = () if newest.passed else await self._older(tips, app, record)
        if record and not any(checked.passed for checked in (newest, *older)):
            _, held = decide(newest, older, None, app.tenant)
            return await self._gone_back(app, record, newest.app, held)
        last = None if newest.passed else await self._renderer.last(app)
        target, hold = decide(newest, older, last, app.tenant)
        if target is None:
            return Outcome(app.ref, hold=hold)
        try:
            return Outcome(app.ref, await self._edits(tips, app, target), hold=hold)
        except RenderError as error:
            unrendered = problem("app.yaml", "render", str(error), "Change the value it names.")
            return Outcome(app.ref, hold=Hold((unrendered,)), quarantined=record)

    async def _gone_back(
        self, app: Sides, record: Record, settings: AppFile | None, hold: Hold | None
    ) -> Outcome:
        """As it was last applied, to the byte: what rendered it may be what is refused.

        An app that shall not run is left out, as one that never was applied.
        """
        folder = branch_folder(app.ref)
        runs = app.tenant.stops(app.ref.app_id) is None and (
            settings is None or settings.state == "running"
        )
        before = await self._repo.entry(record.applied, folder) if record.applied and runs else None
        edits: Mapping[str, Edit] | None = {folder: Same(before.id, "folder") if before else None}
        if (before.id if before else None) == (app.stands.id if app.stands else None):
            edits = None
        if before and record.applied:
            names = await self._repo.children(record.applied, folder)
            if entries_in(Entry("", "folder", names)) == record.intent == app.intent:
                hold = None  # it is what people want; what it was rendered with was refused
        return Outcome(app.ref, edits, hold=hold, quarantined=record)

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
        opened = await self._repo.open_folder(commit, path)
        folder = AppFolder(opened.files, tuple(opened.odd)) if opened else AppFolder({})
        return await self._check.verdict(ref, entries, folder, tips.platform)

    async def _older(self, tips: Tips, app: Sides, record: Record | None) -> Sequence[Checked]:
        """Intents since the last accepted one, newest first, down to the first that passes."""
        found: list[Checked] = []
        seen = {app.intent, *([record.intent] if record else [])}
        path = app_folder(app.ref, len(tips.shard))
        for commit in [c.commit for c in await self._history.newest(app.ref, _MAX_OLDER)]:
            if not await self._repo.is_ancestor(commit, tips.main):
                continue  # history may be ahead of what this attempt read
            if tips.source and await self._repo.is_ancestor(commit, tips.source):
                break
            entry = await self._repo.outline(commit, path)
            entries = entries_in(Entry("", "folder", entry)) if entry else Entries()
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

    async def settled(self, tips: Tips, outcome: Outcome, app: Sides | None) -> Outcome:
        """The shard is written anyway: drop the old code of an app whose new version is live.

        Not of one made with another renderer, image or settings: it might be restarted by this.
        """
        if outcome.edits is not None or app is None or app.accepted is None or app.stands is None:
            return outcome
        if outcome.quarantined:
            return outcome
        if "serving" not in app.stands.children or not await self._renderer.is_live(app):
            return outcome
        if not await self._renderer.is_of_today(tips, app.stands):
            return outcome
        try:
            return replace(outcome, edits=await self._as_it_stands(tips, app, settled=True))
        except RenderError:
            return outcome  # as it stands it serves; what is wrong is told at its next deploy

    async def renewed(self, tips: Tips, outcome: Outcome, app: Sides | None) -> Outcome:
        """Rendered by today's renderer, unless it was or is written anyway."""
        if outcome.edits is not None or app is None or app.stands is None:
            return outcome
        if outcome.quarantined and outcome.hold:
            return outcome
        if await self._renderer.is_of_today(tips, app.stands):
            return outcome
        try:
            edits = await self._as_it_stands(tips, app, settled=False)
        except RenderError as error:
            unrendered = problem("app.yaml", "render", str(error), "Change the value it names.")
            return replace(outcome, hold=outcome.hold or Hold((unrendered,), entries=app.intent))
        return replace(outcome, edits=edits, anew=edits is not None, quarantined=None)

    async def _as_it_stands(
        self, tips: Tips, app: Sides, *, settled: bool
    ) -> Mapping[str, Edit] | None:
        """The folder of the accepted version; None when it cannot be read."""
        last = await self._renderer.last(app)
        if app.accepted is None or last is None or last.app is None:
            return None
        target = Target(last.entries, last.app, patched=False, running=app.accepted.running)
        return await self._renderer.folder(tips, app, target, settled=settled)


def _refusal(record: Record) -> Hold:
    hint = "Change what the message names and deploy again; until then the version before stays."
    return Hold((problem("app.yaml", REFUSED, record.words, hint),))


def entries_in(folder: Entry | None) -> Entries:
    """The entries of an app's folder on either branch."""
    return entries_of({name: entry.id for name, entry in folder.children.items()} if folder else {})


def quarantine_edits(kept: Mapping[AppRef, Record], outcomes: Sequence[Outcome]) -> dict[str, Edit]:
    """The branch's file of what is quarantined, where that changes: apps that are gone leave it."""
    records = {outcome.ref: outcome.quarantined for outcome in outcomes if outcome.quarantined}
    return {} if records == kept else {QUARANTINE_FILE: write_quarantine(records)}
