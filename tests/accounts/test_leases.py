"""What one process does at a time: the lease around the work."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from api.clients.sqlite import SqliteDatabase
from api.clients.sqlite_store import SCHEMA, SqliteStore
from api.clients.store import Lease, Store
from api.leases import HeldElsewhere, LeaseLost, Leases
from api.opening import open_mongo_store
from tests import mongodb

PATIENCE = 20.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with SqliteDatabase.open(tmp_path / "store.sqlite3", SCHEMA) as database:
        yield SqliteStore(database)


async def test_the_second_is_told_who_is_at_work_and_comes_in_afterwards(store: Store):
    mine, others = Leases(store), Leases(store)
    async with mine.held("cleanup"):
        with pytest.raises(HeldElsewhere, match="Cleanup is under way already"):
            async with others.held("cleanup"):
                pytest.fail("two at once")
        async with others.held("rerender"):
            pass
    async with others.held("cleanup"):
        pass


async def test_work_that_fails_or_times_out_by_itself_says_so_and_frees_the_lease(store: Store):
    leases = Leases(store)
    for error in (RuntimeError("by itself"), TimeoutError("by itself")):
        with pytest.raises(type(error), match="by itself"):
            async with leases.held("cleanup"):
                raise error
    async with leases.held("cleanup"):
        pass


async def test_work_longer_than_a_lease_keeps_it(store: Store):
    async with Leases(store, seconds=2).held("cleanup"):
        for _ in range(6):
            await asyncio.sleep(0.5)
            with pytest.raises(HeldElsewhere):
                async with Leases(store).held("cleanup"):
                    pytest.fail("two at once")


async def test_a_holder_that_died_is_followed_when_its_lease_has_run_out(store: Store):
    now = datetime.now(UTC)
    await store.take_lease(Lease("cleanup", "dead", now + timedelta(minutes=1)), now=now)
    with pytest.raises(HeldElsewhere, match="by dead"):
        async with Leases(store).held("cleanup"):
            pytest.fail("too early")
    later = now + timedelta(minutes=1)
    async with Leases(store, now=lambda: later).held("cleanup"):
        pass


async def test_work_is_stopped_when_another_has_the_lease(store: Store):
    """As it is with a process that was frozen for longer than its lease."""
    future = datetime.now(UTC) + timedelta(days=1)
    other = Lease("cleanup", "other", future + timedelta(days=1))

    async def work() -> None:
        async with asyncio.timeout(PATIENCE), Leases(store, seconds=2).held("cleanup"):
            assert await store.take_lease(other, now=future) == other
            await asyncio.Event().wait()

    with pytest.raises(LeaseLost, match="Cleanup was stopped"):
        await work()
    with pytest.raises(HeldElsewhere, match="by other"):  # what is not ours is not ended
        async with Leases(store).held("cleanup"):
            pytest.fail("two at once")


async def test_work_is_stopped_when_the_database_is_away_and_begins_anew_with_it(tmp_path: Path):
    with mongodb.ferretdb(tmp_path) as server:
        async with open_mongo_store(SecretStr(server.uri)) as store:
            leases = Leases(store, seconds=2)

            async def work() -> None:
                async with asyncio.timeout(PATIENCE), leases.held("cleanup"):
                    server.kill()
                    await asyncio.Event().wait()

            with pytest.raises(LeaseLost):
                await work()
            server.start()
            async with asyncio.timeout(PATIENCE):
                while True:
                    try:
                        async with leases.held("cleanup"):
                            break
                    except HeldElsewhere:  # until the lost lease has run out
                        await asyncio.sleep(0.1)
