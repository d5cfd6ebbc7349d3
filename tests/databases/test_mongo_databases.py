"""People's databases on a real server, and the exact commands that keep them apart.

FerretDB knows no roles: there the commands are asserted, and what they would have is tried
whenever MONGODB_TEST_URI names a server that has them.
"""

import io
import json
import secrets
import zipfile
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from api.clients.mongo_databases import MongoDatabases, database_of
from api.domain.document_filter import checked_filter
from api.errors import DatabasesUnavailable, InvalidRequest, NotFound


def client(uri: str) -> MongoClient[dict[str, Any]]:
    return MongoClient(uri, timeoutMS=5000)


def has_roles(uri: str) -> bool:
    with client(uri) as there:
        try:
            there.admin.command({"rolesInfo": 1})
        except OperationFailure:
            return False
    return True


@pytest.fixture
async def databases(mongodb_server: str) -> AsyncIterator[MongoDatabases]:
    async with MongoDatabases.open(mongodb_server, roles=has_roles(mongodb_server)) as opened:
        yield opened


@pytest.fixture
async def ada(databases: MongoDatabases) -> AsyncIterator[str]:
    user_id = f"u{secrets.token_hex(5)}"
    yield user_id
    await databases.drop(user_id)


@pytest.fixture
def notes(mongodb_server: str, ada: str) -> list[dict[str, Any]]:
    documents = [{"_id": n, "text": f"note {n}", "done": n % 2 == 0} for n in range(250)]
    with client(mongodb_server) as there:
        there[database_of(ada)]["notes"].insert_many(documents)
        there[database_of(ada)]["a/b"].insert_one({"_id": "é"})
    return documents


