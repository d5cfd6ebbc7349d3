"""What the platform asks of its database: accounts, and what git does not hold.

Small on purpose: every method is one atomic step, so that any database can offer it. Whatever
belongs to a tenant is asked for with the tenant's id.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from api.domain.names import AppRef
from api.errors import Conflict, InvalidRequest


class UsernameTaken(Conflict):
    """Another account has this username; letters' case makes no difference."""

    code = "username_taken"
    hint = "Choose another username."


class EmailTaken(Conflict):
    """Another account has this e-mail address."""

    code = "email_taken"
    hint = "Log in instead, or ask an administrator to reset the password."


class UserIdTaken(Conflict):
    """Another account has this user id."""

    code = "user_id_taken"
    hint = "`admin users` lists the accounts."


class InvitationInvalid(InvalidRequest):
    """The invitation does not exist, has been used or has expired: which of them is not told."""

    code = "invitation_invalid"
    hint = "Ask an administrator for a new invitation."


@dataclass(frozen=True)
class Suspension:
    """Why, by whom and when an account was suspended."""

    by: str
    reason: str
    at: datetime


@dataclass(frozen=True)
class Account:
    """One person. `token_version` is in every token: raising it ends all log-ins."""

    user_id: str
    username: str
    email: str
    password_hash: str
    created_at: datetime
    is_admin: bool = False
    token_version: int = 1
    suspension: Suspension | None = None


@dataclass(frozen=True)
class Invitation:
    """A right to sign up once; `code_hash` is the SHA-256 (hex) of the code that was handed out."""

    code_hash: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    used_by: str | None = None


@dataclass(frozen=True)
class IdempotentRequest:
    """A request that was sent with an `Idempotency-Key`.

    `digest` tells whether a second request with the key is the same one. `body` is JSON: first
    what a repetition needs to do the very same (such as the id chosen for a new app), then the
    answer; `status` is None until there is one.
    """

    digest: str
    body: str
    created_at: datetime
    status: int | None = None


@dataclass(frozen=True)
class Lease:
    """The right to do what only one process does at a time; `holder` is one process's own name."""

    name: str
    holder: str
    expires_at: datetime


class Store(Protocol):
    """Implemented by `clients.sqlite_store` and `clients.mongo_store`.

    Every method may raise DatabaseUnavailable.
    """

    async def add_account(
        self, account: Account, *, invitation: str | None = None, first_is_admin: bool = False
    ) -> Account:
        """Add and return the account, using up the invitation (a code hash) when one is given.

        With `first_is_admin` exactly the first account of all becomes administrator. Raises
        UsernameTaken, EmailTaken, UserIdTaken (then the invitation stays usable) or
        InvitationInvalid.
        """

    async def has_accounts(self) -> bool:
        """Whether anybody has signed up."""

    async def account(self, user_id: str) -> Account | None:
        """The account with this id."""

    async def account_named(self, username: str) -> Account | None:
        """The account with this username, in any case of letters."""

    async def account_with_email(self, email: str) -> Account | None:
        """The account with this e-mail address, in any case of letters."""

    async def accounts(self, *, after: str = "", limit: int = 1000) -> Sequence[Account]:
        """Accounts in the order of their ids, from the first one behind `after`."""

    async def set_password(
        self, user_id: str, password_hash: str, *, replacing: str | None = None
    ) -> Account | None:
        """Set the hash, raise the token version and return the account.

        None when there is no such account, or when its hash is not `replacing` any more.
        """

    async def end_sessions(self, user_id: str) -> Account | None:
        """Raise the token version."""

    async def set_suspension(self, user_id: str, suspension: Suspension | None) -> Account | None:
        """Suspend (which raises the token version) or, with None, lift it."""

    async def set_admin(self, user_id: str, *, is_admin: bool) -> Account | None:
        """Make somebody administrator, or end it."""

    async def set_user_id(self, user_id: str, new: str) -> Account | None:
        """Give the account another id; its tokens end, and those of whoever had that id before.

        Raises UserIdTaken.
        """

    async def add_invitation(self, invitation: Invitation) -> None:
        """Keep a new invitation; one that was used already stays so."""

    async def invitations(self) -> Sequence[Invitation]:
        """All invitations, newest first."""

    async def claim_key(
        self, user_id: str, key: str, request: IdempotentRequest, *, expired: datetime
    ) -> IdempotentRequest:
        """What stands under the tenant's key: `request` itself if it was free.

        A record made before `expired` counts as free. Of several claims at once one wins, and all
        are answered with the winner's record.
        """

    async def answer_key(self, user_id: str, key: str, *, status: int, body: str) -> None:
        """Keep the answer to the request that claimed the key."""

    async def free_key(self, user_id: str, key: str) -> None:
        """Forget an unanswered claim: the request failed without a trace."""

    async def touch(self, ref: AppRef, at: datetime) -> None:
        """The app was used at this time; an earlier time than the known one changes nothing."""

    async def touch_many(self, refs: Collection[AppRef], at: datetime) -> None:
        """These apps were used in this minute: written in few steps, for any number of them.

        An app that was used in the same minute or later is left as it is.
        """

    async def last_activity(self, refs: Collection[AppRef]) -> Mapping[AppRef, datetime]:
        """When each of the apps was last used; apps never used are left out."""

    async def forget_app(self, ref: AppRef) -> None:
        """Drop what is kept about an app that no longer exists."""

    async def keep_note(self, name: str, text: str) -> None:
        """Keep a text of the platform's own under a name, instead of what stands there."""

    async def note(self, name: str) -> str | None:
        """What was kept under the name."""

    async def take_lease(self, lease: Lease, *, now: datetime) -> Lease:
        """What stands under the lease's name: `lease` itself if it was free or the same holder's.

        So it also renews. A lease is free when it was never taken, was ended, or has expired at
        `now`. Of several holders at once one wins, and all are answered with the winner's lease.
        """

    async def end_lease(self, name: str, holder: str) -> None:
        """Free the lease now; another holder's stays."""

    async def check(self) -> None:
        """Raise Unavailable, saying why, when the database cannot be used."""


def to_text(at: datetime) -> str:
    """A time as it is stored: UTC, fixed width, so that the order of texts is that of times."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def minute_of(at: datetime) -> datetime:
    """The minute in which a time lies."""
    return at.astimezone(UTC).replace(second=0, microsecond=0)


def unused_version() -> int:
    """A token version that no account has had: seconds since 1970, for log-ins end one by one."""
    return int(time.time())


def from_text(text: str) -> datetime:
    """A stored time."""
    return datetime.fromisoformat(text)
