"""MongoDB, through motor: the one module that knows either.

Every operation touches one document or only reads, ends within OPERATION_SECONDS whatever the
server does, and raises DatabaseUnavailable when it cannot be done. The driver watches the server
by itself: when that is back, the next operation works. Writes are acknowledged when a majority
of the servers has them in its journal.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import ReturnDocument
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
)

from api.errors import DatabaseUnavailable

#: What a request waits for the database at most: longer than a hiccup, shorter than patience.
OPERATION_SECONDS: Final = 5.0
#: The driver's own limit for one operation, tries and search for a server included: it ends
#: first, so that its reason can be told.
_DRIVER_MS: Final = 4000
#: More than the driver gets by itself: each replica has 5 threads per processor that use them.
MAX_CONNECTIONS: Final = 50
#: Documents changed by one command: it ends well within its time.
MANY_AT_ONCE: Final = 1000
_DUPLICATE: Final = 11000
DEFAULT_DATABASE: Final = "fastapi_platform"
#: Raise it when documents that are there must change; an older program then refuses to start.
SCHEMA_VERSION: Final = 1
_DEFAULTS: Final[Mapping[str, Any]] = {
    "timeoutMS": _DRIVER_MS,
    "connectTimeoutMS": 2000,
    "maxPoolSize": MAX_CONNECTIONS,
    "appName": "fastapi-platform",
    "w": "majority",
    "journal": True,
}

Document = Mapping[str, Any]
_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)


class Duplicate(Exception):
    """A unique index refuses the document: another one has the same value."""


class MongoDatabase:
    """A database: `async with MongoDatabase.open(uri, indexes) as database`."""

    def __init__(self, uri: str) -> None:
        try:
            parts = urlsplit(uri)
            given = {name.lower() for name, _ in parse_qsl(parts.query)}
            options = {key: value for key, value in _DEFAULTS.items() if key.lower() not in given}
            self._client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(uri, **options)
            self._database = self._client.get_default_database(DEFAULT_DATABASE)
        except (PyMongoError, ValueError):
            # The driver's words may quote the address, and the password with it.
            raise DatabaseUnavailable(
                "MONGO_URI is no address of a MongoDB database.",
                hint="It looks like mongodb://name:password@host:27017/database?authSource=admin;"
                " `@`, `:`, `/` and `%` in name or password are written %40, %3A, %2F and %25.",
            ) from None
        self.address = parts.netloc.rpartition("@")[2]
        self._is_away = False

    @classmethod
    @asynccontextmanager
    async def open(cls, uri: str, indexes: Mapping[str, Sequence["Index"]]) -> AsyncIterator[Self]:
        """Reach the server and make the indexes of each collection, by name, that are missing.

        Raises DatabaseUnavailable, also for a database that a newer version of the platform wrote.
        """
        async with cls.unprepared(uri) as database:
            try:
                await database._prepare(indexes)  # noqa: SLF001  (of this class)
            except DatabaseUnavailable as error:
                raise DatabaseUnavailable(
                    f"{error.message} It is the one of MONGO_URI, at {database.address}.",
                    hint="Check MONGO_URI, that the server runs and is reachable from here, and"
                    " that its user may read and write this database; then start again.",
                ) from error
            yield database

    @classmethod
    @asynccontextmanager
    async def unprepared(cls, uri: str) -> AsyncIterator[Self]:
        """The same without asking or writing anything."""
        database = cls(uri)
        try:
            yield database
        finally:
            await asyncio.to_thread(database._client.close)

    def collection(self, name: str) -> "Collection":
        """A collection; it is made by the first write."""
        return Collection(self, name)

    async def check(self) -> None:
        """Raise DatabaseUnavailable unless a server that takes writes answers."""
        await self.bounded(self._database.command("ping"))

    async def clock(self) -> datetime:
        """The server's time."""
        answer = await self.bounded(self._database.command("hello"))
        now: datetime = answer["localTime"]
        return now.replace(tzinfo=UTC)

    async def unique_fields(self, collection: str) -> set[str]:
        """The fields that a unique index of their own guards."""
        known = await self.bounded(self._database[collection].index_information())
        return {
            index["key"][0][0]
            for index in known.values()
            if index.get("unique") and len(index["key"]) == 1
        }

    async def bounded(self, work: Awaitable[_Result]) -> _Result:
        """What the driver answers in time; raises DatabaseUnavailable, or Duplicate."""
        try:
            # The driver's limit begins only when one of its threads is free.
            async with asyncio.timeout(OPERATION_SECONDS):
                result = await work
        except DuplicateKeyError as error:
            raise Duplicate from error
        except BulkWriteError as error:
            codes = {each.get("code") for each in error.details.get("writeErrors", ())}
            if codes != {_DUPLICATE}:
                raise DatabaseUnavailable("The database refused a part of what was sent.") from None
            raise Duplicate from error
        except (PyMongoError, TimeoutError) as error:
            reason = _reason(error)
            if not self._is_away:
                _log.error("The database at %s cannot be used: %s", self.address, reason)
            self._is_away = True
            # Without the server's own words, in which the command may stand, values and all.
            raise DatabaseUnavailable(
                f"The database cannot be used: {reason}.",
                hint="Try again in a moment. What was just sent may have been saved: look first.",
            ) from None
        if self._is_away:
            _log.warning("The database at %s can be used again", self.address)
            self._is_away = False
        return result

    async def _prepare(self, indexes: Mapping[str, Sequence["Index"]]) -> None:
        await self.check()
        schema = self.collection("meta")
        try:
            await schema.insert({"_id": "schema", "version": SCHEMA_VERSION})
        except Duplicate:
            known = await schema.find_one({"_id": "schema"}) or {}
            if known.get("version", 0) > SCHEMA_VERSION:
                raise DatabaseUnavailable(
                    f"The database is of version {known['version']}; this program knows"
                    f" {SCHEMA_VERSION}."
                ) from None
        for name, wanted in indexes.items():
            for index in wanted:
                making = self._database[name].create_index(index.field, unique=index.unique)
                try:
                    await self.bounded(making)
                except Duplicate:
                    raise DatabaseUnavailable(
                        f"Two documents of the collection {name} have the same {index.field}."
                    ) from None


