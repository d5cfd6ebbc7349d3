"""Going back: an earlier version of an app, or a deleted one, as a new commit on `main`.

What comes back is code, entrypoint, variables and overlay; name, review, pinned and secrets stay as
they are. It goes through the whole check, and is rendered by today's templates, like any deploy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from api.clients.git_trees import Edit, Entry, Same
from api.clients.gitops_repo import Change, GitopsRepo, Overtaken
from api.clients.store import Account
from api.deployments import Deployments, tenant_file
from api.domain.commit_message import COMMITTER, Person, intent_message, person
from api.domain.intent_check import AppFolder
from api.domain.names import AppRef
from api.domain.repo_layout import (
    ENTRIES,
    AppFile,
    InvalidFile,
    PlatformFile,
    app_folder,
    dump,
    parse_app,
    tenant_folder,
)
from api.errors import (
    AppNotFound,
    Conflict,
    InvalidRequest,
    NotFound,
    RepositoryUnavailable,
    SourceRefused,
)
from api.history import History
from api.intents import Intents, StoredApp

_MAX_REPLAYS: Final = 20
#: How many of a deleted app's commits are looked through for its last version.
_MAX_BACK: Final = 100
#: The entries that come back with an earlier version; app.yaml comes back in part.
_RETURNING: Final = ("code", "overlay")


@dataclass(frozen=True)
class _Past:
    """An app's folder at a commit."""

    commit: str
    entries: Mapping[str, Entry]
    files: Mapping[str, bytes]
    odd: tuple[str, ...]
    app: AppFile


