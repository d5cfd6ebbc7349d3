import sqlite3
from collections.abc import Iterator

# A file beside the code: it lives as long as the app runs, and is gone when the app restarts.
FILE = "notes.db"


def create_tables() -> None:
    with sqlite3.connect(FILE) as db:
        db.execute("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")


def connection() -> Iterator[sqlite3.Connection]:
    """One connection per request; what it did is kept only if the request succeeded."""
    db = sqlite3.connect(FILE, check_same_thread=False)
    db.row_factory = sqlite3.Row
    try:
        with db:
            yield db
    finally:
        db.close()
