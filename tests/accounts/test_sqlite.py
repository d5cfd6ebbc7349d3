"""What only the SQLite file has to keep to."""

import asyncio
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.clients.sqlite import SqliteDatabase

SCHEMA = ("CREATE TABLE IF NOT EXISTS counted (n INTEGER PRIMARY KEY)",)


@pytest.fixture
def threads_in_quick_turns() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


async def test_a_cursor_cannot_leave_the_thread_of_its_connection(tmp_path: Path):
    async with SqliteDatabase.open(tmp_path / "db.sqlite3", SCHEMA) as database:
        with pytest.raises(TypeError, match="cursor"):
            await database.write(
                lambda connection: connection.execute("INSERT INTO counted VALUES (1)")
            )
        assert await database.read("SELECT * FROM counted") == []


@pytest.mark.usefixtures("threads_in_quick_turns")
async def test_one_statement_for_many_rows_from_many_at_once_stores_every_row(tmp_path: Path):
    async with SqliteDatabase.open(tmp_path / "db.sqlite3", SCHEMA) as database:
        rows = [[(n,) for n in range(part, 4000, 40)] for part in range(40)]
        await asyncio.gather(
            *(database.execute("INSERT INTO counted VALUES (?)", part) for part in rows)
        )
        found = await database.read("SELECT n FROM counted ORDER BY n")
        assert [row["n"] for row in found] == list(range(4000))
        with pytest.raises(sqlite3.IntegrityError):
            await database.execute("INSERT INTO counted VALUES (?)", [(4000,), (1,)])
        assert not await database.read("SELECT n FROM counted WHERE n = 4000")
