"""The SQLite file as the doctor looks at it: opened read-only, and never made."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from api.domain.installation import DatabaseSeen
from api.errors import DatabaseUnavailable

#: Index → table.
_UNIQUE: Final = {"accounts_username": "accounts", "accounts_email": "accounts"}
_SECONDS: Final = 5.0


async def survey(path: Path) -> DatabaseSeen:
    """Its unique indexes; raises DatabaseUnavailable."""
    return await asyncio.to_thread(_survey, path)


def _survey(path: Path) -> DatabaseSeen:
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=_SECONDS)) as connection:
            missing = [
                f"The unique index {name}"
                for name, table in _UNIQUE.items()
                if name not in _unique_indexes(connection, table)
            ]
            (fault,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except (sqlite3.Error, OSError) as error:
        raise DatabaseUnavailable(f"The database {path} cannot be read: {error}") from error
    if fault != "ok":
        raise DatabaseUnavailable(f"The database {path} is damaged: {fault}")
    return DatabaseSeen("SQLite", tuple(missing))


def _unique_indexes(connection: sqlite3.Connection, table: str) -> set[str]:
    """By `PRAGMA index_list`: name in the second column, whether it is unique in the third."""
    return {row[1] for row in connection.execute(f"PRAGMA index_list({table})") if row[2]}
