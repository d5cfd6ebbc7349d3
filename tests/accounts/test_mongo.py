"""The database in a cluster: away, slow, killed and back again, told without a credential."""

import asyncio
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.resolver
import pytest
from pydantic import SecretStr

from api.clients import mongo, mongo_survey
from api.clients.mongo import MongoDatabase
from api.clients.store import Account, Store
from api.errors import DatabaseUnavailable
from api.opening import open_mongo_store
from tests.accounts.conftest import CLUSTER
from tests.application import Application, application
from tests.mongodb import FerretDB, database, ferretdb
from tests.product import free_port

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SECRET = "tiny-secret"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FerretDB]:
    """A server of the test's own, to be killed."""
    with ferretdb(tmp_path / "ferretdb") as running:
        yield running


@pytest.fixture
def uri(server: FerretDB) -> str:
    return database(server.uri, "killed")


def person(number: int) -> Account:
    return Account(f"u{number}", f"p{number}", f"p{number}@example.org", "hash", NOW)


async def refused(uri: str) -> DatabaseUnavailable:
    with pytest.raises(DatabaseUnavailable) as caught:
        async with open_mongo_store(SecretStr(uri)):
            pass
    assert SECRET not in f"{caught.value.message} {caught.value.hint} {caught.value!r}"
    assert "MONGO_URI" in caught.value.message + caught.value.hint
    return caught.value


async def test_a_server_that_is_away_at_start_is_named_without_its_password():
    port = free_port()
    error = await refused(f"mongodb://ada:{SECRET}@127.0.0.1:{port}/platform")
    assert f"127.0.0.1:{port}" in error.message
    assert "nothing listens" in error.message


async def test_a_wrong_password_is_told(server: FerretDB):
    error = await refused(f"mongodb://platform:{SECRET}@127.0.0.1:{server.port}/?authSource=admin")
    assert "the password" in error.message
    assert f"127.0.0.1:{server.port}" in error.message


@pytest.mark.parametrize(
    "address",
    [
        f"mongodb://ada:{SECRET}/x@host/db",
        f"mongodb://ada:{SECRET}@x@host",
        f"mongodb://ada:{SECRET}@host:port",
        f"mongodb://ada:{SECRET}@",
        f"mongodb://ada:{SECRET}@[::1/db",
        "mongodb://",
    ],
)
async def test_a_wrong_address_is_explained_and_not_shown(address: str):
    assert "is no address" in (await refused(address)).message


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (dns.resolver.NXDOMAIN(), "DNS has no servers for the host"),
        (dns.resolver.NoNameservers(), "no name server tells"),
        (dns.resolver.LifetimeTimeout(timeout=1, errors=[]), "in time"),
    ],
)
async def test_a_name_without_servers_in_dns_is_told(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch
):
    def resolve(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(dns.resolver, "resolve", resolve)
    told = await refused(f"mongodb+srv://ada:{SECRET}@cluster0.example.org/platform")
    assert words in told.message
    assert "_mongodb._tcp" in told.message
    assert "cluster0.example.org" in told.message


async def test_an_ip_address_has_no_servers_in_dns():
    assert "mongodb://" in (await refused(f"mongodb+srv://ada:{SECRET}@127.0.0.1/db")).message


async def test_what_a_newer_platform_wrote_is_left_alone(mongo_uri: str):
    async with MongoDatabase.open(mongo_uri, {}) as opened:
        newer = {"$set": {"version": mongo.SCHEMA_VERSION + 1}}
        await opened.collection("meta").change({"_id": "schema"}, newer)
    assert "version" in (await refused(mongo_uri)).message


async def test_the_doctor_looks_and_writes_nothing(mongo_uri: str):
    before = await mongo_survey.survey(mongo_uri)
    assert "The unique index accounts.email_key" in before.missing_indexes
    async with open_mongo_store(SecretStr(mongo_uri)):
        pass
    seen = await mongo_survey.survey(mongo_uri)
    assert (seen.kind, seen.missing_indexes) == ("MongoDB", ())
    assert seen.skew is not None
    assert abs(seen.skew) < timedelta(minutes=1)
    with pytest.raises(DatabaseUnavailable):
        await mongo_survey.survey(f"mongodb://127.0.0.1:{free_port()}/?timeoutMS=300")


async def test_two_documents_of_one_name_stop_the_start(mongo_uri: str):
    async with MongoDatabase.unprepared(mongo_uri) as opened:
        for number in range(2):
            await opened.collection("accounts").insert({"_id": number, "username_key": "ada"})
    await refused(mongo_uri)


async def test_options_in_the_address_win(mongo_uri: str):
    sign = "&" if "?" in mongo_uri else "?"
    async with open_mongo_store(SecretStr(f"{mongo_uri}{sign}maxpoolsize=1&timeoutms=4000")) as one:
        await asyncio.gather(*(one.add_account(person(n)) for n in range(20)))
        assert len(await one.accounts()) == 20


async def test_a_server_that_comes_back_is_used_again(server: FerretDB, uri: str):
    async with open_mongo_store(SecretStr(f"{uri}&timeoutMS=500")) as store:
        await store.add_account(person(1))
        server.kill()
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):
                await store.account("u1")
        with pytest.raises(DatabaseUnavailable):
            await store.check()
        server.start()
        assert await store.account("u1") == person(1)
        assert await store.add_account(person(2)) == person(2)


