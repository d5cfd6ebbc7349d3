"""Puts idle apps to sleep and removes them, by commits: many apps in one, and never one in use.

Whether an app is idle is judged from what is kept, by asking its runner for what is open, and once
more in both ways when the commit is about to be made. What is removed
stays in the history; publishing takes it from the cluster in the background, a few shards at once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from api.activity import Activity, Clock, now_utc
from api.clients.git_commits import Change, Overtaken
from api.clients.git_tenants import AppFolderSeen, all_apps, app_folders
from api.clients.git_trees import Edit
from api.clients.gitops_repo import GitopsRepo
from api.clients.store import Store
from api.domain.activity import Knowledge
from api.domain.commit_message import COMMITTER, intent_message
from api.domain.idleness import Fate, Limits, Verdict, verdict
from api.domain.names import AppRef
from api.domain.repo_layout import (
    AppFile,
    InvalidFile,
    TenantFile,
    app_folder,
    dump,
    parse_app,
    parse_tenant,
)
from api.errors import ClusterUnavailable, PlatformError
from api.intents import Intents
from api.leases import HeldElsewhere, Leases
from api.writer import Writer

_LOG: Final = logging.getLogger(__name__)
#: Work that one process does at a time, as Leases call it.
CLEANING: Final = "cleanup"
_ACTIONS: Final[Mapping[Fate, str]] = {"hibernate": "hibernate", "remove": "cleanup"}
#: Runners that are asked at once.
_AT_ONCE: Final = 32
#: What people of other hands commit meanwhile makes a change be made again so often.
_TRIES: Final = 5
_SILENCE: Final = "too many runners cannot be asked for open connections"
Ask = Callable[[AppRef], Awaitable[int]]


@dataclass(frozen=True)
class Outcome:
    """What one look did, or would do; `stopped` says why it did nothing at all."""

    verdicts: Sequence[Verdict] = ()  # of apps whose time is over
    commits: Sequence[str] = ()
    looked_at: int = 0  # apps on main
    stopped: str | None = None

    def of(self, fate: Fate) -> list[Verdict]:
        """The apps that met this fate."""
        return [each for each in self.verdicts if each.fate == fate]


class Cleaner:
    """`ask` gives the open requests of an app that runs; None where nobody can be asked.

    `clock` gives the time in UTC.
    """

    def __init__(  # noqa: PLR0913, PLR0917  (what is judged, by what, and who writes it)
        self,
        repo: GitopsRepo,
        intents: Intents,
        store: Store,
        writer: Writer,
        activity: Activity,
        ask: Ask | None,
        limits: Limits,
        batch: int,
        clock: Clock = now_utc,
    ) -> None:
        self._repo = repo
        self._intents = intents
        self._store = store
        self._writer = writer
        self._activity = activity
        self._ask = ask
        self._limits = limits
        self._batch = batch
        self._clock = clock
        self._leases = Leases(store, now=clock)

    async def plan(self) -> Outcome:
        """What a look would do now; asks no app and writes no commit."""
        known = await self._activity.read()
        if why := known.unreliable(self._clock()):
            return Outcome(stopped=f"No app is judged idle: {why}.")
        main = await self._intents.tip()
        apps = await self._repo.reading(all_apps, main)
        used = await self._store.last_activity(apps)
        now = self._clock()
        await self._store.touch_many([ref for ref in apps if ref not in used], now)
        over = [ref for ref, at in used.items() if now - at >= self._limits.first]
        folders = await self._folders(over, main)
        judged = await self._judge(folders, known)
        if any(each.fate != "keep" and _runs(folders[ref]) for ref, each in judged.items()):
            # Any of them: those that are due may lead nowhere.
            why = await self._activity.uncounted(apps)
            if why:
                return Outcome(stopped=f"No app is judged idle: {why}.", looked_at=len(apps))
        oldest_first = sorted(judged.values(), key=lambda each: (each.used_at or now, each.ref))
        return Outcome(oldest_first, looked_at=len(apps))

    async def run(self) -> Outcome:
        """Put to sleep and remove at most a batch of idle apps.

        Raises HeldElsewhere while another process cleans up, and what reading and writing raise.
        """
        async with self._leases.held(CLEANING):
            plan = await self.plan()
            told = [each for each in plan.verdicts if each.fate == "keep"]
            unused: list[Verdict] = []
            due = [each for each in plan.verdicts if each.fate != "keep"]
            for start in range(0, len(due), self._batch):
                if len(unused) < self._batch:  # those that cannot be asked keep nobody else
                    asked = await self._asked(due[start : start + self._batch])
                    told += [each for each in asked if each.fate == "keep"]
                    unused += [each for each in asked if each.fate != "keep"]
            commits: list[str] = []
            for fate, action in _ACTIONS.items():
                due = [each for each in unused[: self._batch] if each.fate == fate]
                commit, verdicts = await self._write(fate, action, due)
                told += verdicts
                commits += [commit] if commit else []
            if not plan.stopped:
                await self._activity.note_cleanup()
            return replace(plan, verdicts=told, commits=commits)

    async def run_every(self, seconds: float) -> None:
        """Clean up every so many seconds; runs until it is cancelled."""
        told: str | None = None
        while True:
            await asyncio.sleep(seconds)
            try:
                outcome = await self.run()
            except HeldElsewhere:
                continue
            except PlatformError as error:
                _LOG.warning("no idle app was cleaned up: %s", error.message)
                continue
            except Exception:  # noqa: BLE001  (reported; the next look tries again)
                _LOG.exception("no idle app was cleaned up")
                continue
            if outcome.stopped and outcome.stopped != told:
                _LOG.warning("%s", outcome.stopped)
            told = outcome.stopped

    async def _judge(
        self, folders: Mapping[AppRef, AppFolderSeen], known: Knowledge
    ) -> dict[AppRef, Verdict]:
        """What the newest that is kept says of these apps."""
        now, blind = self._clock(), known.blind
        used = await self._store.last_activity(folders.keys())
        why = known.unreliable(now)
        judged = {
            ref: verdict(ref, _app(seen), _tenant(seen), used.get(ref), blind, self._limits, now)
            for ref, seen in folders.items()
        }
        return {
            ref: replace(each, fate="keep", why=why) if why else each
            for ref, each in judged.items()
        }

    async def _folders(self, refs: Sequence[AppRef], main: str) -> Mapping[AppRef, AppFolderSeen]:
        digits = (await self._intents.platform(main)).shard_digits
        return await self._repo.reading(app_folders, main, refs, digits)

    async def _asked(self, verdicts: Sequence[Verdict], *, shortly: bool = False) -> list[Verdict]:
        """The same, with those kept whose runner tells of something open, or tells nothing.

        `shortly`: once as many as are asked together told nothing, nobody else is asked.
        """
        turns = asyncio.Semaphore(_AT_ONCE)
        busy: list[AppRef] = []
        silent = 0

        async def asked(each: Verdict) -> Verdict:
            nonlocal silent
            async with turns:
                if shortly and silent >= _AT_ONCE:
                    return replace(each, fate="keep", why=f"{each.why}, but {_SILENCE}")
                try:
                    count = await self._ask(each.ref) if self._ask else 0
                except ClusterUnavailable as error:
                    silent += 1
                    return replace(each, fate="keep", why=f"{each.why}, but {error.message}")
            if count == 0:
                return each
            busy.append(each.ref)
            said = "connection is" if count == 1 else "connections are"
            return replace(each, fate="keep", why=f"in use: {count} {said} open")

        found = await asyncio.gather(*map(asked, verdicts))
        await self._store.touch_many(sorted(busy), self._clock())
        return list(found)

    async def _write(
        self, fate: Fate, action: str, due: Sequence[Verdict]
    ) -> tuple[str | None, list[Verdict]]:
        """Commit what is still idle of these apps: the commit and what became of each."""
        if not due:
            return None, []
        last: list[Verdict] = []

        async def renewed() -> Change:
            # First what is open, then what has ended: what ends in between is counted.
            # Deploys wait for it, so nobody is waited for long.
            asked = {each.ref: each for each in await self._asked(due, shortly=True)}
            known = await self._activity.read(shortly=True)
            main = await self._intents.tip()
            folders = await self._folders(list(asked), main)
            last[:] = [
                asked[ref] if asked[ref].fate == "keep" else each
                for ref, each in (await self._judge(folders, known)).items()
            ]
            idle = [each for each in last if each.fate == fate]
            digits = (await self._intents.platform(main)).shard_digits
            seen = {each.ref: folders[each.ref] for each in idle}
            what = idle[0].why if len(idle) == 1 else f"{len(idle)} idle apps"
            return _change(action, what, seen, digits)

        for _ in range(_TRIES):
            try:
                commit = await self._writer.write_renewed(renewed)
            except Overtaken:
                continue  # one of the apps changed while the commit was made
            return commit, [each for each in last if each.fate in (fate, "keep")]
        return None, [replace(each, fate="keep", why="it changed all the time") for each in last]


def _change(action: str, what: str, folders: Mapping[AppRef, AppFolderSeen], digits: int) -> Change:
    """The commit that does this to all of them; it expects the folders that were judged."""
    edits: dict[str, Edit] = {}
    for ref, seen in folders.items():
        path = app_folder(ref, digits)
        if action == "cleanup":
            edits[path] = None
        elif file := _app(seen):
            edits[f"{path}/app.yaml"] = dump(file.model_copy(update={"state": "hibernated"}))
    expect = {app_folder(ref, digits): seen.tree for ref, seen in folders.items()}
    return Change(edits, intent_message(action, folders, what), COMMITTER, expect)


def _runs(seen: AppFolderSeen) -> bool:
    app = _app(seen)
    return app is not None and app.state == "running"


def _app(seen: AppFolderSeen) -> AppFile | None:
    try:
        return parse_app(seen.app)
    except InvalidFile:
        return None


def _tenant(seen: AppFolderSeen) -> TenantFile | None:
    try:
        return parse_tenant(seen.tenant)
    except InvalidFile:
        return None
