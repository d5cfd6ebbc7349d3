"""Gives apps back to their people when the database was lost: from `tenant.yaml`, by an operator.

Nobody gets a tenant by signing up with its name: git knows no e-mail address and no password, so
only an operator can tell who somebody is. A suspension comes along.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from api.clients.store import Account, Store, Suspension, UserIdTaken
from api.domain.names import is_id
from api.domain.repo_layout import TenantFile
from api.errors import Conflict, InvalidRequest, NotFound
from api.intents import Intents
from api.leases import Leases
from api.tenants import Tenants

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Orphan:
    """A tenant with apps on `main` and no account; `namesake` has its username today."""

    user_id: str
    username: str | None  # None: tenant.yaml is missing or wrong
    created: datetime | None
    apps: int
    suspended: bool
    namesake: Account | None


class Adoption:
    """An account gets the user id of a tenant, and with it the apps."""

    def __init__(self, store: Store, intents: Intents, tenants: Tenants, leases: Leases) -> None:
        self._store = store
        self._leases = leases
        self._intents = intents
        self._tenants = tenants

    async def orphans(self) -> list[Orphan]:
        """Tenants with apps whose account is gone, in the order of their ids."""
        found = []
        for user_id in filter(is_id, await self._intents.tenants()):
            if await self._store.account(user_id) is None:
                apps = await self._intents.apps(user_id)
                if apps:
                    found.append(await self._orphan(user_id, len(apps)))
        return found

    async def _orphan(self, user_id: str, apps: int) -> Orphan:
        tenant = await self._tenant(user_id)
        if tenant is None:
            return Orphan(user_id, None, None, apps, suspended=False, namesake=None)
        return Orphan(
            user_id,
            tenant.username,
            tenant.created,
            apps,
            tenant.suspended is not None,
            await self._store.account_named(tenant.username),
        )

    async def adopt(self, user_id: str, username: str, *, by: str) -> Account:
        """Give the tenant to the account; done already, nothing happens.

        One at a time: what is looked at here is what is changed. Raises NotFound, InvalidRequest
        (tenant.yaml is wrong), UserIdTaken (the tenant has an account), Conflict (the account has
        apps of its own), HeldElsewhere.
        """
        async with self._leases.held("adoption"):
            return await self._adopt(user_id, username, by)

    async def _adopt(self, user_id: str, username: str, by: str) -> Account:
        account = await self._store.account_named(username)
        if account is None:
            raise NotFound(f"There is no account named {username!r}.", hint="`admin users`.")
        if user_id not in await self._intents.tenants():
            raise NotFound(f"There is no tenant {user_id!r}.", hint="`admin adopt` lists them.")
        tenant = await self._tenant(user_id)
        if tenant is None:
            raise InvalidRequest(
                f"tenant.yaml of {user_id} is missing or wrong.",
                hint="Correct it by a commit on main first.",
            )
        if account.user_id != user_id:
            account = await self._give(account, user_id, tenant)
            _log.info("%s gave the tenant %s to %s", by, user_id, account.username)
        if tenant.username != account.username:
            await self._tenants.rename(user_id, account.username, by=by)
        return account

    async def _give(self, account: Account, user_id: str, tenant: TenantFile) -> Account:
        owner = await self._store.account(user_id)
        if owner is not None:
            raise UserIdTaken(f"{user_id} is {owner.username}'s, who has an account.")
        if await self._intents.apps(account.user_id):
            raise Conflict(
                f"{account.username} has apps of their own, which would be lost to them.",
                code="has_apps",
                hint="Have them deleted first, or give the tenant to an account without apps.",
            )
        if tenant.suspended and account.suspension is None:
            # First: interrupted here, nobody is let in who was shut out.
            stopped = Suspension(tenant.suspended.by, tenant.suspended.reason, datetime.now(UTC))
            await self._store.set_suspension(account.user_id, stopped)
        given = await self._store.set_user_id(account.user_id, user_id)
        if given is None:
            raise NotFound(f"There is no account named {account.username!r} any more.")
        return given

    async def _tenant(self, user_id: str) -> TenantFile | None:
        tip = await self._intents.tip()
        tenant = await self._intents.tenant(tip, await self._intents.platform(tip), user_id)
        return tenant if tenant and tenant.user == user_id else None
