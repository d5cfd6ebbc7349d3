"""What is done to an app without touching its code: restart, sleep, wake, pin. Each is one commit.

Only `app.yaml` is written, so nothing is checked again; the version that runs is the accepted one.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from api.clients.gitops_repo import Change, GitopsRepo, Overtaken
from api.clients.store import Account
from api.deployments import Deployments
from api.domain.commit_message import COMMITTER, Person, intent_message, person
from api.domain.names import AppRef, is_id
from api.domain.publication import NOT_APPS
from api.domain.repo_layout import AppFile, PlatformFile, app_folder, dump, tenant_folder
from api.errors import AppNotFound, Conflict, Gone, InvalidRequest, RepositoryUnavailable
from api.intents import Intents, StoredApp
from api.resting import Resting
from api.rollback import Rollbacks

_MAX_REPLAYS: Final = 20
_Edit = Callable[[AppFile], AppFile]


class Lifecycle:
    """Every method returns the app as it then is; nothing is committed when it was so already."""

    def __init__(  # noqa: PLR0913, PLR0917  (what a change of state passes through)
        self,
        repo: GitopsRepo,
        intents: Intents,
        resting: Resting,
        deployments: Deployments,
        rollbacks: Rollbacks,
        max_pinned: int,
    ) -> None:
        self._repo = repo
        self._intents = intents
        self._resting = resting
        self._deployments = deployments
        self._rollbacks = rollbacks
        self._max_pinned = max_pinned

    async def restart(self, account: Account, ref: AppRef, request_id: str) -> StoredApp:
        """Start the app anew by a commit that only says so; raises NotFound, InvalidRequest."""
        now = datetime.now(UTC).replace(microsecond=0)

        def edit(app: AppFile) -> AppFile:
            return app.model_copy(update={"restarted_at": now, "state": "running"})

        return await self._change("restart", _author(account), ref, edit, request_id)

    async def hibernate(self, account: Account, ref: AppRef, request_id: str) -> StoredApp:
        """Put the app to sleep: no process and no route; raises NotFound, InvalidRequest."""
        edit = _to_state("hibernated")
        return await self._change("hibernate", _author(account), ref, edit, request_id)

    async def wake(
        self, account: Account | None, ref: AppRef, request_id: str, by: Person | None = None
    ) -> StoredApp:
        """Wake an app that sleeps, or bring back one that the cleanup removed.

        `account` is the owner's; `by` is the author of the commit if somebody else asked, or if
        the owner has no account (any more). Raises NotFound, Gone for an app that its owner
        deleted, and what a restore raises.
        """
        author = by or (_author(account) if account else COMMITTER)
        try:
            return await self._change("wake", author, ref, _to_state("running"), request_id)
        except AppNotFound:
            rest = await self._resting.look(ref)
            if rest.state == "deleted":
                raise Gone(
                    f"The app {ref.app_id} was deleted: it does not wake up.",
                    code="app_deleted",
                    hint="Its history is kept: restore it to have it back.",
                ) from None
            if rest.state == "unknown":
                raise
        return await self._rollbacks.restore(account, ref, request_id, action="wake", by=author)

    async def pin(self, account: Account, ref: AppRef, request_id: str) -> StoredApp:
        """Keep the app from falling asleep; raises NotFound, Conflict for too many pinned ones."""
        return await self._change("pin", _author(account), ref, _pinned(True), request_id)

    async def unpin(self, account: Account, ref: AppRef, request_id: str) -> StoredApp:
        """Let the app be as any other again; raises NotFound."""
        return await self._change("unpin", _author(account), ref, _pinned(False), request_id)

    async def _change(
        self, action: str, author: Person, ref: AppRef, edit: _Edit, request_id: str
    ) -> StoredApp:
        for _ in range(_MAX_REPLAYS):
            stored = await self._intents.app(ref)
            if stored.file is None:
                raise InvalidRequest(
                    f"app.yaml of this app cannot be read, so nothing can be set in it ({action}).",
                    hint="Deploy it from the editor, or correct the file by a commit.",
                )
            file = edit(stored.file)
            if file == stored.file:
                return stored
            platform = await self._intents.platform(stored.read_at)
            path = app_folder(ref, platform.shard_digits)
            expect: dict[str, str | None] = {path: stored.tree}
            if file.pinned and not stored.file.pinned:
                expect |= await self._room_to_pin(ref, stored.read_at, platform)
            message = intent_message(action, [ref], stored.name, request_id)
            change = Change({f"{path}/app.yaml": dump(file)}, message, author, expect)
            try:
                return await self._deployments.put(ref, change, None, platform, stored.read_at)
            except Overtaken:
                continue
        raise RepositoryUnavailable("The app changed all the time; nothing was saved.")

    async def _room_to_pin(
        self, ref: AppRef, main: str, platform: PlatformFile
    ) -> dict[str, str | None]:
        """What must still stand when the app is pinned, so that the limit holds in a race as well.

        Raises Conflict.
        """
        path = tenant_folder(ref.user_id, platform.shard_digits)
        stands = await self._repo.entry(main, path)
        names = await self._repo.children(main, path)
        apps = [AppRef(ref.user_id, n) for n in names if is_id(n) and n not in NOT_APPS]
        files = [
            await self._intents.file(await self._intents.entries(main, platform, app))
            for app in apps
        ]
        pinned = sum(file is not None and file.pinned for file in files)
        if pinned >= self._max_pinned:
            raise Conflict(
                f"You have {pinned} pinned apps, and one person may pin {self._max_pinned} here.",
                code="pin_limit",
                hint="Unpin another app first." if pinned else "Administrators set how many.",
            )
        return {path: stands.id if stands else None}


def _author(account: Account) -> Person:
    return person(account.username, account.user_id)


def _to_state(state: str) -> _Edit:
    return lambda app: app.model_copy(update={"state": state})


def _pinned(value: bool) -> _Edit:  # noqa: FBT001  (named by the field that it sets)
    return lambda app: app.model_copy(update={"pinned": value})
