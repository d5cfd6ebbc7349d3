import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.clients.sqlite import SCHEMA_VERSION, SqliteDatabase
from api.errors import DatabaseUnavailable

SCHEMA = ("CREATE TABLE IF NOT EXISTS numbers (n INTEGER PRIMARY KEY) STRICT",)
ROOT = Path(__file__).parents[2]
COUNTER = """
import asyncio, sys
from pathlib import Path
from api.clients.sqlite import SqliteDatabase

async def count(path):
    async with SqliteDatabase.open(path, [sys.argv[2]]) as database:
        for number in range(10**9):
            await database.execute("INSERT INTO numbers VALUES (?)", [(number,)])
            print(number, flush=True)

asyncio.run(count(Path(sys.argv[1])))
"""


def modes(folder: Path) -> list[int]:
    return [stat.S_IMODE(entry.stat().st_mode) for entry in folder.iterdir()]


async def left_over(path: Path) -> tuple[list[int], list[str]]:
    async with SqliteDatabase.open(path, SCHEMA) as database:
        integrity = await database.read("PRAGMA integrity_check")
        return await numbers(database), [row[0] for row in integrity]


async def numbers(database: SqliteDatabase) -> list[int]:
    return [row["n"] for row in await database.read("SELECT n FROM numbers ORDER BY n")]


def test_every_acknowledged_row_survives_kill_nine(tmp_path: Path):
    path = tmp_path / "data.sqlite3"
    process = subprocess.Popen(
        [sys.executable, "-c", COUNTER, path, SCHEMA[0]], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    with process.stdout:
        seen = [int(process.stdout.readline()) for _ in range(50)]
        os.kill(process.pid, signal.SIGKILL)
        seen += [int(line) for line in process.stdout if line.endswith(b"\n")]
    process.wait()
    kept, integrity = asyncio.run(left_over(path))
    assert kept[: len(seen)] == seen
    assert len(kept) <= len(seen) + 1  # at most the one that was not told yet
    assert integrity == ["ok"]


async def test_a_transaction_is_all_or_nothing_and_unseen_until_it_is_done(tmp_path: Path):
    async with SqliteDatabase.open(tmp_path / "data.sqlite3", SCHEMA) as database:

        def fail(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO numbers VALUES (1)")
            raise KeyError

        with pytest.raises(KeyError):
            await database.write(fail)
        with pytest.raises(sqlite3.IntegrityError):
            await database.execute("INSERT INTO numbers VALUES (?)", [[1], [1]])
        assert await numbers(database) == []


async def test_cancelled_requests_leave_no_transaction_open(tmp_path: Path):
    async with SqliteDatabase.open(tmp_path / "data.sqlite3", SCHEMA) as database:

        async def insert(number: int) -> None:
            await database.execute("INSERT INTO numbers VALUES (?)", [(number,)])

        for number in range(50):
            task = asyncio.create_task(insert(number))
            for _ in range(number % 5):
                await asyncio.sleep(0)
            task.cancel()
        await insert(1000)
        assert 1000 in await numbers(database)


async def test_two_processes_write_the_same_file(tmp_path: Path):
    path = tmp_path / "data.sqlite3"
    async with (
        SqliteDatabase.open(path, SCHEMA) as one,
        SqliteDatabase.open(path, SCHEMA) as other,
    ):
        await asyncio.gather(
            *(
                database.execute("INSERT INTO numbers VALUES (?)", [(number,)])
                for number in range(100)
                for database in ((one, other)[number % 2],)
            )
        )
        assert await numbers(one) == await numbers(other) == list(range(100))


async def test_reads_cannot_write(tmp_path: Path):
    async with SqliteDatabase.open(tmp_path / "data.sqlite3", SCHEMA) as database:
        with pytest.raises(DatabaseUnavailable):
            await database.read("INSERT INTO numbers VALUES (1)")
        assert await numbers(database) == []


async def test_a_file_of_a_newer_platform_is_left_alone(tmp_path: Path):
    path = tmp_path / "data.sqlite3"
    async with SqliteDatabase.open(path, SCHEMA):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(DatabaseUnavailable, match="version"):
        async with SqliteDatabase.open(path, SCHEMA):
            pass


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"\0" * 5000])
async def test_a_damaged_file_is_named(tmp_path: Path, content: bytes):
    path = tmp_path / "data.sqlite3"
    path.write_bytes(content)
    with pytest.raises(DatabaseUnavailable, match=r"data\.sqlite3"):
        async with SqliteDatabase.open(path, SCHEMA):
            pass


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatabaseUnavailable, match="file"):
        async with SqliteDatabase.open(tmp_path / "file" / "data.sqlite3", SCHEMA):
            pass


async def test_the_files_are_private(tmp_path: Path):
    path = tmp_path / "data.sqlite3"
    async with SqliteDatabase.open(path, SCHEMA) as database:
        await database.execute("INSERT INTO numbers VALUES (1)", [()])
        assert modes(tmp_path) == [0o600] * 3  # the file, its log and the log's index


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
                lambda connection: connection.execute("INSERT INTO numbers VALUES (1)")
            )
        assert await database.read("SELECT * FROM numbers") == []


@pytest.mark.usefixtures("threads_in_quick_turns")
async def test_one_statement_for_many_rows_from_many_at_once_stores_every_row(tmp_path: Path):
    async with SqliteDatabase.open(tmp_path / "db.sqlite3", SCHEMA) as database:
        rows = [[(n,) for n in range(part, 4000, 40)] for part in range(40)]
        await asyncio.gather(
            *(database.execute("INSERT INTO numbers VALUES (?)", part) for part in rows)
        )
        found = await database.read("SELECT n FROM numbers ORDER BY n")
        assert [row["n"] for row in found] == list(range(4000))
        with pytest.raises(sqlite3.IntegrityError):
            await database.execute("INSERT INTO numbers VALUES (?)", [(4000,), (1,)])
        assert not await database.read("SELECT n FROM numbers WHERE n = 4000")
