"""People's own databases on a MongoDB server: `user_<user_id>`, and logins that reach only that.

The one who is logged in here administers the server, so every method names the person, and what it
does stays in that person's database. Passwords are random, go to the server and to the caller, and
are kept by neither this module nor the platform. Every operation ends within OPERATION_SECONDS.
"""

import asyncio
import io
import secrets
import zipfile
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from bson import json_util
from bson.errors import BSONError
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import OperationFailure, PyMongoError

from api.domain.names import is_id
from api.errors import DatabasesUnavailable, InvalidRequest, NotFound

OPERATION_SECONDS: Final = 5.0
_DRIVER_MS: Final = 4000
#: What the server works at most for somebody who looks at documents.
QUERY_MS: Final = 2000
MAX_DOCUMENTS: Final = 100
#: Bytes of documents in one answer: the one that exceeds them is its last.
MAX_ANSWER_BYTES: Final = 1024 * 1024
_EXPORT_BATCH: Final = 100
#: Options of the administrator's address that hold for everybody who connects there.
_FOR_EVERYBODY: Final = frozenset({"tls", "ssl", "replicaset", "directconnection", "loadbalanced"})
_USER_EXISTS: Final = 51003
_ROLE_EXISTS: Final = 51002
_NOT_IMPLEMENTED: Final = 238
_TOO_LONG: Final = 50
_OVER_QUOTA: Final = "over_quota"
#: Who is over the quota may still look, and make room.
_STILL_ALLOWED: Final = (
    *("find", "listCollections", "listIndexes", "collStats", "dbStats", "killCursors"),
    *("remove", "dropCollection", "dropIndex"),
)

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Login:
    """A login just made: the address with its password is known here only, and only now."""

    uri: str
    isolated: bool  # False: the server has no roles, so that it reaches every database


@dataclass(frozen=True)
class Page:
    """Documents as extended JSON, in the order of `_id`."""

    documents: Sequence[str]
    more: bool


def database_of(user_id: str) -> str:
    """The name of a person's database."""
    if not is_id(user_id):  # it comes from a verified token; nothing else may become a name here
        raise ValueError("not a user id")
    return f"user_{user_id}"


