"""One SQLite file, shared by the server, the operator's commands and every module that keeps rows.

A transaction is a function that runs in the writer's own thread: nothing comes between its
statements, and a request that is cancelled meanwhile cannot leave it half open. Reads have a
connection of their own, see only what was committed and never wait (write-ahead log). What was
committed survives `kill -9` and a power cut (`synchronous = FULL`).
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from api.errors import DatabaseUnavailable

#: Raise it together with a step in MIGRATIONS whenever an existing table changes.
SCHEMA_VERSION: Final = 2
#: version → statements that lead from it to the next one.
MIGRATIONS: Final[dict[int, Sequence[str]]] = {
    # The index of history is made again from git, with more in it.
    1: ("DROP TABLE IF EXISTS app_commits", "DROP TABLE IF EXISTS indexed_head"),
}
BUSY_SECONDS: Final = 10.0  # how long to wait for another process (a command beside the server)

_Result = TypeVar("_Result")


class SqliteDatabase:
    """An open database file: `async with SqliteDatabase.open(path, schema) as database`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        pragmas = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")
        self._writer = _Thread(path, "sqlite-writer", pragmas)
        self._reader = _Thread(path, "sqlite-reader", (*pragmas, "query_only = ON"))

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, schema: Sequence[str]) -> AsyncIterator[Self]:
        """Open or make the file; `schema` holds idempotent `CREATE … IF NOT EXISTS` statements.

        Raises DatabaseUnavailable, also for a file that a newer version of the platform wrote.
        """
        database = cls(path)
        try:
            await database.write(lambda connection: _migrate(connection, schema))
            yield database
        finally:
            await asyncio.to_thread(database.close)

    def close(self) -> None:
        """Finish what runs, then close the file."""
        self._reader.close()
        self._writer.close()

    async def write(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run `work` in a transaction: committed when it returns, rolled back when it raises.

        sqlite3.IntegrityError passes through, for the caller to name; other errors of the
        database become DatabaseUnavailable. A cursor must not be the result (TypeError): when
        the last hand lets go of it, it resets its statement, which this thread may then be
        using for somebody else.
        """

        def transaction(connection: sqlite3.Connection) -> _Result:
            try:
                connection.execute("BEGIN IMMEDIATE")
                result = work(connection)
                if isinstance(result, sqlite3.Cursor):
                    raise TypeError("a cursor cannot leave the thread of its connection")
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            return result

        return await self._run(self._writer, transaction)

    async def execute(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement that changes something once for each of `rows`; errors as `write`."""
        await self.write(lambda connection: connection.executemany(sql, rows).close())

    async def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Rows of committed data; raises DatabaseUnavailable."""
        return await self._run(
            self._reader, lambda connection: connection.execute(sql, parameters).fetchall()
        )

    async def check(self) -> None:
        """Raise DatabaseUnavailable unless the file can be read and locked for writing."""
        await self.read("SELECT 1")
        await self.write(lambda _: None)

    async def _run(
        self, thread: "_Thread", work: Callable[[sqlite3.Connection], _Result]
    ) -> _Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(
                thread.executor, lambda: work(thread.connection())
            )
        except sqlite3.IntegrityError:
            raise
        except (sqlite3.Error, OSError) as error:
            raise DatabaseUnavailable(
                f"The database {self._path} cannot be used: {error}",
                hint="Check the folder's permissions and free space, then try again.",
            ) from error


class _Thread:
    """A thread with its own connection, opened when it is first needed."""

    def __init__(self, path: Path, name: str, pragmas: Sequence[str]) -> None:
        self.executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._path = path
        self._pragmas = pragmas
        self._connection: sqlite3.Connection | None = None

    def connection(self) -> sqlite3.Connection:
        """Runs in the thread only."""
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Accounts are nobody else's business; SQLite gives its side files the same mode.
            self._path.touch(mode=0o600)
            connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
            connection.row_factory = sqlite3.Row
            for pragma in self._pragmas:
                connection.execute(f"PRAGMA {pragma}")
            self._connection = connection
        return self._connection

    def close(self) -> None:
        """Finish what runs, then close the connection."""
        if self._connection is not None:
            self.executor.submit(self._connection.close).result()
        self.executor.shutdown()


def _migrate(connection: sqlite3.Connection, schema: Sequence[str]) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise DatabaseUnavailable(
            f"The database is of version {version}; this program knows {SCHEMA_VERSION}.",
            hint="Run the newer version of the platform that wrote it, or restore a backup.",
        )
    for step in range(version or SCHEMA_VERSION, SCHEMA_VERSION):
        for statement in MIGRATIONS[step]:
            connection.execute(statement)
    for statement in (*schema, f"PRAGMA user_version = {SCHEMA_VERSION}"):
        connection.execute(statement)
