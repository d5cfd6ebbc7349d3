"""The store of accounts in SQLite (embedded); the contract is that of `clients.store`."""
# ruff: noqa: D102  (the methods are documented where the contract stands)

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from api.clients.sqlite import SqliteDatabase
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

SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS accounts (
        user_id TEXT PRIMARY KEY, username TEXT NOT NULL, email TEXT NOT NULL,
        username_key TEXT NOT NULL, email_key TEXT NOT NULL,
        password_hash TEXT NOT NULL, created_at TEXT NOT NULL,
        is_admin INTEGER NOT NULL, token_version INTEGER NOT NULL,
        suspended_by TEXT, suspended_reason TEXT, suspended_at TEXT
    ) STRICT""",
    "CREATE UNIQUE INDEX IF NOT EXISTS accounts_username ON accounts (username_key)",
    "CREATE UNIQUE INDEX IF NOT EXISTS accounts_email ON accounts (email_key)",
    """CREATE TABLE IF NOT EXISTS invitations (
        code_hash TEXT PRIMARY KEY, created_by TEXT NOT NULL, created_at TEXT NOT NULL,
        expires_at TEXT NOT NULL, used_by TEXT
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS idempotency_keys (
        user_id TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, body TEXT NOT NULL,
        created_at TEXT NOT NULL, status INTEGER, PRIMARY KEY (user_id, key)
    ) STRICT""",
    "CREATE INDEX IF NOT EXISTS idempotency_keys_age ON idempotency_keys (created_at)",
    """CREATE TABLE IF NOT EXISTS activity (
        user_id TEXT NOT NULL, app_id TEXT NOT NULL, at TEXT NOT NULL,
        PRIMARY KEY (user_id, app_id)
    ) STRICT""",
    "CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT",
    """CREATE TABLE IF NOT EXISTS leases (
        name TEXT PRIMARY KEY, holder TEXT NOT NULL, expires_at TEXT NOT NULL
    ) STRICT""",
)


class SqliteStore(Store):
    """Keeps accounts, invitations, idempotency keys and activity in the shared database file."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add_account(
        self, account: Account, *, invitation: str | None = None, first_is_admin: bool = False
    ) -> Account:
        def add(connection: sqlite3.Connection) -> Account:
            added = account
            if first_is_admin and not connection.execute("SELECT 1 FROM accounts").fetchone():
                added = replace(account, is_admin=True)
            connection.execute(
                "INSERT INTO accounts (user_id, username, email, username_key, email_key,"
                " password_hash, created_at, is_admin, token_version,"
                " suspended_by, suspended_reason, suspended_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    added.user_id,
                    added.username,
                    added.email,
                    username_key(added.username),
                    email_key(added.email),
                    added.password_hash,
                    to_text(added.created_at),
                    added.is_admin,
                    added.token_version,
                    *_suspension(added.suspension),
                ),
            )
            if invitation is not None:
                used = connection.execute(
                    "UPDATE invitations SET used_by = ?"
                    " WHERE code_hash = ? AND used_by IS NULL AND expires_at > ?",
                    (added.user_id, invitation, to_text(added.created_at)),
                )
                if used.rowcount != 1:
                    raise InvitationInvalid("This invitation cannot be used (any more).")
            return added

        try:
            return await self._database.write(add)
        except sqlite3.IntegrityError as error:
            # The message names the columns of the unique index: "… failed: accounts.email_key".
            if "accounts.email_key" in str(error):
                raise EmailTaken("An account with this e-mail address exists.") from None
            if "accounts.username_key" in str(error):
                raise UsernameTaken("This username is taken.") from None
            raise UserIdTaken(f"An account has the user id {account.user_id}.") from None

    async def has_accounts(self) -> bool:
        return bool(await self._database.read("SELECT 1 FROM accounts LIMIT 1"))

    async def account(self, user_id: str) -> Account | None:
        return await self._account("user_id", user_id)

    async def account_named(self, username: str) -> Account | None:
        return await self._account("username_key", username_key(username))

    async def account_with_email(self, email: str) -> Account | None:
        return await self._account("email_key", email_key(email))

    async def accounts(self, *, after: str = "", limit: int = 1000) -> Sequence[Account]:
        rows = await self._database.read(
            "SELECT * FROM accounts WHERE user_id > ? ORDER BY user_id LIMIT ?", (after, limit)
        )
        return [_account(row) for row in rows]

    async def set_password(
        self, user_id: str, password_hash: str, *, replacing: str | None = None
    ) -> Account | None:
        return await self._change(
            "password_hash = ?, token_version = token_version + 1"
            " WHERE user_id = ? AND password_hash = ifnull(?, password_hash)",
            (password_hash, user_id, replacing),
        )

    async def end_sessions(self, user_id: str) -> Account | None:
        return await self._change("token_version = token_version + 1 WHERE user_id = ?", (user_id,))

    async def set_suspension(self, user_id: str, suspension: Suspension | None) -> Account | None:
        return await self._change(
            "suspended_by = ?, suspended_reason = ?, suspended_at = ?,"
            " token_version = token_version + ? WHERE user_id = ?",
            (*_suspension(suspension), suspension is not None, user_id),
        )

    async def set_admin(self, user_id: str, *, is_admin: bool) -> Account | None:
        return await self._change("is_admin = ? WHERE user_id = ?", (is_admin, user_id))

    async def set_user_id(self, user_id: str, new: str) -> Account | None:
        try:
            return await self._change(
                "user_id = ?, token_version = ? WHERE user_id = ?",
                (new, unused_version(), user_id),
            )
        except sqlite3.IntegrityError:
            raise UserIdTaken(f"Another account has the user id {new}.") from None

    async def add_invitation(self, invitation: Invitation) -> None:
        await self._execute(
            "INSERT INTO invitations (code_hash, created_by, created_at, expires_at, used_by)"
            " VALUES (?, ?, ?, ?, ?)",
            (
                invitation.code_hash,
                invitation.created_by,
                to_text(invitation.created_at),
                to_text(invitation.expires_at),
                invitation.used_by,
            ),
        )

    async def invitations(self) -> Sequence[Invitation]:
        rows = await self._database.read("SELECT * FROM invitations ORDER BY created_at DESC")
        return [
            Invitation(
                code_hash=row["code_hash"],
                created_by=row["created_by"],
                created_at=from_text(row["created_at"]),
                expires_at=from_text(row["expires_at"]),
                used_by=row["used_by"],
            )
            for row in rows
        ]

    async def claim_key(
        self, user_id: str, key: str, request: IdempotentRequest, *, expired: datetime
    ) -> IdempotentRequest:
        def claim(connection: sqlite3.Connection) -> sqlite3.Row:
            # Also sweeps: nobody comes back for a key of another day.
            connection.execute(
                "DELETE FROM idempotency_keys WHERE created_at < ?", (to_text(expired),)
            )
            connection.execute(
                "INSERT INTO idempotency_keys (user_id, key, digest, body, created_at)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (user_id, key, request.digest, request.body, to_text(request.created_at)),
            )
            row: sqlite3.Row = connection.execute(
                "SELECT * FROM idempotency_keys WHERE user_id = ? AND key = ?", (user_id, key)
            ).fetchone()
            return row

        return _request(await self._database.write(claim))

    async def answer_key(self, user_id: str, key: str, *, status: int, body: str) -> None:
        await self._execute(
            "UPDATE idempotency_keys SET status = ?, body = ? WHERE user_id = ? AND key = ?",
            (status, body, user_id, key),
        )

    async def free_key(self, user_id: str, key: str) -> None:
        await self._execute(
            "DELETE FROM idempotency_keys WHERE user_id = ? AND key = ? AND status IS NULL",
            (user_id, key),
        )

    async def touch(self, ref: AppRef, at: datetime) -> None:
        await self._execute(
            "INSERT INTO activity (user_id, app_id, at) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
            (ref.user_id, ref.app_id, to_text(at)),
        )

    async def touch_many(self, refs: Collection[AppRef], at: datetime) -> None:
        used = to_text(minute_of(at))
        rows = [(ref.user_id, ref.app_id, used) for ref in refs]
        await self._database.execute(
            "INSERT INTO activity (user_id, app_id, at) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET at = excluded.at WHERE excluded.at > at",
            rows,
        )

    async def last_activity(self, refs: Collection[AppRef]) -> Mapping[AppRef, datetime]:
        # json_each carries any number of ids in one parameter.
        pairs = json.dumps([[ref.user_id, ref.app_id] for ref in refs])
        rows = await self._database.read(
            "SELECT user_id, app_id, at FROM activity WHERE (user_id, app_id) IN"
            " (SELECT value ->> 0, value ->> 1 FROM json_each(?))",
            (pairs,),
        )
        return {AppRef(row["user_id"], row["app_id"]): from_text(row["at"]) for row in rows}

    async def forget_app(self, ref: AppRef) -> None:
        await self._execute(
            "DELETE FROM activity WHERE user_id = ? AND app_id = ?", (ref.user_id, ref.app_id)
        )

    async def keep_note(self, name: str, text: str) -> None:
        await self._execute(
            "INSERT INTO notes VALUES (?, ?) ON CONFLICT DO UPDATE SET text = excluded.text",
            (name, text),
        )

    async def note(self, name: str) -> str | None:
        rows = await self._database.read("SELECT text FROM notes WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    async def take_lease(self, lease: Lease, *, now: datetime) -> Lease:
        def take(connection: sqlite3.Connection) -> sqlite3.Row:
            connection.execute(
                "INSERT INTO leases (name, holder, expires_at) VALUES (?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE"
                " SET holder = excluded.holder, expires_at = excluded.expires_at"
                " WHERE holder = excluded.holder OR expires_at <= ?",
                (lease.name, lease.holder, to_text(lease.expires_at), to_text(now)),
            )
            row: sqlite3.Row = connection.execute(
                "SELECT * FROM leases WHERE name = ?", (lease.name,)
            ).fetchone()
            return row

        stands = await self._database.write(take)
        return Lease(stands["name"], stands["holder"], from_text(stands["expires_at"]))

    async def end_lease(self, name: str, holder: str) -> None:
        await self._execute("DELETE FROM leases WHERE name = ? AND holder = ?", (name, holder))

    async def idempotent_requests(self) -> list[tuple[str, str, IdempotentRequest]]:
        """Everybody's keys, to be moved: tenant, key and what stands under it."""
        rows = await self._database.read("SELECT * FROM idempotency_keys")
        return [(row["user_id"], row["key"], _request(row)) for row in rows]

    async def activity(self) -> dict[AppRef, datetime]:
        """When every app was last used, to be moved."""
        rows = await self._database.read("SELECT user_id, app_id, at FROM activity")
        return {AppRef(row["user_id"], row["app_id"]): from_text(row["at"]) for row in rows}

    async def check(self) -> None:
        await self._database.check()

    async def _account(self, column: str, value: str) -> Account | None:
        rows = await self._database.read(
            f"SELECT * FROM accounts WHERE {column} = ?",  # noqa: S608  (a name from this file)
            (value,),
        )
        return _account(rows[0]) if rows else None

    async def _change(self, assignment: str, parameters: Sequence[Any]) -> Account | None:
        def change(connection: sqlite3.Connection) -> sqlite3.Row | None:
            row: sqlite3.Row | None = connection.execute(
                f"UPDATE accounts SET {assignment} RETURNING *",  # noqa: S608  (text of this file)
                parameters,
            ).fetchone()
            return row

        row = await self._database.write(change)
        return _account(row) if row else None

    async def _execute(self, sql: str, parameters: Sequence[Any]) -> None:
        await self._database.execute(sql, [parameters])


def _request(row: sqlite3.Row) -> IdempotentRequest:
    return IdempotentRequest(
        digest=row["digest"],
        body=row["body"],
        created_at=from_text(row["created_at"]),
        status=row["status"],
    )


def _suspension(suspension: Suspension | None) -> tuple[str | None, str | None, str | None]:
    if suspension is None:
        return None, None, None
    return suspension.by, suspension.reason, to_text(suspension.at)


def _account(row: sqlite3.Row) -> Account:
    suspension = None
    if row["suspended_at"] is not None:
        suspension = Suspension(
            row["suspended_by"], row["suspended_reason"], from_text(row["suspended_at"])
        )
    return Account(
        user_id=row["user_id"],
        username=row["username"],
        email=row["email"],
        password_hash=row["password_hash"],
        created_at=from_text(row["created_at"]),
        is_admin=bool(row["is_admin"]),
        token_version=row["token_version"],
        suspension=suspension,
    )
