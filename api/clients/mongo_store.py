"""The store of accounts in MongoDB (cluster); the contract is that of `clients.store`.

There are no transactions here: a stand-alone server has none. Whatever must hold between several
documents, a unique index decides in the one insert of an account: its name, its address, the
invitation that it used up, and being the first of all. A crash leaves nothing half done.
"""
# ruff: noqa: D102  (the methods are documented where the contract stands)

import secrets
from collections.abc import Collection as Several
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from api.clients.mongo import Document, Duplicate, Index, MongoDatabase
from api.clients.mongo_leases import MongoLeases
from api.clients.store import (
    Account,
    EmailTaken,
    IdempotentRequest,
    Invitation,
    InvitationInvalid,
    Lease,
    Store,
    Suspension,
    UserIdTaken,
    UsernameTaken,
    from_text,
    minute_of,
    to_text,
    unused_version,
)
from api.domain.credentials import email_key, username_key
from api.domain.names import AppRef
from api.errors import DatabaseUnavailable

INDEXES: Final = {
    "accounts": [
        *(Index(key, unique=True) for key in ("user_id", "username_key", "email_key")),
        # The invitation's digest, where there was one: one account for each invitation.
        Index("admitted_by", unique=True),
        # _FIRST for the first of all.
        Index("place", unique=True),
    ],
    "idempotency_keys": [Index("created_at")],
}
_FIRST: Final = "first"
_ATTEMPTS: Final = 5
_OF_THE_DATABASE: Final = frozenset({"_id", "username_key", "email_key", "admitted_by", "place"})


