"""Apps that do not run, and why: asleep, removed by the cleanup, deleted by their owners, stopped.

All of it is read from `main` and its history, so every replica says the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from api.clients.commit_index import AppCommit
from api.clients.gitops_repo import GitopsRepo
from api.domain.names import AppRef
from api.domain.publication import entries_of
from api.domain.repo_layout import app_folder, tenant_folder
from api.history import History
from api.intents import Intents

#: `Action` of commits that remove what nobody used.
CLEANUP: Final = "cleanup"
#: For so long a removed app is listed, and its address wakes it. Ids are never given to others.
RESERVED: Final = timedelta(days=30)


@dataclass(frozen=True)
class Rest:
    """Why an app does not answer, as far as `main` says; `awake`: it should."""

    state: Literal["unknown", "deleted", "removed", "suspended", "asleep", "awake"]


@dataclass(frozen=True)
class RemovedApp:
    """An app without a folder on `main`, removed at most RESERVED ago."""

    ref: AppRef
    name: str
    removal: AppCommit
    idle: bool  # removed because nobody used it; otherwise on purpose

    @property
    def reserved_until(self) -> datetime:
        """Until when it is listed, and woken by a visit if it was idle."""
        return self.removal.at + RESERVED


class Resting:
    """Answers for apps that no route leads to."""

    def __init__(
        self,
        repo: GitopsRepo,
        intents: Intents,
        history: History,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._repo = repo
        self._intents = intents
        self._history = history
        self._now = now

    async def look(self, ref: AppRef) -> Rest:
        """How the app stands; costs a few reads, also for ids that somebody made up."""
        tip = await self._intents.indexed_tip()
        newest = next(iter(await self._history.newest(ref)), None)
        if newest is None:
            return Rest("unknown")
        platform = await self._intents.platform(tip)
        entries = await self._intents.entries(tip, platform, ref)
        tenant = await self._intents.tenant(tip, platform, ref.user_id)
        if not entries:
            woken = newest.action == CLEANUP and self._now() - newest.at <= RESERVED
            if woken and tenant and tenant.stops(ref.app_id):
                return Rest("suspended")
            return Rest("removed" if woken else "deleted")
        if tenant and tenant.stops(ref.app_id):
            return Rest("suspended")
        file = await self._intents.file(entries)
        return Rest("asleep" if file and file.state == "hibernated" else "awake")

    async def removed(self, user_id: str) -> list[RemovedApp]:
        """A person's apps that were removed within RESERVED, the last removed first."""
        tip = await self._intents.indexed_tip()
        platform = await self._intents.platform(tip)
        stand = await self._repo.children(tip, tenant_folder(user_id, platform.shard_digits))
        since = self._now() - RESERVED
        found = []
        for commit in await self._history.last_changes(user_id, since):
            if commit.ref.app_id in stand:
                continue
            path = app_folder(commit.ref, platform.shard_digits)
            before = await self._repo.children(commit.base, path) if commit.base else {}
            ids = {name: entry.id for name, entry in before.items()}
            file = await self._intents.file(entries_of(ids))
            name = file.name if file else commit.ref.app_id
            found.append(RemovedApp(commit.ref, name, commit, commit.action == CLEANUP))
        return found
