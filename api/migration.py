"""Moves what an SQLite file keeps into another store; sending it twice does no harm.

What is in the target already stays as it is, so an interrupted move goes on where it was. A target
that has accounts of other people is refused before anything is written.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

from api.clients.sqlite_store import SqliteStore
from api.clients.store import Account, IdempotentRequest, Store
from api.errors import Conflict

#: Told what is moved, how many of it are done, and of how many.
Progress = Callable[[str, int, int], None]
_AT_ONCE: Final = 16
_Item = TypeVar("_Item")
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Moved:
    """How many of each kind: accounts and invitations that were there already are not counted."""

    accounts: int
    invitations: int
    idempotency_keys: int
    apps_with_activity: int


class Migration:
    """From a file that nobody writes meanwhile into a store that may be empty or half full."""

    def __init__(self, source: SqliteStore, target: Store, progress: Progress) -> None:
        self._source = source
        self._target = target
        self._progress = progress

    async def run(self) -> Moved:
        """Move everything; raises Conflict for a target with other accounts, and Unavailable."""
        mine, there = await _all(self._source), await _all(self._target)
        others = there.keys() - mine.keys()
        if others:
            raise Conflict(
                f"The database at MONGO_URI has {len(others)} accounts that DATA_DIR has not,"
                f" such as {there[min(others)].username}. Nothing was moved.",
                code="other_accounts",
                hint="Name an empty database in MONGO_URI, or the DATA_DIR that this one came of.",
            )
        known = {invitation.code_hash for invitation in await self._target.invitations()}
        invitations = [i for i in await self._source.invitations() if i.code_hash not in known]
        await self._each("invitations", invitations, self._target.add_invitation)
        missing = [account for user_id, account in mine.items() if user_id not in there]
        await self._each("accounts", missing, self._target.add_account)
        keys = await self._source.idempotent_requests()
        await self._each("idempotency keys", keys, lambda key: self._move_key(*key))
        used = list((await self._source.activity()).items())
        await self._each("times of last use", used, lambda use: self._target.touch(*use))
        return Moved(len(missing), len(invitations), len(keys), len(used))

    async def _move_key(self, user_id: str, key: str, request: IdempotentRequest) -> None:
        stands = await self._target.claim_key(user_id, key, request, expired=_LONG_AGO)
        if request.status is not None and stands.status is None:
            status, body = request.status, request.body
            await self._target.answer_key(user_id, key, status=status, body=body)

    async def _each(
        self, what: str, items: Sequence[_Item], move: Callable[[_Item], Awaitable[object]]
    ) -> None:
        for start in range(0, len(items), _AT_ONCE):
            batch = items[start : start + _AT_ONCE]
            await asyncio.gather(*(move(item) for item in batch))
            self._progress(what, start + len(batch), len(items))


async def _all(store: Store) -> dict[str, Account]:
    found: dict[str, Account] = {}
    while page := await store.accounts(after=next(reversed(found), "")):
        found |= {account.user_id: account for account in page}
    return found
