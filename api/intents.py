"""What people want, as `main` says it: the repository's settings, and everybody's apps."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from api.clients.git_folders import OpenedFolder
from api.clients.gitops_repo import GitopsRepo
from api.domain.names import AppRef, is_id, shard_of
from api.domain.publication import NOT_APPS, Entries, entries_of
from api.domain.repo_layout import (
    DEFAULT_ENTRYPOINT,
    MAIN,
    AppFile,
    InvalidFile,
    PlatformFile,
    TenantFile,
    app_folder,
    parse_app,
    parse_platform,
    parse_tenant,
    tenant_folder,
)
from api.errors import AppNotFound, RepositoryUnavailable
from api.history import History


@dataclass(frozen=True)
class StoredApp:
    """An app as `main` has it at a commit."""

    ref: AppRef
    folder: OpenedFolder
    file: AppFile | None  # None: app.yaml does not fit its schema (a commit by other hands)
    commit: str  # the newest one that touches it
    created_at: datetime
    deployed_at: datetime
    read_at: str  # the commit of `main` that it was read from

    @property
    def tree(self) -> str:
        """Object id of its folder."""
        return self.folder.id

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """What is under `code/`, by path."""
        return self.folder.below("code")

    @property
    def name(self) -> str:
        """The name it has, or its id where app.yaml cannot be read."""
        return self.file.name if self.file else self.ref.app_id

    @property
    def entrypoint(self) -> str:
        """The file that is served."""
        return self.file.entrypoint if self.file else DEFAULT_ENTRYPOINT

    @property
    def env(self) -> Mapping[str, str]:
        """Plain variables."""
        return self.file.env if self.file else {}

    def texts(self) -> dict[str, str]:
        """The files as text; what is not UTF-8 (other hands) shows replacement characters."""
        return {path: data.decode("utf-8", "replace") for path, data in self.files.items()}


class Intents:
    """Reads `main`; what it answers is as of the tip at that moment."""

    def __init__(self, repo: GitopsRepo, history: History) -> None:
        self._repo = repo
        self._history = history
        self._platform: PlatformFile | None = None  # the last good one
        self.problem: str | None = None

    async def tip(self) -> str:
        """The commit that `main` points at; raises RepositoryUnavailable when there is none."""
        tip = await self._repo.head(MAIN)
        if tip is None:
            raise RepositoryUnavailable("The repository has no branch main.")
        return tip

    async def indexed_tip(self) -> str:
        """The tip, once history knows every commit up to it."""
        tip = await self.tip()
        await self._history.follow(tip)
        return tip

    async def platform(self, commit: str) -> PlatformFile:
        """`platform.yaml` at a commit, or the last good one while that cannot be read.

        `problem` says so then. Raises RepositoryUnavailable when no good one is known.
        """
        data = await self._repo.read(commit, "platform.yaml")
        try:
            self._platform = parse_platform(data or b"")
            self.problem = None
        except InvalidFile as error:
            self.problem = f"platform.yaml on main is wrong: {error.message}"
            if self._platform is None:
                raise RepositoryUnavailable(self.problem) from error
        return self._platform

    async def shard(self, user_id: str) -> str:
        """The shard of a tenant."""
        return shard_of(user_id, (await self.platform(await self.tip())).shard_digits)

    async def apps(self, user_id: str) -> list[StoredApp]:
        """A person's apps, newest deploy first."""
        tip = await self.indexed_tip()
        platform = await self.platform(tip)
        folder = await self._repo.children(tip, tenant_folder(user_id, platform.shard_digits))
        names = [n for n, e in folder.items() if e.kind == "folder" and is_id(n)]
        names = [name for name in names if name not in NOT_APPS]
        found = [await self.find(tip, platform, AppRef(user_id, name)) for name in names]
        return sorted(filter(None, found), key=lambda app: app.deployed_at, reverse=True)

    async def tenants(self) -> list[str]:
        """The ids of everybody who has a folder on `main`."""
        shards = await self._repo.outline(await self.tip(), "apps", 2)
        return sorted(
            name
            for shard in shards.values()
            for name, entry in shard.children.items()
            if entry.kind == "folder"
        )

    async def app(self, ref: AppRef) -> StoredApp:
        """One app of the person; raises NotFound, also for anybody else's."""
        tip = await self.indexed_tip()
        found = await self.find(tip, await self.platform(tip), ref)
        if found is None:
            raise AppNotFound(ref.app_id)
        return found

    async def find(self, commit: str, platform: PlatformFile, ref: AppRef) -> StoredApp | None:
        """An app at a commit that history knows; None when its folder is not there."""
        path = app_folder(ref, platform.shard_digits)
        folder = await self._repo.open_folder(commit, path)
        ends = await self._history.ends(ref)
        if folder is None or ends is None:
            return None
        first, newest = ends
        # Also of a file that is no plain one, so that a deploy does not forget the settings.
        file = await self.file(entries_of({n: e.id for n, e in folder.children.items()}))
        return StoredApp(ref, folder, file, newest.commit, first.at, newest.at, commit)

    async def entries(self, commit: str, platform: PlatformFile, ref: AppRef) -> Entries:
        """The object ids of an app's entries at a commit."""
        names = await self._repo.children(commit, app_folder(ref, platform.shard_digits))
        return entries_of({name: entry.id for name, entry in names.items()})

    async def file(self, entries: Entries) -> AppFile | None:
        """`app.yaml` among these entries; None when it is missing or does not fit its schema."""
        data = await self._repo.file(entries.app) if entries.app else None
        return _parsed(data) if data is not None else None

    async def tenant(self, commit: str, platform: PlatformFile, user_id: str) -> TenantFile | None:
        """`tenant.yaml` at a commit; None when it is missing or does not fit its schema."""
        path = f"{tenant_folder(user_id, platform.shard_digits)}/tenant.yaml"
        try:
            return parse_tenant(await self._repo.read(commit, path) or b"")
        except InvalidFile:
            return None


def _parsed(data: bytes) -> AppFile | None:
    try:
        return parse_app(data)
    except InvalidFile:
        return None