class Recorded(MongoDatabases):
    """Every command, and the answer of a server with roles."""

    def __init__(self, uri: str, **options: Any) -> None:
        super().__init__(uri, **options)
        self.sent: list[tuple[str, dict[str, Any]]] = []

    async def _command(self, database: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        self.sent.append((database, dict(command)))
        return {"ok": 1, "users": [{"user": "notes-1"}]}


async def test_a_login_gets_one_database_and_nothing_else() -> None:
    there = Recorded("mongodb://root:hunter2@db:1/?authSource=admin&tls=true&appName=x")
    login = await there.grant("u1", "notes-1")
    [(database, command)] = there.sent
    password = command.pop("pwd")
    assert len(password) >= 43
    assert database == "user_u1"
    assert command == {"createUser": "notes-1", "roles": [{"role": "readWrite", "db": "user_u1"}]}
    assert login.uri == f"mongodb://notes-1:{password}@db:1/user_u1?tls=true&authSource=user_u1"
    assert login.isolated


async def test_apps_may_reach_the_server_at_another_address() -> None:
    there = Recorded("mongodb://root:x@localhost:1/", apps_hosts="db.mongodb:27017")
    assert "@db.mongodb:27017/user_u1" in (await there.grant("u1", "a")).uri


async def test_over_the_quota_is_read_and_deleted_but_not_written() -> None:
    there = Recorded("mongodb://root:x@localhost:1/")
    await there.allow_writing("u1", allowed=False)
    (_, role), _, (_, login) = there.sent
    [right] = role["privileges"]
    assert right["resource"] == {"db": "user_u1", "collection": ""}
    assert {"find", "remove"} <= set(right["actions"])
    assert not {"insert", "update", "createCollection"} & set(right["actions"])
    assert login == {"updateUser": "notes-1", "roles": [{"role": "over_quota", "db": "user_u1"}]}
    there.sent.clear()
    await there.allow_writing("u1", allowed=True)
    assert there.sent[-1][1]["roles"] == [{"role": "readWrite", "db": "user_u1"}]
    assert {database for database, _ in there.sent} == {"user_u1"}


async def test_without_roles_no_login_is_made_unless_that_is_accepted(
    mongodb_server: str, ada: str
) -> None:
    if has_roles(mongodb_server):
        pytest.skip("this server has roles")
    async with MongoDatabases.open(mongodb_server) as strict:
        with pytest.raises(DatabasesUnavailable, match="no roles"):
            await strict.grant(ada, "notes-1")
        assert await strict.logins(ada) == []


async def test_a_new_password_ends_the_old_one(databases: MongoDatabases, ada: str) -> None:
    first = await databases.grant(ada, "notes-1")
    with client(first.uri) as app:
        app.get_default_database()["notes"].insert_one({"_id": 1})
    second = await databases.grant(ada, "notes-1")
    with client(second.uri) as app:
        assert app.get_default_database()["notes"].find_one() == {"_id": 1}
    with client(first.uri) as app, pytest.raises(OperationFailure):
        app.get_default_database()["notes"].find_one()
    assert await databases.logins(ada) == ["notes-1"]


async def test_a_login_reaches_nobody_elses_database(
    databases: MongoDatabases, mongodb_server: str, ada: str
) -> None:
    if not has_roles(mongodb_server):
        pytest.skip("the server knows no roles: only the commands are asserted, above")
    login = await databases.grant(ada, "notes-1")
    bob = f"u{secrets.token_hex(5)}"
    try:
        await databases.grant(bob, "shop-1")
        with client(login.uri) as app:
            app[database_of(ada)]["notes"].insert_one({})
            for work in (
                app[database_of(bob)]["notes"].find_one,
                lambda: app[database_of(bob)]["notes"].insert_one({}),
                app["admin"]["system.users"].find_one,
                lambda: app[database_of(ada)].command({"usersInfo": 1}),
            ):
                with pytest.raises(OperationFailure, match="not authorized"):
                    work()
            assert set(app.list_database_names()) <= {database_of(ada)}
    finally:
        await databases.drop(bob)


@pytest.mark.usefixtures("notes")
async def test_documents_come_in_pages(databases: MongoDatabases, ada: str) -> None:
    seen: list[int] = []
    more = True
    while more:
        page = await databases.documents(ada, "notes", "{}", after=len(seen), limit=1000)
        assert len(page.documents) <= 100
        seen += [json.loads(each)["_id"] for each in page.documents]
        more = page.more
    assert seen == list(range(250))
    wanted = checked_filter('{"done": true, "_id": {"$gte": 246}}')
    page = await databases.documents(ada, "notes", wanted)
    assert [json.loads(each)["_id"] for each in page.documents] == [246, 248]
    assert not page.more


@pytest.mark.usefixtures("notes")
async def test_what_cannot_be_asked_is_told(databases: MongoDatabases, ada: str) -> None:
    for wanted in ('{"_id": {"$oid": "x"}}', '{"_id": {"$in": 1}}', '{"text": {"$regex": "("}}'):
        with pytest.raises(InvalidRequest):
            await databases.documents(ada, "notes", checked_filter(wanted))
    for name in ("nothing", "system.users", "", "$cmd"):
        with pytest.raises(NotFound):
            await databases.documents(ada, name, "{}")


async def test_an_export_holds_every_document(
    databases: MongoDatabases, ada: str, notes: list[dict[str, Any]]
) -> None:
    pieces = [piece async for piece in databases.export(ada)]
    assert len(pieces) > 2  # it comes while it is made
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {
            f"user_{ada}/notes.jsonl",
            f"user_{ada}/a%2Fb.jsonl",
        }
        lines = archive.read(f"user_{ada}/notes.jsonl").splitlines()
    assert [json.loads(line) for line in lines] == notes


@pytest.mark.usefixtures("notes")
async def test_dropped_is_gone_with_its_logins(databases: MongoDatabases, ada: str) -> None:
    login = await databases.grant(ada, "notes-1")
    assert await databases.collections(ada) == ["a/b", "notes"]
    assert await databases.size(ada) > 0
    for _ in range(2):
        await databases.drop(ada)
        assert await databases.collections(ada) == []
        assert await databases.logins(ada) == []
    with client(login.uri) as app, pytest.raises(OperationFailure):
        app.get_default_database()["notes"].find_one()


async def test_a_server_that_is_away_is_told_without_the_address() -> None:
    async with MongoDatabases.open("mongodb://root:hunter2@127.0.0.1:1/") as databases:
        with pytest.raises(DatabasesUnavailable) as refused:
            await databases.size("u1")
    assert "hunter2" not in refused.value.message + refused.value.hint


@pytest.mark.parametrize("uri", ["mongodb://", "http://x", "mongodb://a:b@[::1/"])
def test_what_is_no_address_is_told_without_its_password(uri: str) -> None:
    with pytest.raises(DatabasesUnavailable, match="no address"):
        MongoDatabases(uri)


@pytest.mark.parametrize("user_id", ["", "admin.x", "../x", "U1", "u1\n"])
def test_only_an_id_becomes_the_name_of_a_database(user_id: str) -> None:
    with pytest.raises(ValueError, match="user id"):
        database_of(user_id)