class MongoStore(Store):
    """Keeps accounts, invitations, idempotency keys and activity in a collection each."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._accounts = database.collection("accounts")
        self._invitations = database.collection("invitations")
        self._keys = database.collection("idempotency_keys")
        self._activity = database.collection("activity")
        self._notes = database.collection("notes")
        self._leases = MongoLeases(database)

    async def add_account(
        self, account: Account, *, invitation: str | None = None, first_is_admin: bool = False
    ) -> Account:
        if invitation is not None:
            await self._require_invitation(invitation, account.created_at)
        is_first = first_is_admin and not await self.has_accounts()
        for _ in range(_ATTEMPTS):
            added = replace(account, is_admin=True) if is_first else account
            document = _document(added) | {
                "admitted_by": invitation or _unlike_any(),
                "place": _FIRST if is_first else _unlike_any(),
            }
            try:
                await self._accounts.insert(document)
            except Duplicate:
                # Only mongod says which index it was: look, as anybody would.
                await self._refuse_duplicate(added, invitation)
                is_first = is_first and not await self._accounts.find_one({"place": _FIRST})
                continue
            return added
        raise DatabaseUnavailable("Accounts changed all the time; nothing was saved.")

    async def _require_invitation(self, code_hash: str, now: datetime) -> None:
        known = await self._invitations.find_one({"_id": code_hash})
        usable = known and known["used_by"] is None and from_text(known["expires_at"]) > now
        if not usable or await self._accounts.find_one({"admitted_by": code_hash}):
            raise InvitationInvalid("This invitation cannot be used (any more).")

    async def _refuse_duplicate(self, account: Account, invitation: str | None) -> None:
        if await self.account_named(account.username):
            raise UsernameTaken("This username is taken.")
        if await self.account_with_email(account.email):
            raise EmailTaken("An account with this e-mail address exists.")
        if invitation and await self._accounts.find_one({"admitted_by": invitation}):
            raise InvitationInvalid("This invitation cannot be used (any more).")
        if await self.account(account.user_id):
            raise UserIdTaken(f"An account has the user id {account.user_id}.")

    async def has_accounts(self) -> bool:
        return await self._accounts.find_one({}) is not None

    async def account(self, user_id: str) -> Account | None:
        return _account(await self._accounts.find_one({"user_id": user_id}))

    async def account_named(self, username: str) -> Account | None:
        return _account(await self._accounts.find_one({"username_key": username_key(username)}))

    async def account_with_email(self, email: str) -> Account | None:
        return _account(await self._accounts.find_one({"email_key": email_key(email)}))

    async def accounts(self, *, after: str = "", limit: int = 1000) -> Sequence[Account]:
        page = await self._accounts.find({"user_id": {"$gt": after}}, order="user_id", limit=limit)
        return [_known(document) for document in page]

    async def set_password(
        self, user_id: str, password_hash: str, *, replacing: str | None = None
    ) -> Account | None:
        wanted = {"user_id": user_id}
        if replacing is not None:
            wanted["password_hash"] = replacing
        change = {"$set": {"password_hash": password_hash}, "$inc": {"token_version": 1}}
        return _account(await self._accounts.change(wanted, change))

    async def end_sessions(self, user_id: str) -> Account | None:
        return await self._change(user_id, {"$inc": {"token_version": 1}})

    async def set_suspension(self, user_id: str, suspension: Suspension | None) -> Account | None:
        change: dict[str, Any] = {"$set": {"suspension": _suspension(suspension)}}
        if suspension is not None:
            change["$inc"] = {"token_version": 1}
        return await self._change(user_id, change)

    async def set_admin(self, user_id: str, *, is_admin: bool) -> Account | None:
        return await self._change(user_id, {"$set": {"is_admin": is_admin}})

    async def set_user_id(self, user_id: str, new: str) -> Account | None:
        taken = UserIdTaken(f"Another account has the user id {new}.")
        if await self.account(new):  # in a race the index decides
            raise taken
        try:
            change = {"user_id": new, "token_version": unused_version()}
            return await self._change(user_id, {"$set": change})
        except Duplicate:
            raise taken from None

    async def add_invitation(self, invitation: Invitation) -> None:
        times = {
            "created_at": to_text(invitation.created_at),
            "expires_at": to_text(invitation.expires_at),
        }
        fields = {key: value for key, value in vars(invitation).items() if key != "code_hash"}
        await self._invitations.insert({"_id": invitation.code_hash, **fields, **times})

    async def invitations(self) -> Sequence[Invitation]:
        found = await self._invitations.find({}, order="created_at", newest_first=True)
        codes = [document["_id"] for document in found]
        admitted = await self._accounts.find({"admitted_by": {"$in": codes}})
        users = {document["admitted_by"]: document["user_id"] for document in admitted}
        return [
            Invitation(
                code_hash=document["_id"],
                created_by=document["created_by"],
                created_at=from_text(document["created_at"]),
                expires_at=from_text(document["expires_at"]),
                used_by=document["used_by"] or users.get(document["_id"]),
            )
            for document in found
        ]

    async def claim_key(
        self, user_id: str, key: str, request: IdempotentRequest, *, expired: datetime
    ) -> IdempotentRequest:
        # Also sweeps: nobody comes back for a key of another day.
        await self._keys.delete({"created_at": {"$lt": to_text(expired)}})
        claim = vars(request) | {"created_at": to_text(request.created_at)}
        for _ in range(_ATTEMPTS):
            try:
                await self._keys.insert({"_id": _key(user_id, key), **claim})
            except Duplicate:
                stands = await self._keys.find_one({"_id": _key(user_id, key)})
                if stands is None:
                    continue  # freed in this moment
                return IdempotentRequest(
                    digest=stands["digest"],
                    body=stands["body"],
                    created_at=from_text(stands["created_at"]),
                    status=stands["status"],
                )
            return request
        raise DatabaseUnavailable("The key was claimed and freed all the time.")

    async def answer_key(self, user_id: str, key: str, *, status: int, body: str) -> None:
        answer = {"$set": {"status": status, "body": body}}
        await self._keys.change({"_id": _key(user_id, key)}, answer)

    async def free_key(self, user_id: str, key: str) -> None:
        await self._keys.delete({"_id": _key(user_id, key), "status": None})

    async def touch(self, ref: AppRef, at: datetime) -> None:
        used = {"$max": {"at": to_text(at)}}
        try:
            await self._activity.change({"_id": _app(ref)}, used, upsert=True)
        except Duplicate:  # made by another request in this moment
            await self._activity.change({"_id": _app(ref)}, used)

    async def touch_many(self, refs: Several[AppRef], at: datetime) -> None:
        await self._activity.raise_many([_app(ref) for ref in refs], "at", to_text(minute_of(at)))

    async def last_activity(self, refs: Several[AppRef]) -> Mapping[AppRef, datetime]:
        known = {_app(ref): ref for ref in refs}
        found = await self._activity.find({"_id": {"$in": list(known)}})
        return {known[document["_id"]]: from_text(document["at"]) for document in found}

    async def forget_app(self, ref: AppRef) -> None:
        await self._activity.delete({"_id": _app(ref)})

    async def keep_note(self, name: str, text: str) -> None:
        change = {"$set": {"text": text}}
        try:
            await self._notes.change({"_id": name}, change, upsert=True)
        except Duplicate:  # made by another process in this moment
            await self._notes.change({"_id": name}, change)

    async def note(self, name: str) -> str | None:
        found = await self._notes.find_one({"_id": name})
        return str(found["text"]) if found else None

    async def take_lease(self, lease: Lease, *, now: datetime) -> Lease:
        return await self._leases.take(lease, now)

    async def end_lease(self, name: str, holder: str) -> None:
        await self._leases.end(name, holder)

    async def check(self) -> None:
        await self._database.check()

    async def _change(self, user_id: str, change: Document) -> Account | None:
        return _account(await self._accounts.change({"user_id": user_id}, change))


def _unlike_any() -> str:
    # An index that leaves out documents (sparse, partial) is more than every server has.
    return secrets.token_hex(16)


def _key(user_id: str, key: str) -> str:
    return f"{user_id}/{key}"  # ids hold no slash


def _app(ref: AppRef) -> str:
    return f"{ref.user_id}/{ref.app_id}"


def _document(account: Account) -> dict[str, Any]:
    return vars(account) | {
        "username_key": username_key(account.username),
        "email_key": email_key(account.email),
        "created_at": to_text(account.created_at),
        "suspension": _suspension(account.suspension),
    }


def _suspension(suspension: Suspension | None) -> dict[str, str] | None:
    return vars(suspension) | {"at": to_text(suspension.at)} if suspension else None


def _account(document: Document | None) -> Account | None:
    return _known(document) if document is not None else None


def _known(document: Document) -> Account:
    fields = {key: value for key, value in document.items() if key not in _OF_THE_DATABASE}
    if stopped := fields["suspension"]:
        fields["suspension"] = Suspension(**stopped | {"at": from_text(stopped["at"])})
    return Account(**fields | {"created_at": from_text(fields["created_at"])})
