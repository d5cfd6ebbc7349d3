"""Leases in MongoDB, with nothing but inserts deciding who has one.

An update that looks before it writes is one step in MongoDB, and two in FerretDB; so is a deletion
by anything but `_id`. What holds everywhere is that of two inserts with one `_id` one is refused.
So a lease is a chain of documents that never change, `<name>/1`, `<name>/2` …: whoever sees that
the newest is free, or theirs, tries to add the next one, and only one can. To renew is to add, and
to end is to add one that nobody holds. The newest is never deleted, so that the numbers only grow;
older ones are, and who was slow enough to add one of these again finds a newer one afterwards.
"""

from datetime import UTC, datetime
from typing import Final

from api.clients.mongo import Document, Duplicate, MongoDatabase
from api.clients.store import Lease, from_text, to_text
from api.errors import DatabaseUnavailable

_NOBODY: Final = ""
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ATTEMPTS: Final = 10


class MongoLeases:
    """The collection `leases`."""

    def __init__(self, database: MongoDatabase) -> None:
        self._leases = database.collection("leases")

    async def take(self, lease: Lease, now: datetime) -> Lease:
        """As `Store.take_lease`."""
        for _ in range(_ATTEMPTS):
            newest = await self._newest(lease.name)
            if newest is not None:
                stands = _lease(newest)
                if stands.holder != lease.holder and stands.expires_at > now:
                    return stands
            if await self._follow(newest, lease):
                return lease
        raise DatabaseUnavailable(f"The lease of {lease.name} changed all the time.")

    async def end(self, name: str, holder: str) -> None:
        """As `Store.end_lease`."""
        for _ in range(_ATTEMPTS):
            newest = await self._newest(name)
            if newest is None or newest["holder"] != holder:
                return
            if await self._follow(newest, Lease(name, _NOBODY, _LONG_AGO)):
                return
        raise DatabaseUnavailable(f"The lease of {name} changed all the time.")

    async def _newest(self, name: str) -> Document | None:
        found = await self._leases.find({"name": name}, order="number", newest_first=True, limit=1)
        return found[0] if found else None

    async def _follow(self, newest: Document | None, lease: Lease) -> bool:
        """Whether the lease became the one after `newest`, and so the newest."""
        number = newest["number"] + 1 if newest else 1
        expires = to_text(lease.expires_at)
        mine = {"_id": f"{lease.name}/{number}", "name": lease.name, "number": number}
        try:
            await self._leases.insert(mine | {"holder": lease.holder, "expires_at": expires})
        except Duplicate:
            return False
        now_newest = await self._newest(lease.name)
        if now_newest is None or now_newest["number"] != number:
            return False
        await self._leases.delete({"name": lease.name, "number": {"$lt": number}})
        return True


def _lease(document: Document) -> Lease:
    return Lease(document["name"], document["holder"], from_text(document["expires_at"]))
