"""Which commits of `main` touch which app: an index that can be rebuilt from git at any time.

It answers who had an app id first, what an app's newest commit is, and its history by the page,
without walking the repository.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from api.clients.sqlite import SqliteDatabase, from_text, to_text
from api.domain.names import AppRef

SCHEMA: Final = (
    # `ordinal` is a commit's place on main's own line of commits.
    """CREATE TABLE IF NOT EXISTS app_commits (
        app_id TEXT NOT NULL, ordinal INTEGER NOT NULL, user_id TEXT NOT NULL,
        commit_id TEXT NOT NULL, action TEXT NOT NULL, author TEXT NOT NULL, at TEXT NOT NULL,
        PRIMARY KEY (app_id, ordinal, user_id)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS indexed_head (
        one INTEGER PRIMARY KEY CHECK (one = 1), commit_id TEXT NOT NULL, ordinal INTEGER NOT NULL
    ) STRICT""",
)


@dataclass(frozen=True)
class AppCommit:
    """One commit of `main` that touches an app's folder."""

    ref: AppRef
    commit: str
    action: str  # the platform's trailer; `edit` for a commit by other hands
    author: str
    at: datetime


class CommitIndex:
    """Kept beside the accounts; losing it loses nothing."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def head(self) -> str | None:
        """The commit of `main` up to which the index is complete."""
        rows = await self._database.read("SELECT commit_id FROM indexed_head")
        return str(rows[0][0]) if rows else None

    async def append(
        self, known: str | None, head: str, commits: int, rows: Sequence[tuple[int, AppCommit]]
    ) -> None:
        """Add what the `commits` commits after `known` up to `head` touched.

        Each row comes with its commit's place among them, from 0. Nothing happens when the index
        does not end at `known` any more: another process was faster.
        """

        def add(connection: sqlite3.Connection) -> None:
            found = connection.execute("SELECT commit_id, ordinal FROM indexed_head").fetchone()
            if (found["commit_id"] if found else None) != known:
                return
            start = int(found["ordinal"]) if found else 0
            connection.executemany(
                "INSERT INTO app_commits VALUES (?, ?, ?, ?, ?, ?, ?)",
                [_values(start + place, commit) for place, commit in rows],
            )
            connection.execute(
                "INSERT OR REPLACE INTO indexed_head VALUES (1, ?, ?)", (head, start + commits)
            )

        await self._database.write(add)

    async def clear(self) -> None:
        """Forget everything, before it is built again."""

        def delete(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM app_commits")
            connection.execute("DELETE FROM indexed_head")

        await self._database.write(delete)

    async def owner(self, app_id: str) -> str | None:
        """The tenant in whose folder the app id stood first."""
        rows = await self._database.read(
            "SELECT user_id FROM app_commits WHERE app_id = ? ORDER BY ordinal LIMIT 1", (app_id,)
        )
        return str(rows[0][0]) if rows else None

    async def first(self, ref: AppRef) -> AppCommit | None:
        """The commit that created the app."""
        return next(iter(await self._page(ref, "ASC", 1)), None)

    async def newest(self, ref: AppRef, limit: int = 1) -> list[AppCommit]:
        """The newest commits that touch the app, whoever made them, newest first."""
        return await self._page(ref, "DESC", limit)

    async def _page(self, ref: AppRef, order: str, limit: int) -> list[AppCommit]:
        rows = await self._database.read(
            "SELECT commit_id, action, author, at FROM app_commits"  # noqa: S608  (a constant)
            f" WHERE app_id = ? AND user_id = ? ORDER BY ordinal {order} LIMIT ?",
            (ref.app_id, ref.user_id, limit),
        )
        return [AppCommit(ref, row[0], row[1], row[2], from_text(row[3])) for row in rows]


def _values(ordinal: int, commit: AppCommit) -> tuple[str | int, ...]:
    ref = commit.ref
    at = to_text(commit.at)
    return (ref.app_id, ordinal, ref.user_id, commit.commit, commit.action, commit.author, at)
