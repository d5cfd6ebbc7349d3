"""What administrators do to tenants and apps: at once, and as a commit like everything else.

Only `tenant.yaml` is written; the publisher stops or starts what it names.
"""

from collections.abc import Callable
from typing import Final

from api.clients.gitops_repo import Change, GitopsRepo, Overtaken
from api.domain.commit_message import COMMITTER, Person, intent_message, tenant_message
from api.domain.names import AppRef, shard_of
from api.domain.repo_layout import (
    Block,
    InvalidFile,
    TakenDown,
    TenantFile,
    dump,
    parse_tenant,
    tenant_folder,
)
from api.errors import InvalidRequest, NotFound, RepositoryUnavailable
from api.intents import Intents
from api.writer import Writer

_MAX_REPLAYS: Final = 5


class Tenants:
    """Every change returns its commit: the tip that is there already when nothing changes."""

    def __init__(self, repo: GitopsRepo, intents: Intents, writer: Writer) -> None:
        self._repo = repo
        self._intents = intents
        self._writer = writer

    async def suspend(self, user_id: str, *, by: str, reason: str) -> str | None:
        """Stop all apps of a tenant; None for somebody who never had one."""
        block = Block(by=by, reason=reason)
        message = tenant_message("suspend", user_id, reason)
        return await self._change(
            user_id, message, by, lambda tenant: tenant.model_copy(update={"suspended": block})
        )

    async def unsuspend(self, user_id: str, *, by: str) -> str | None:
        """Let the tenant's apps run again; None for somebody who never had one."""
        message = tenant_message("unsuspend", user_id, "may run apps again")
        return await self._change(
            user_id, message, by, lambda tenant: tenant.model_copy(update={"suspended": None})
        )

    async def rename(self, user_id: str, username: str, *, by: str) -> str | None:
        """Say whose the tenant is now; None for somebody who never had one."""
        message = tenant_message("adopt", user_id, f"now {username}'s")
        return await self._change(
            user_id, message, by, lambda tenant: tenant.model_copy(update={"username": username})
        )

    async def take_down(self, ref: AppRef, *, by: str, reason: str) -> str:
        """Stop one app; raises NotFound when the tenant has no such app."""
        block = TakenDown(by=by, reason=reason, app_id=ref.app_id)
        return await self._set_block(ref, block, intent_message("take-down", [ref], reason), by)

    async def put_back(self, ref: AppRef, *, by: str) -> str:
        """Let an app run that was taken down; raises NotFound."""
        return await self._set_block(
            ref, None, intent_message("put-back", [ref], "may run again"), by
        )

    async def _set_block(self, ref: AppRef, block: TakenDown | None, message: str, by: str) -> str:
        await self._intents.app(ref)

        def edit(tenant: TenantFile) -> TenantFile:
            others = tuple(other for other in tenant.taken_down if other.app_id != ref.app_id)
            return tenant.model_copy(update={"taken_down": (*others, block) if block else others})

        commit = await self._change(ref.user_id, message, by, edit)
        if commit is None:
            raise NotFound(f"There is no tenant {ref.user_id}.")
        return commit

    async def _change(
        self, user_id: str, message: str, by: str, edit: Callable[[TenantFile], TenantFile]
    ) -> str | None:
        for _ in range(_MAX_REPLAYS):
            tip = await self._intents.tip()
            platform = await self._intents.platform(tip)
            path = f"{tenant_folder(user_id, platform.shard_digits)}/tenant.yaml"
            entry = await self._repo.entry(tip, path)
            if entry is None:
                return None
            try:
                tenant = parse_tenant(await self._repo.blob(entry.id))
            except InvalidFile as error:
                raise InvalidRequest(
                    f"{path}: {error.message}.", hint="Correct the file by a commit on main first."
                ) from error
            author = Person(by, COMMITTER.email)
            change = Change({path: dump(edit(tenant))}, message, author, {path: entry.id})
            try:
                return await self._writer.write(change, shard_of(user_id, platform.shard_digits))
            except Overtaken:
                continue
        raise RepositoryUnavailable("tenant.yaml changed all the time; nothing was saved.")
