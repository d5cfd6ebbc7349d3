"""What people do with their apps: every change is checked first, and then one commit on `main`.

A deploy is answered when its commit is durable; publishing follows at once, and if it does not
get through, the next look of the publisher repeats it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from api.checking import IntentCheck, refusal_of
from api.clients.git_trees import Edit, Entry, Folder
from api.clients.gitops_repo import Change, GitopsRepo, Overtaken
from api.clients.store import Account, Store
from api.deploy_metrics import DeployMetrics
from api.domain.commit_message import intent_message, person
from api.domain.drafts import AppDraft, app_file, changed_files, new_files
from api.domain.intent_check import AppFolder
from api.domain.names import AppRef, new_app_id, shard_of
from api.domain.publication import NOT_APPS, Checked, entries_of
from api.domain.repo_layout import (
    DEFAULT_ENTRYPOINT,
    EMPTY_OVERLAY,
    AppFile,
    PlatformFile,
    TenantFile,
    app_folder,
    dump,
    tenant_folder,
)
from api.domain.source_check import Diagnostic
from api.errors import (
    Conflict,
    InvalidRequest,
    OutcomeUnknown,
    RepositoryUnavailable,
)
from api.idempotency import IdempotencyKeys
from api.intents import Intents, StoredApp
from api.stale_base import require_base
from api.writer import Writer

_MAX_REPLAYS: Final = 20


@dataclass(frozen=True)
class _Work:
    """A change of one app, made ready on one tip of `main`."""

    change: Change
    folder: AppFolder | None  # None: nothing to check
    platform: PlatformFile
    base: str  # the commit of `main` that it was made from


class Deployments:
    """The use cases around one's own apps; every one takes the account that asks."""

    def __init__(  # noqa: PLR0913, PLR0917  (what a deploy passes through)
        self,
        repo: GitopsRepo,
        intents: Intents,
        check: IntentCheck,
        writer: Writer,
        store: Store,
        max_apps: int,
        metrics: DeployMetrics | None = None,
    ) -> None:
        self._repo = repo
        self._intents = intents
        self._check = check
        self._writer = writer
        self._store = store
        self._keys = IdempotencyKeys(store, intents)
        self._max_apps = max_apps
        self._metrics = metrics or DeployMetrics()

    async def validate(self, draft: AppDraft, stored: StoredApp | None) -> list[Diagnostic]:
        """What the source check says of a draft, on top of what `stored` has."""
        platform = await self._intents.platform(await self._intents.tip())
        files = (
            changed_files(stored.files, stored.entrypoint, draft) if stored else new_files(draft)
        )
        entrypoint = _given(draft.entrypoint, stored.entrypoint if stored else DEFAULT_ENTRYPOINT)
        return await self._check.source(files, entrypoint, platform.additional_imports)

    async def create(
        self, account: Account, draft: AppDraft, request_id: str, key: str | None = None
    ) -> StoredApp:
        """Deploy a new app; a repetition with the same `Idempotency-Key` gives the first answer.

        Raises InvalidRequest, SourceRefused (nothing was saved), Conflict for too many apps.
        """
        ref = AppRef(account.user_id, new_app_id(draft.name or "app"))
        if key is None:
            return await self._create(account, ref, draft, request_id)
        return await self._keys.once(
            ref, draft, key, lambda claimed: self._create(account, claimed, draft, request_id)
        )

    async def update(
        self, account: Account, ref: AppRef, draft: AppDraft, base: str | None, request_id: str
    ) -> StoredApp:
        """Deploy a change of an app; raises NotFound, StaleBase, InvalidRequest, SourceRefused."""
        for _ in range(_MAX_REPLAYS):
            stored = await self._intents.app(ref)
            if base is not None:
                await require_base(self._repo, self._intents, stored, base, draft)
            work = await self._update(account, stored, draft, request_id)
            try:
                return await self._commit(ref, work)
            except Overtaken:
                continue  # made anew on what is there now, which a stale base then refuses
        raise RepositoryUnavailable("The app changed all the time; nothing was saved.")

    async def delete(self, account: Account, ref: AppRef, request_id: str) -> str:
        """Take an app's folder away; its history stays. Returns the commit; raises NotFound."""
        stored = await self._intents.app(ref)
        main = await self._intents.tip()
        digits = (await self._intents.platform(main)).shard_digits
        change = Change(
            {app_folder(ref, digits): None},
            intent_message("delete", [ref], stored.name, request_id),
            person(account.username, account.user_id),
        )
        return await self._writer.write(change, shard_of(ref.user_id, digits))

    async def put(
        self,
        ref: AppRef,
        change: Change,
        folder: AppFolder | None,
        platform: PlatformFile,
        base: str,
    ) -> StoredApp:
        """Check what an app's folder shall hold, commit the change that makes it so, publish.

        `base` is the commit of `main` that both were made from. Without a folder nothing is
        checked, without edits nothing is committed. Raises SourceRefused, CheckUnavailable or
        Overtaken.
        """
        return await self._commit(ref, _Work(change, folder, platform, base))

    async def _create(
        self, account: Account, ref: AppRef, draft: AppDraft, request_id: str
    ) -> StoredApp:
        files = new_files(draft)
        app = app_file(
            {
                "id": ref.app_id,
                "user": ref.user_id,
                "name": draft.name or "",
                "entrypoint": _given(draft.entrypoint, DEFAULT_ENTRYPOINT),
                "env": dict(draft.env or {}),
            }
        )
        code = {f"code/{name}": data for name, data in files.items()}
        folder = AppFolder(
            {"app.yaml": dump(app), "overlay/kustomization.yaml": EMPTY_OVERLAY, **code}
        )
        message = intent_message("deploy", [ref], app.name, request_id)
        for _ in range(_MAX_REPLAYS):
            main = await self._intents.indexed_tip()
            platform = await self._intents.platform(main)
            tenant = tenant_folder(ref.user_id, platform.shard_digits)
            stands = await self._repo.entry(main, tenant)
            others = await self._repo.children(main, tenant)
            if ref.app_id in others:  # the first try of a repeated request got through
                return await self._intents.app(ref)
            self.require_room(others)
            path = app_folder(ref, platform.shard_digits)
            edits: dict[str, Edit] = {
                f"{path}/app.yaml": dump(app),
                f"{path}/code": _folders(files),
                f"{path}/overlay/kustomization.yaml": EMPTY_OVERLAY,
            }
            edits |= (await self._tenant_file(account, main, platform))[0]
            # The tenant's whole folder is expected, so that the limit holds in a race as well.
            expect = {tenant: stands.id if stands else None}
            change = Change(edits, message, person(account.username, account.user_id), expect)
            try:
                return await self._commit(ref, _Work(change, folder, platform, main))
            except Overtaken:
                continue
            except OutcomeUnknown:
                raise
            except RepositoryUnavailable:
                await self._store.forget_app(ref)  # there is no such app
                raise
        raise RepositoryUnavailable("Your apps changed all the time; nothing was saved.")

    def require_room(self, folder: Mapping[str, Entry]) -> None:
        """Raise Conflict when there are as many apps in a tenant's folder as there may be."""
        apps = sum(e.kind == "folder" and name not in NOT_APPS for name, e in folder.items())
        if apps >= self._max_apps:
            raise Conflict(
                f"You have {apps} apps, and one person may have {self._max_apps} here.",
                code="app_limit",
                hint="Delete an app that you do not need any more.",
            )

    async def _update(
        self, account: Account, stored: StoredApp, draft: AppDraft, request_id: str
    ) -> _Work:
        ref = stored.ref
        platform = await self._intents.platform(stored.read_at)
        path = app_folder(ref, platform.shard_digits)
        files = changed_files(stored.files, stored.entrypoint, draft)
        before = stored.file
        app = app_file(
            {
                "id": ref.app_id,
                "user": ref.user_id,
                "name": stored.name if draft.name is None else draft.name,
                "entrypoint": _given(draft.entrypoint, stored.entrypoint),
                "env": dict(stored.env if draft.env is None else draft.env),
                "review": before.review if before else False,
                "pinned": before.pinned if before else False,
                "restarted_at": before.restarted_at if before else None,
            }
        )
        edits: dict[str, Edit] = {}
        odd = stored.folder.odd
        settings = stored.folder.files.get("app.yaml")
        if app != before or settings is None:
            edits[f"{path}/app.yaml"] = settings = dump(app)
        # else: a file that says the same keeps the words of whoever wrote it
        if files != stored.files or any(name.startswith("code/") for name in odd):
            edits[f"{path}/code"] = _folders(files)
        tenant, expect = await self._tenant_file(account, stored.read_at, platform)
        edits |= tenant
        change = Change(
            edits,
            intent_message("deploy", [ref], app.name, request_id),
            person(account.username, account.user_id),
            {path: stored.tree, **expect},
        )
        rest = stored.folder.files
        folder = {p: d for p, d in rest.items() if p.startswith(("overlay/", "secrets/"))}
        folder |= {f"code/{name}": data for name, data in files.items()}
        kept = tuple(name for name in odd if name.startswith(("overlay/", "secrets/")))
        checked = AppFolder({"app.yaml": settings, **folder}, kept)
        return _Work(change, checked, platform, stored.read_at)

    async def _tenant_file(
        self, account: Account, main: str, platform: PlatformFile
    ) -> tuple[Mapping[str, Edit], Mapping[str, str | None]]:
        """The edit of a missing tenant.yaml, without which nothing is published; what to expect.

        Raises InvalidRequest for a wrong one, which is a person's to correct.
        """
        folder = tenant_folder(account.user_id, platform.shard_digits)
        path = f"{folder}/tenant.yaml"
        stands = await self._repo.entry(main, path)
        if stands is None:
            return {path: tenant_file(account)}, {path: None}
        tenant = await self._intents.tenant(main, platform, account.user_id)
        if tenant is None or tenant.user != account.user_id:
            raise InvalidRequest(
                f"The file {path} is wrong, so nothing of yours can be published.",
                code="wrong_tenant_file",
                hint="It was changed by a commit on main: ask an administrator to put it back.",
            )
        return {}, {path: stands.id}

    async def _commit(self, ref: AppRef, work: _Work) -> StoredApp:
        """Check, commit, publish; raises SourceRefused, CheckUnavailable, Conflict or Overtaken."""
        app: AppFile | None = None
        found: list[Diagnostic] = []
        if work.folder is not None:
            app, found = await self._check.check(ref, work.folder, work.platform)
            if refusal := refusal_of(found):
                self._metrics.refused()
                raise refusal
        # Before it is saved: without the database it is refused, and then nothing was saved.
        await self._store.touch(ref, datetime.now(UTC))
        if work.change.edits:
            await self._remember(ref, work, app, found)
            shard = shard_of(ref.user_id, work.platform.shard_digits)
            with self._metrics.saving(ref) as saved:
                saved(await self._writer.write(work.change, shard))
        stored = await self._intents.find(await self._intents.indexed_tip(), work.platform, ref)
        if stored is None:
            # By somebody else in this moment; writing it once more would undo that.
            raise Conflict(
                f"The app {ref.app_id} was saved, and is gone from main again.",
                code="app_deleted",
                hint="Its history is kept: restore it to have it back.",
            )
        return stored

    async def _remember(
        self, ref: AppRef, work: _Work, app: AppFile | None, found: Sequence[Diagnostic]
    ) -> None:
        """Keep the result under the objects that the commit will have: it is not checked twice."""
        if app is None:
            return
        path = app_folder(ref, work.platform.shard_digits)
        # As of the commit that the checked files were read from, and never of a newer one: what
        # somebody puts beside them meanwhile has not been checked.
        names = await self._repo.preview(work.base, work.change.edits, path)
        entries = entries_of({name: entry.id for name, entry in names.items()})
        self._check.remember(ref, Checked(entries, app, tuple(found)), work.platform)


def _given(value: str | None, otherwise: str) -> str:
    """What was sent, even if it is empty: that is refused later, not replaced in silence."""
    return otherwise if value is None else value


def tenant_file(account: Account) -> bytes:
    """`tenant.yaml` of a tenant whose first app is deployed."""
    return dump(
        TenantFile(user=account.user_id, username=account.username, created=account.created_at)
    )


def _folders(files: Mapping[str, bytes]) -> Folder:
    """Files by path, as folders; their paths have passed the check."""
    content: dict[str, bytes | Folder] = {}
    below: dict[str, dict[str, bytes]] = {}
    for path, data in files.items():
        name, _, rest = path.partition("/")
        if rest:
            below.setdefault(name, {})[rest] = data
        else:
            content[name] = data
    return Folder(content | {name: _folders(inner) for name, inner in below.items()})
