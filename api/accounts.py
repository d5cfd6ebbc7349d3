"""People: signing up, logging in, changing and resetting passwords, invitations, suspension."""

import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from api.clients.passwords import Passwords
from api.clients.rate_limits import (
    LOGINS_PER_ADDRESS,
    SIGNUPS_PER_ADDRESS,
    RateLimits,
    client_network,
)
from api.clients.store import (
    Account,
    EmailTaken,
    Invitation,
    InvitationInvalid,
    Store,
    Suspension,
    UsernameTaken,
)
from api.clients.tokens import Tokens
from api.domain.credentials import (
    MAX_USERNAME,
    check_email,
    check_password,
    check_username,
    is_hashable,
    username_key,
)
from api.domain.names import new_user_id
from api.errors import NotAllowed, NotAuthenticated, NotFound
from api.settings import Settings

#: Called with the account and the administrator's name after somebody was suspended or freed, to
#: do the same to the tenant in the repository.
SuspensionChanged = Callable[[Account, str], Awaitable[None]]

INVITATION_DAYS: Final = 7
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Session:
    """A log-in: the token and how long it lasts."""

    access_token: str
    lifetime: timedelta


class Accounts:
    """The use cases around accounts."""

    def __init__(  # noqa: PLR0913  (every part it works with, by name)
        self,
        *,
        settings: Settings,
        store: Store,
        passwords: Passwords,
        tokens: Tokens,
        limits: RateLimits,
        on_suspension: SuspensionChanged | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._passwords = passwords
        self._tokens = tokens
        self._limits = limits
        self._on_suspension = on_suspension

    async def sign_up(
        self, *, username: str, email: str, password: str, invitation: str | None, address: str
    ) -> Account:
        """A new account; in the embedded way the first one becomes administrator.

        Raises NotAllowed (sign-up closed), InvalidRequest (a rule, the invitation), UsernameTaken,
        EmailTaken, TooManyRequests.
        """
        if self._settings.signup == "closed":
            raise NotAllowed("Sign-up is closed.", code="signup_closed")
        embedded = self._settings.mode == "embedded"
        # The owner of a new installation may well be called `admin`.
        is_owner = embedded and not await self._store.has_accounts()
        check_username(username, allow_reserved=is_owner)
        email = check_email(email)
        check_password(password, username=username, email=email)
        await self._limits.count(
            SIGNUPS_PER_ADDRESS, client_network(address), what="sign-ups from this address"
        )
        used: str | None = None
        if self._settings.signup == "invite":
            if not invitation:
                raise InvitationInvalid("Signing up needs an invitation.")
            used = _hash_code(invitation)
        return await self._add(
            username, email, password, invitation=used, first_is_admin=embedded, is_admin=False
        )

    async def create(self, *, username: str, email: str, password: str, is_admin: bool) -> Account:
        """An account made by an operator, whatever SIGNUP says; raises as sign_up does."""
        check_username(username, allow_reserved=True)
        email = check_email(email)
        check_password(password, username=username, email=email)
        return await self._add(
            username, email, password, invitation=None, first_is_admin=False, is_admin=is_admin
        )

    async def log_in(self, *, username: str, password: str, address: str) -> Session:
        """A token for the right password.

        An unknown user and a wrong password are told apart neither by the answer nor by its time.
        Raises NotAuthenticated, NotAllowed (code `suspended`), TooManyRequests.
        """
        await self._limits.count(
            LOGINS_PER_ADDRESS, client_network(address), what="log-ins from this address"
        )
        name = username_key(username)[: MAX_USERNAME + 1]
        account = await self._store.account_named(name)
        if not is_hashable(password):
            account, password = None, ""
        hashed = account.password_hash if account else None
        async with self._limits.password_attempt(name, address) as attempt:
            if not await self._passwords.verify(password, hashed):
                attempt.failed = True
        if attempt.failed or account is None:
            raise NotAuthenticated(
                "The username or the password is wrong.",
                code="wrong_credentials",
                hint="Check both; an administrator can reset a forgotten password.",
            )
        _refuse_suspended(account)
        return self._session(account)

    async def authenticate(self, token: str) -> Account:
        """The account that the token stands for.

        Raises NotAuthenticated, or NotAllowed (code `suspended`).
        """
        claims = self._tokens.read(token)
        account = await self._store.account(claims.user_id)
        if account is None:
            raise NotAuthenticated("The account of this token does not exist.")
        _refuse_suspended(account)
        if claims.version != account.token_version:
            raise NotAuthenticated("This log-in has been ended.", hint="Log in again.")
        return account

    async def change_password(
        self, account: Account, *, current: str, new: str, address: str
    ) -> Session:
        """Set the password, end all log-ins, and give a new one to the person who did it.

        Raises NotAllowed (code `wrong_password`), InvalidRequest, TooManyRequests.
        """
        name = username_key(account.username)
        async with self._limits.password_attempt(name, address) as attempt:
            fits = is_hashable(current) and await self._passwords.verify(
                current, account.password_hash
            )
            attempt.failed = not fits
        if attempt.failed:
            raise NotAllowed(
                "The current password is wrong.", code="wrong_password", hint="Type it again."
            )
        check_password(new, username=account.username, email=account.email)
        hashed = await self._passwords.hash(new)
        changed = await self._store.set_password(
            account.user_id, hashed, replacing=account.password_hash
        )
        if changed is None:
            raise NotAuthenticated("The password was changed elsewhere.", hint="Log in again.")
        return self._session(changed)

    async def log_out_everywhere(self, account: Account) -> None:
        """End all log-ins, this one too."""
        await self._store.end_sessions(account.user_id)

    # By operators -------------------------------------------------------------------------

    async def named(self, username: str) -> Account:
        """The account with this username; raises NotFound."""
        account = await self._store.account_named(username)
        if account is None:
            raise _no_account(username)
        return account

    async def everyone(self) -> list[Account]:
        """All accounts, in the order of their ids."""
        everyone: list[Account] = []
        while page := await self._store.accounts(after=everyone[-1].user_id if everyone else ""):
            everyone.extend(page)
        return everyone

    async def invite(self, *, by: str, days: int = INVITATION_DAYS) -> tuple[str, Invitation]:
        """A code that lets one person sign up within `days`; only its digest is kept."""
        code = secrets.token_urlsafe(18)
        now = datetime.now(UTC)
        invitation = Invitation(
            code_hash=_hash_code(code),
            created_by=by,
            created_at=now,
            expires_at=now + timedelta(days=days),
        )
        await self._store.add_invitation(invitation)
        return code, invitation

    async def reset_password(self, username: str, password: str) -> Account:
        """Set the password and end all log-ins; raises NotFound, InvalidRequest."""
        account = await self.named(username)
        check_password(password, username=account.username, email=account.email)
        hashed = await self._passwords.hash(password)
        changed = await self._store.set_password(account.user_id, hashed)
        if changed is None:
            raise _no_account(username)
        return changed

    async def set_admin(self, username: str, *, is_admin: bool) -> Account:
        """Make somebody administrator, or end it; raises NotFound."""
        account = await self.named(username)
        changed = await self._store.set_admin(account.user_id, is_admin=is_admin)
        if changed is None:
            raise _no_account(username)
        return changed

    async def suspend(self, username: str, *, by: str, reason: str) -> Account:
        """Refuse log-ins and tokens at once, then stop the tenant's apps; raises NotFound.

        If the repository cannot be written the account is suspended all the same, and suspending
        again does the rest.
        """
        return await self._set_suspension(username, by, Suspension(by, reason, datetime.now(UTC)))

    async def unsuspend(self, username: str, *, by: str) -> Account:
        """Allow log-ins again and start what ran before; raises NotFound."""
        return await self._set_suspension(username, by, None)

    async def _set_suspension(
        self, username: str, by: str, suspension: Suspension | None
    ) -> Account:
        account = await self.named(username)
        changed = await self._store.set_suspension(account.user_id, suspension)
        if changed is None:
            raise _no_account(username)
        if self._on_suspension is not None:
            await self._on_suspension(changed, by)
        return changed

    async def _add(  # noqa: PLR0913  (the parts of one account)
        self,
        username: str,
        email: str,
        password: str,
        *,
        invitation: str | None,
        first_is_admin: bool,
        is_admin: bool,
    ) -> Account:
        # Saves the costly hash in the common case; the unique indexes decide.
        if await self._store.account_named(username):
            raise UsernameTaken("This username is taken.")
        if await self._store.account_with_email(email):
            raise EmailTaken("An account with this e-mail address exists.")
        account = Account(
            user_id=new_user_id(),
            username=username,
            email=email,
            password_hash=await self._passwords.hash(password),
            created_at=datetime.now(UTC),
            is_admin=is_admin,
        )
        added = await self._store.add_account(
            account, invitation=invitation, first_is_admin=first_is_admin
        )
        _logger.info("account %s (%s) was made", added.user_id, added.username)
        return added

    def _session(self, account: Account) -> Session:
        token = self._tokens.issue(account.user_id, account.token_version)
        return Session(token, self._tokens.lifetime)


def random_password() -> str:
    """A password to hand over: 120 random bits in 20 letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(15)


def _refuse_suspended(account: Account) -> None:
    if account.suspension is not None:
        raise NotAllowed(
            f"This account is suspended: {account.suspension.reason}", code="suspended"
        )


def _no_account(username: str) -> NotFound:
    return NotFound(f"There is no account named {username!r}.", hint="`admin users` lists them.")


def _hash_code(code: str) -> str:
    # The code is random and long, so a plain digest keeps it as well as a slow one would.
    return hashlib.sha256(code.encode(errors="replace")).hexdigest()
