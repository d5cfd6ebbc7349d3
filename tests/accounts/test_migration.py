"""`migrate-store`: a data folder's accounts move into MongoDB, whole and once."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click.testing
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from api import commands
from api.clients.sqlite import SqliteDatabase
from api.clients.sqlite_store import SCHEMA, SqliteStore
from api.clients.store import Account, IdempotentRequest, Invitation, Store, Suspension
from api.domain.names import AppRef
from api.errors import Conflict
from api.migration import Migration
from api.opening import DATABASE_FILE, open_migration, open_mongo_store
from api.settings import Settings
from tests.product import free_port

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PEOPLE = [
    Account(f"u{n}", f"p{n}", f"p{n}@example.org", f"hash{n}", NOW, n == 0, n + 1)
    for n in range(40)
]
SUSPENDED = replace(PEOPLE[3], suspension=Suspension("root", "Because.", NOW))
INVITATIONS = [
    Invitation("used", "root", NOW - DAY, NOW, used_by="u7"),
    Invitation("open", "root", NOW - 2 * DAY, NOW + DAY),
]
ANSWERED = IdempotentRequest("digest", '{"commit": "c"}', NOW, 202)
CLAIMED = IdempotentRequest("digest", '{"app_id": "a"}', NOW)
USED = AppRef("u1", "shop")
Run = Callable[..., click.testing.Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with a bit of everything."""

    async def fill() -> None:
        async with SqliteDatabase.open(tmp_path / DATABASE_FILE, SCHEMA) as database:
            store = SqliteStore(database)
            for invitation in INVITATIONS:
                await store.add_invitation(invitation)
            for account in PEOPLE:
                await store.add_account(SUSPENDED if account.user_id == "u3" else account)
            for key, request in (("one", ANSWERED), ("two", CLAIMED)):
                await store.claim_key("u1", key, replace(request, status=None), expired=NOW - DAY)
            await store.answer_key("u1", "one", status=202, body=ANSWERED.body)
            await store.touch(USED, NOW)

    asyncio.run(fill())
    return tmp_path


@pytest.fixture
def run(folder: Path, mongo_uri: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("DATA_DIR", str(folder))
    monkeypatch.setenv("MONGO_URI", mongo_uri)
    return lambda *arguments: CliRunner().invoke(commands.app, ["migrate-store", *arguments])


def with_target(uri: str, look) -> None:
    async def opened() -> None:
        async with open_mongo_store(SecretStr(uri)) as target:
            await look(target)

    asyncio.run(opened())


def test_everything_arrives_and_once_more_changes_nothing(run: Run, mongo_uri: str):
    first = run("--json")
    assert json.loads(first.stdout) == {
        "accounts": 40,
        "invitations": 2,
        "idempotency_keys": 2,
        "apps_with_activity": 1,
    }
    assert "accounts: 40 of 40" in first.stderr

    async def look(target: Store) -> None:
        everybody = {account.user_id: account for account in PEOPLE} | {"u3": SUSPENDED}
        assert {account.user_id: account for account in await target.accounts()} == everybody
        assert await target.invitations() == INVITATIONS
        new = IdempotentRequest("other", "{}", NOW)
        assert await target.claim_key("u1", "one", new, expired=NOW - DAY) == ANSWERED
        assert await target.claim_key("u1", "two", new, expired=NOW - DAY) == CLAIMED
        assert await target.last_activity([USED]) == {USED: NOW}
        # What happens there afterwards stays.
        await target.set_password("u5", "changed")
        await target.touch(USED, NOW + DAY)

    with_target(mongo_uri, look)
    assert json.loads(run("--json").stdout)["accounts"] == 0

    async def look_again(target: Store) -> None:
        changed = await target.account("u5")
        assert changed is not None
        assert changed.password_hash == "changed"
        assert await target.last_activity([USED]) == {USED: NOW + DAY}
        assert len(await target.accounts()) == 40

    with_target(mongo_uri, look_again)


def test_a_database_of_other_people_is_left_alone(run: Run, mongo_uri: str):
    stranger = Account("u99", "eve", "eve@example.org", "hash", NOW)
    with_target(mongo_uri, lambda target: target.add_account(stranger))
    done = run()
    assert done.exit_code == 1
    assert "eve" in done.stderr
    assert "Nothing was moved" in done.stderr

    async def look(target: Store) -> None:
        assert await target.accounts() == [stranger]
        assert await target.invitations() == []

    with_target(mongo_uri, look)


async def test_an_interrupted_move_goes_on(folder: Path, mongo_uri: str):
    class Interrupted(Exception):
        pass

    def interrupt(what: str, done: int, total: int) -> None:
        if what == "accounts" and done < total:
            raise Interrupted

    settings = Settings(data_dir=folder, mongo_uri=mongo_uri)
    async with open_migration(settings) as (source, target):
        with pytest.raises(Interrupted):
            await Migration(source, target, interrupt).run()
        some = len(await target.accounts())
        assert 0 < some < 40
        moved = await Migration(source, target, lambda *_: None).run()
        assert (moved.accounts, moved.invitations) == (40 - some, 0)
        assert len(await target.accounts()) == 40
        await target.add_account(Account("u99", "eve", "eve@example.org", "hash", NOW))
        with pytest.raises(Conflict):
            await Migration(source, target, lambda *_: None).run()


def test_without_a_source_a_target_or_a_server_it_says_so(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "none"))
    missing = run()
    assert missing.exit_code == 1
    assert DATABASE_FILE in missing.stderr
    assert not (tmp_path / "none").exists()
    monkeypatch.setenv("DATA_DIR", str(folder))
    monkeypatch.setenv("MONGO_URI", f"mongodb://ada:tiny-secret@127.0.0.1:{free_port()}/x")
    away = run()
    assert away.exit_code == 1
    assert "nothing listens" in away.stderr
    assert "tiny-secret" not in away.output
    monkeypatch.delenv("MONGO_URI")
    misused = run()
    assert misused.exit_code == 2
    assert "MONGO_URI" in misused.stderr