class Rollbacks:
    """Makes an earlier version the newest one."""

    def __init__(
        self, repo: GitopsRepo, intents: Intents, history: History, deployments: Deployments
    ) -> None:
        self._repo = repo
        self._intents = intents
        self._history = history
        self._deployments = deployments

    async def rollback(
        self, account: Account, ref: AppRef, commit: str, request_id: str
    ) -> StoredApp:
        """Deploy what the app was at a commit; nothing is committed when it is that already.

        Raises NotFound for a commit that is not the app's, Conflict for a deleted app,
        InvalidRequest for a commit in which there is no app, SourceRefused when what worked then
        does not pass the check any more.
        """
        found = await self._history.commit(ref, commit)
        for _ in range(_MAX_REPLAYS):
            stored = await self._stored(ref)
            platform = await self._intents.platform(await self._intents.tip())
            past = await self._past(ref, found.commit, platform)
            if past is None:
                raise InvalidRequest(
                    f"The app was deleted by the commit {commit[:7]}: there is no version to"
                    " go back to.",
                    code="no_version",
                    hint="Choose another commit of the app's history.",
                )
            edits, folder = await self._rolled_back(stored, past, platform)
            change = Change(
                edits,
                intent_message("rollback", [ref], stored.name, request_id),
                person(account.username, account.user_id),
                {app_folder(ref, platform.shard_digits): stored.tree},
            )
            try:
                return await self._deployments.put(ref, change, folder, platform, stored.read_at)
            except Overtaken:
                continue
            except SourceRefused as refused:
                raise _no_longer_passes(refused, past.commit) from refused
        raise RepositoryUnavailable("The app changed all the time; nothing was saved.")

    async def restore(
        self,
        account: Account | None,
        ref: AppRef,
        request_id: str,
        *,
        action: str = "restore",
        by: Person | None = None,
    ) -> StoredApp:
        """Bring a deleted app back as it was last; one that is there stays as it is.

        `account` is the owner's, if there is one; `by` is the author of the commit if somebody
        else asked. Raises NotFound for an app that this tenant never had, Conflict for too many
        apps or for an id that is somebody else's, SourceRefused when it does not pass the check any
        more.
        """
        for _ in range(_MAX_REPLAYS):
            main = await self._intents.indexed_tip()
            platform = await self._intents.platform(main)
            stored = await self._intents.find(main, platform, ref)
            if stored is not None:
                return stored
            past = await self._last_version(ref, platform)
            tenant = tenant_folder(ref.user_id, platform.shard_digits)
            stands = await self._repo.entry(main, tenant)
            others = await self._repo.children(main, tenant)
            self._deployments.require_room(others)
            edits, folder = _restored(ref, past, platform)
            if "tenant.yaml" not in others:
                if account is None:
                    raise Conflict(f"The tenant {ref.user_id} has no account and no tenant.yaml.")
                edits[f"{tenant}/tenant.yaml"] = tenant_file(account)
            change = Change(
                edits,
                intent_message(action, [ref], past.app.name, request_id),
                by or (person(account.username, account.user_id) if account else COMMITTER),
                # The tenant's whole folder, so that the limit of apps holds in a race as well.
                {tenant: stands.id if stands else None},
            )
            try:
                return await self._deployments.put(ref, change, folder, platform, main)
            except Overtaken:
                continue
            except SourceRefused as refused:
                raise _no_longer_passes(refused, past.commit) from refused
        raise RepositoryUnavailable("Your apps changed all the time; nothing was saved.")

    async def _stored(self, ref: AppRef) -> StoredApp:
        try:
            return await self._intents.app(ref)
        except NotFound:
            raise Conflict(
                f"The app {ref.app_id} is deleted.",
                code="app_deleted",
                hint="Restore it first; then it can go back to any of its versions.",
            ) from None

    async def _past(self, ref: AppRef, commit: str, platform: PlatformFile) -> _Past | None:
        """The app's folder at a commit; raises SourceRefused when its app.yaml cannot be read."""
        path = app_folder(ref, platform.shard_digits)
        then = await self._repo.open_folder(commit, path)
        if then is None:
            return None
        try:
            app = parse_app(then.files.get("app.yaml", b""))
        except InvalidFile as error:
            refused = SourceRefused(f"app.yaml: {error.message}")
            raise _no_longer_passes(refused, commit) from error
        return _Past(commit, then.children, then.files, tuple(then.odd), app)

    async def _last_version(self, ref: AppRef, platform: PlatformFile) -> _Past:
        commits = await self._history.newest(ref, _MAX_BACK)
        if not commits:
            raise AppNotFound(ref.app_id)
        if await self._history.owner(ref.app_id) != ref.user_id:
            raise Conflict(
                f"The id {ref.app_id} belongs to another tenant.",
                code="foreign_id",
                hint="Create an app of your own with this code.",
            )
        for commit in commits:
            past = await self._past(ref, commit.commit, platform)
            if past is not None:
                return past
        raise NotFound(
            f"The last {_MAX_BACK} commits of {ref.app_id} hold no version of it.",
            code="no_version",
        )

    async def _rolled_back(
        self, stored: StoredApp, past: _Past, platform: PlatformFile
    ) -> tuple[dict[str, Edit], AppFolder]:
        path = app_folder(stored.ref, platform.shard_digits)
        main = await self._intents.tip()
        now = await self._repo.children(main, path)
        before = stored.file or past.app
        app = before.model_copy(
            update={"entrypoint": past.app.entrypoint, "env": past.app.env, "state": "running"}
        )
        edits: dict[str, Edit] = {}
        if app != stored.file:
            edits[f"{path}/app.yaml"] = dump(app)
        for name in _RETURNING:
            if past.entries.get(name) != now.get(name):
                edits[f"{path}/{name}"] = _same(past.entries.get(name))
        stands = stored.folder
        stays = {name: data for name, data in stands.files.items() if name.startswith("secrets/")}
        comes = {name: data for name, data in past.files.items() if _returns(name)}
        odd = [name for name in past.odd if _returns(name)]
        odd += [name for name in stands.odd if name.startswith("secrets/")]
        return edits, AppFolder({"app.yaml": dump(app), **comes, **stays}, tuple(odd))


def _restored(
    ref: AppRef, past: _Past, platform: PlatformFile
) -> tuple[dict[str, Edit], AppFolder]:
    """All four entries as they were, and running."""
    path = app_folder(ref, platform.shard_digits)
    edits = {f"{path}/{n}": _same(e) for n, e in past.entries.items() if n in ENTRIES}
    files = dict(past.files)
    if past.app.state != "running":
        files["app.yaml"] = dump(past.app.model_copy(update={"state": "running"}))
        edits[f"{path}/app.yaml"] = files["app.yaml"]
    return edits, AppFolder(files, past.odd)


def _returns(path: str) -> bool:
    return path.partition("/")[0] in _RETURNING


def _same(entry: Entry | None) -> Edit:
    """The very object; what is neither file nor folder is left out, and the check refuses it."""
    if entry is None or entry.kind == "other":
        return None
    return Same(entry.id, entry.kind)


def _no_longer_passes(refused: SourceRefused, commit: str) -> SourceRefused:
    return SourceRefused(
        f"The version {commit[:7]} does not pass the check any more: {refused.message}",
        hint="Open that version in the editor, correct what is named and deploy it from there."
        " Nothing was changed.",
        details={**refused.details, "commit": commit},
    )