class Index:
    """An index over one field."""

    def __init__(self, field: str, *, unique: bool = False) -> None:
        self.field = field
        self.unique = unique


class Collection:
    """The operations that stores need; each raises DatabaseUnavailable."""

    def __init__(self, database: MongoDatabase, name: str) -> None:
        self._bounded = database.bounded
        self._collection = database._database[name]  # noqa: SLF001  (of this module)

    async def insert(self, document: Document) -> None:
        """Add a document; raises Duplicate."""
        await self._bounded(self._collection.insert_one(dict(document)))

    async def find_one(self, wanted: Document) -> Document | None:
        """The document that fits."""
        return await self._bounded(self._collection.find_one(wanted))

    async def find(
        self, wanted: Document, *, order: str = "_id", newest_first: bool = False, limit: int = 0
    ) -> list[dict[str, Any]]:
        """The documents that fit, all of them with limit 0."""
        cursor = self._collection.find(wanted).sort(order, -1 if newest_first else 1).limit(limit)
        return await self._bounded(cursor.to_list(None))

    async def change(
        self, wanted: Document, change: Document, *, upsert: bool = False
    ) -> Document | None:
        """Change the one document that fits and return it; raises Duplicate.

        With `upsert` it is made where there is none.
        """
        work = self._collection.find_one_and_update(
            wanted, change, upsert=upsert, return_document=ReturnDocument.AFTER
        )
        found: Document | None = await self._bounded(work)
        return found

    async def raise_many(self, ids: Sequence[str], field: str, value: str) -> None:
        """Have the field of these documents not below the value; those that are missing are made.

        Many in one step; of two at once, both get what is highest.
        """
        for start in range(0, len(ids), MANY_AT_ONCE):
            chunk = list(ids[start : start + MANY_AT_ONCE])
            # Made first and then raised: an upsert of each would be as many steps as documents.
            known = {each["_id"] for each in await self.find({"_id": {"$in": chunk}})}
            if missing := [{"_id": each, field: value} for each in chunk if each not in known]:
                with suppress(Duplicate):  # made by another process in this moment
                    await self._bounded(self._collection.insert_many(missing, ordered=False))
            lower = {"_id": {"$in": chunk}, field: {"$lt": value}}
            await self._bounded(self._collection.update_many(lower, {"$max": {field: value}}))

    async def delete(self, wanted: Document) -> None:
        """Delete every document that fits."""
        await self._bounded(self._collection.delete_many(wanted))


def _reason(error: PyMongoError | TimeoutError) -> str:
    """What went wrong, in words that show no value."""
    if isinstance(error, OperationFailure) and not error.timeout:
        name = (error.details or {}).get("codeName", "no name")
        return _ANSWERS.get(error.code or 0) or f"it answers with error {error.code} ({name})"
    for words, meaning in _CAUSES.items():
        if words in str(error):
            return meaning
    if isinstance(error, TimeoutError) or error.timeout:
        return f"it did not answer within {OPERATION_SECONDS:.0f} s"
    return "the connection broke" if isinstance(error, AutoReconnect) else type(error).__name__


_NO_SRV: Final = (
    "no servers for the host of its mongodb+srv:// address (SRV record _mongodb._tcp.<host>);"
    " mongodb:// with the names of the servers needs none"
)
_ANSWERS: Final = {13: "its user may not do this", 18: "it refuses the name or the password"}
#: Words of the driver's, the first that stand in an error tell: its cause.
_CAUSES: Final = {
    "Connection refused": "nothing listens at its address",
    "DNS query name does not exist": f"DNS has {_NO_SRV}",
    "DNS response does not contain": f"DNS has {_NO_SRV}",
    "nameservers": f"no name server tells {_NO_SRV}",
    "resolution lifetime": f"no name server tells {_NO_SRV} in time",
    "is not a valid hostname for": "its host is no name that DNS could have servers for: with an IP"
    " address the scheme is mongodb://",
    "Name or service not known": "its host name is not known",
    "DNS": "its host name cannot be resolved",
    "name resolution": "its host name cannot be resolved",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not trusted",
    "SSL": "TLS fails",
    "No primary": "none of its servers takes writes at this moment",
    "No replica set members": "no server of its replica set answers",
}