async def test_a_server_that_hangs_keeps_nobody_waiting(server: FerretDB, uri: str):
    async with open_mongo_store(SecretStr(uri)) as store:
        await store.add_account(person(1))
        server.pause()
        # More than the driver has threads: those who wait for one have a limit too.
        asked = [asyncio.create_task(store.account("u1")) for _ in range(200)]
        _, late = await asyncio.wait(asked, timeout=mongo.OPERATION_SECONDS + 5)
        assert not late
        assert {type(task.exception()) for task in asked} == {DatabaseUnavailable}
        server.resume()
        assert await asyncio.wait_for(_found(store), 30) == person(1)


async def _found(store: Store) -> Account | None:
    """The account, once those who gave up have freed the driver's threads."""
    while True:
        try:
            return await store.account("u1")
        except DatabaseUnavailable:
            await asyncio.sleep(0.1)


async def test_who_signs_up_while_the_server_is_killed_is_there_or_was_told_otherwise(
    server: FerretDB, uri: str, settings_for
):
    """Must show: no acknowledged write is lost, nothing is a 500, nobody has to restart it."""
    settings = settings_for(**CLUSTER | {"mongo_uri": uri})
    async with application(settings) as platform:
        people = People(platform)
        load = [asyncio.create_task(people.sign_up(n)) for n in range(8)]
        for _ in range(3):
            await people.more(20)
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(server.start)
        await people.more(20)
        people.stopped = True
        await asyncio.gather(*load)
        assert set(people.statuses.values()) == {201, 503}
        kept = {account.username for account in await platform.records.accounts.everyone()}
        acknowledged = {name for name, status in people.statuses.items() if status == 201}
        assert acknowledged <= kept
        for name in sorted(acknowledged)[::10]:
            assert (await platform.log_in(name)).status_code == 200


class People:
    """They sign up without a pause, each name once."""

    def __init__(self, platform: Application) -> None:
        self.statuses: dict[str, int] = {}
        self.stopped = False
        self._platform = platform
        self._successes = asyncio.Semaphore(0)

    async def more(self, count: int) -> None:
        """Wait until so many more have succeeded."""
        async with asyncio.timeout(60):
            for _ in range(count):
                await self._successes.acquire()

    async def sign_up(self, worker: int) -> None:
        for number in itertools.count():
            name = f"worker{worker}-{number}"
            asking = self._platform.sign_up(name, address=f"192.0.2.{number % 250}")
            answer = await asyncio.wait_for(asking, 4 * mongo.OPERATION_SECONDS)
            self.statuses[name] = answer.status_code
            if answer.status_code == 201:
                self._successes.release()
            else:
                assert answer.json()["error"]["code"] == "database_unavailable"
            if self.stopped:
                return