class MongoDatabases:
    """A server: `async with MongoDatabases.open(uri) as databases`."""

    def __init__(self, uri: str, apps_hosts: str | None = None, *, roles: bool = True) -> None:
        """`apps_hosts`: where apps reach the server, if not at the hosts of `uri`.

        Without `roles`, logins that reach everything are made on a server that knows no roles.
        """
        try:
            self._client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
                uri, timeoutMS=_DRIVER_MS, connectTimeoutMS=2000, appName="fastapi-platform"
            )
            parts = urlsplit(uri)
            given = parse_qsl(parts.query)
        except (PyMongoError, ValueError):
            # The driver's words may quote the address, and the password with it.
            raise DatabasesUnavailable(
                "The address of the server of people's databases is no address of a MongoDB.",
                hint="It looks like mongodb://name:password@host:27017/?authSource=admin.",
            ) from None
        self._scheme = parts.scheme
        self._hosts = apps_hosts or parts.netloc.rpartition("@")[2]
        self._options = [(key, value) for key, value in given if key.lower() in _FOR_EVERYBODY]
        self._roles = roles

    @classmethod
    @asynccontextmanager
    async def open(
        cls, uri: str, apps_hosts: str | None = None, *, roles: bool = True
    ) -> AsyncIterator[Self]:
        """Nothing is asked before the first use: the platform starts without this server."""
        databases = cls(uri, apps_hosts, roles=roles)
        try:
            yield databases
        finally:
            await asyncio.to_thread(databases._client.close)

    async def grant(self, user_id: str, login: str) -> Login:
        """Give a login of this name a new password, and exactly the right to this database.

        It is made where there is none; a password that it had before opens nothing any more.
        Raises DatabasesUnavailable, also for a server without roles unless that is accepted.
        """
        name, password = database_of(user_id), secrets.token_urlsafe(32)
        roles: list[dict[str, str]] = [{"role": "readWrite", "db": name}]
        try:
            await self._set_login(name, login, password, roles)
        except _NoRoles:
            if self._roles:
                raise DatabasesUnavailable(
                    "The server of people's databases has no roles: a login could not be kept from"
                    " other people's data, so none was made.",
                    hint="Use MongoDB 5 or newer with authorization switched on.",
                ) from None
            await self._set_login(name, login, password, [])
            roles = []
        options = urlencode([*self._options, ("authSource", name)])
        who = f"{quote(login, safe='')}:{quote(password, safe='')}@{self._hosts}"
        uri = urlunsplit((self._scheme, who, f"/{name}", options, ""))
        return Login(uri, isolated=bool(roles))

    async def logins(self, user_id: str) -> list[str]:
        """Names of the logins of this database."""
        answer = await self._command(database_of(user_id), {"usersInfo": 1})
        return sorted(user["user"] for user in answer["users"])

    async def allow_writing(self, user_id: str, *, allowed: bool) -> None:
        """Let all logins of this database write, or only read and delete.

        Raises DatabasesUnavailable, also where the server has no roles.
        """
        name = database_of(user_id)
        role = "readWrite" if allowed else _OVER_QUOTA
        if not allowed:
            where = {"db": name, "collection": ""}
            rights = [{"resource": where, "actions": [*_STILL_ALLOWED]}]
            try:
                await self._command(
                    name, {"createRole": _OVER_QUOTA, "privileges": rights, "roles": []}
                )
            except _Refused as error:
                if error.number != _ROLE_EXISTS:
                    raise
        for login in await self.logins(user_id):
            await self._command(name, {"updateUser": login, "roles": [{"role": role, "db": name}]})

    async def size(self, user_id: str) -> int:
        """Bytes of documents and indexes; what is deleted counts no more, whatever the disk has."""
        stats = await self._command(database_of(user_id), {"dbStats": 1})
        return int(stats["dataSize"]) + int(stats.get("indexSize", 0))

    async def drop(self, user_id: str) -> None:
        """Delete all documents, logins and roles; again does no harm."""
        name = database_of(user_id)
        # The logins first: an app at work would make its collections anew.
        for login in await self.logins(user_id):
            await self._command(name, {"dropUser": login})
        if self._roles:
            await self._command(name, {"dropAllRolesFromDatabase": 1})
        await self._command(name, {"dropDatabase": 1})

    async def collections(self, user_id: str) -> list[str]:
        """Names of the collections, without the server's own and those that drivers cannot open."""
        names = await self._bounded(self._database(user_id).list_collection_names())
        return sorted(name for name in names if not name.startswith("system.") and ".." not in name)

    async def documents(
        self, user_id: str, collection: str, wanted: str, *, after: int = 0, limit: int = 20
    ) -> Page:
        """Documents that fit `wanted` (as `checked_filter` gives it), without the first `after`.

        Raises NotFound, InvalidRequest for what the server does not understand or not find in
        QUERY_MS, DatabasesUnavailable.
        """
        if collection not in await self.collections(user_id):
            raise NotFound(
                "There is no such collection in your database.",
                hint="GET /api/databases/collections lists them.",
            )
        try:
            fits = json_util.loads(wanted)
        except (ValueError, TypeError, BSONError, OverflowError):
            raise _not_understood("a value of extended JSON in it is none") from None
        limit = min(max(limit, 1), MAX_DOCUMENTS)
        found = self._database(user_id)[collection].find(fits, max_time_ms=QUERY_MS)
        cursor = found.sort("_id", 1).skip(after).limit(limit + 1).batch_size(limit + 1)
        documents: list[str] = []
        size = 0

        async def read() -> bool:
            nonlocal size
            async for document in cursor:
                if len(documents) == limit or size > MAX_ANSWER_BYTES:
                    return True
                documents.append(json_util.dumps(document))
                size += len(documents[-1])
            return False

        try:
            return Page(documents, more=await self._bounded(read()))
        except _Refused as error:
            if error.number == _TOO_LONG:
                raise InvalidRequest(
                    f"The server did not find them within {QUERY_MS // 1000} s.",
                    code="query_too_slow",
                    hint="Ask for a field that has an index, such as _id.",
                ) from None
            raise _not_understood(error.words) from None
        except (BSONError, OverflowError):  # a document that Python has no words for, or a number
            raise _not_understood("a value is beyond what can be read here") from None
        finally:
            await cursor.close()

    async def export(self, user_id: str) -> AsyncIterator[bytes]:
        """All documents as a zip archive, piece by piece: a file of JSON lines per collection."""
        sink = _Sink()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in await self.collections(user_id):
                # A collection's name may hold `/`; a file's in an archive must not.
                path = f"{database_of(user_id)}/{quote(name, safe=' ')}.jsonl"
                with archive.open(path, "w", force_zip64=True) as entry:
                    cursor = self._raw(user_id, name)
                    while batch := await self._bounded(cursor.to_list(_EXPORT_BATCH)):
                        lines = await asyncio.to_thread(_lines, batch)
                        entry.write(lines)
                        yield sink.take()
        yield sink.take()

    def _raw(self, user_id: str, collection: str) -> Any:
        found = self._database(user_id)[collection].find({}, batch_size=_EXPORT_BATCH)
        return found.sort("_id", 1)

    def _database(self, user_id: str) -> Any:
        return self._client[database_of(user_id)]

    async def _set_login(
        self, name: str, login: str, password: str, roles: Sequence[Mapping[str, str]]
    ) -> None:
        rest = {"pwd": password, "roles": [*roles]}
        try:
            await self._command(name, {"createUser": login, **rest})
        except _Refused as error:
            if error.number != _USER_EXISTS:
                raise
            await self._command(name, {"updateUser": login, **rest})

    async def _command(self, database: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        """One command as it stands; `tests/databases` asserts these."""
        try:
            answer: Mapping[str, Any] = await self._bounded(
                self._client[database].command(dict(command))
            )
        except _Refused as error:
            if error.number == _NOT_IMPLEMENTED and command.get("roles"):
                raise _NoRoles(error.number, error.words) from None
            raise
        return answer

    async def _bounded(self, work: Awaitable[_Result]) -> _Result:
        try:
            async with asyncio.timeout(OPERATION_SECONDS):
                return await work
        except OperationFailure as error:
            if error.code in _AWAY:
                raise _away(_AWAY[error.code]) from None
            words = str((error.details or {}).get("errmsg", "no reason given"))
            raise _Refused(error.code or 0, words[:300]) from None
        except (PyMongoError, TimeoutError) as error:
            raise _away(type(error).__name__) from None


class _Refused(DatabasesUnavailable):
    """The server understood, and said no; who knows better why catches it."""

    def __init__(self, code: int, words: str) -> None:
        # Without the server's words, in which the command may stand, values and all.
        super().__init__(f"The server of people's databases answered with error {code}.")
        self.number = code
        self.words = words


class _NoRoles(_Refused):
    """The server knows no roles."""


class _Sink(io.RawIOBase):
    """What an archive was written into since the last look."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(self._pieces[-1])

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


_AWAY: Final = {
    13: "the platform's login may not do this",
    18: "it refuses the platform's login",
    8000: "it refuses the platform's login",
}


def _away(reason: str) -> DatabasesUnavailable:
    return DatabasesUnavailable(
        f"The server of people's databases cannot be used: {reason}.",
        hint="Try again in a moment; if it stays so, tell an administrator.",
    )


def _lines(batch: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(f"{json_util.dumps(document)}\n" for document in batch).encode()


def _not_understood(why: str) -> InvalidRequest:
    return InvalidRequest(f"The filter is not understood: {why}.", code="filter_refused")
