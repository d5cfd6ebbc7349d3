"""Which commits of `main` touch which app: an index that can be rebuilt from git at any time.

It answers who had an app id first, what an app's newest commit is, its history by the page, and
the audit log, without walking the repository. It says what the clone of the repository beside it
says: several replicas keep one each.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from api.clients.git_history import Landed
from api.clients.sqlite import SqliteDatabase
from api.clients.store import from_text, to_text
from api.domain.authorship import Authorship, Kind
from api.domain.names import AppRef

_COMMITS: Final = """(
    ordinal INTEGER PRIMARY KEY, commit_id TEXT NOT NULL UNIQUE, on_line INTEGER NOT NULL,
    base TEXT, at TEXT NOT NULL, author TEXT NOT NULL, kind TEXT NOT NULL, action TEXT NOT NULL,
    subject TEXT NOT NULL
) STRICT"""
_APP_COMMITS: Final = """(
    app_id TEXT NOT NULL, ordinal INTEGER NOT NULL, user_id TEXT NOT NULL,
    PRIMARY KEY (app_id, ordinal, user_id)
) STRICT, WITHOUT ROWID"""
# A party is a tenant whose folder is touched (by id), or the author (by name).
_PARTIES: Final = """(
    party TEXT NOT NULL, ordinal INTEGER NOT NULL, PRIMARY KEY (party, ordinal)
) STRICT, WITHOUT ROWID"""
_TABLES: Final = {"commits": _COMMITS, "app_commits": _APP_COMMITS, "commit_parties": _PARTIES}

SCHEMA: Final = (
    # `ordinal` is a commit's place in the order in which changes came onto main.
    *(f"CREATE TABLE IF NOT EXISTS {name} {columns}" for name, columns in _TABLES.items()),
    "CREATE INDEX IF NOT EXISTS commits_action ON commits (action, ordinal)",
    "CREATE INDEX IF NOT EXISTS commits_at ON commits (at)",
    "CREATE INDEX IF NOT EXISTS app_commits_ordinal ON app_commits (ordinal)",
    "CREATE INDEX IF NOT EXISTS commit_parties_ordinal ON commit_parties (ordinal)",
    """CREATE TABLE IF NOT EXISTS rewinds (
        seen_at TEXT NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL
    ) STRICT""",
)
_COLUMNS: Final = (
    "c.ordinal, c.commit_id, c.base, c.at, c.author, c.kind, c.action, c.subject,"
    " (SELECT m.subject FROM commits m WHERE m.ordinal >= c.ordinal AND m.on_line"
    " ORDER BY m.ordinal LIMIT 1)"  # what a merge brought stands right before it
)


@dataclass(frozen=True)
class IndexedCommit:
    """One commit that came onto `main`."""

    commit: str
    base: str | None  # the commit that its changes are told against
    at: datetime
    by: Authorship
    landed: str  # the subject of the tip with which it came: its own, or the merge's


@dataclass(frozen=True)
class AppCommit(IndexedCommit):
    """One commit that touches an app's folder."""

    ref: AppRef

    @property
    def action(self) -> str:
        """The platform's trailer; `edit` or `merge` for a commit by other hands."""
        return self.by.action


@dataclass(frozen=True)
class AuditedCommit(IndexedCommit):
    """One commit with the apps that it touches: the first of them, and how many there are."""

    apps: tuple[AppRef, ...]
    app_count: int


@dataclass(frozen=True)
class AuditFilter:
    """What an administrator looks for; None: everything. `until` is not included."""

    parties: tuple[str, ...] | None = None
    app_id: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class RewindSeen:
    """`main` was forced from `old` to `new`, which does not contain it."""

    seen_at: datetime
    old: str
    new: str


class CommitIndex:
    """Kept beside the accounts; losing it loses nothing."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def head(self) -> str | None:
        """The commit of `main` up to which the index is complete."""
        rows = await self._database.read(
            "SELECT commit_id FROM commits ORDER BY ordinal DESC LIMIT 1"
        )
        return str(rows[0][0]) if rows else None

    async def places(self, commits: Collection[str]) -> Mapping[str, int]:
        """Which of these are known as tips that `main` had, and their place in the order."""
        marks = ",".join("?" * len(commits))
        rows = await self._database.read(
            f"SELECT commit_id, ordinal FROM commits WHERE on_line AND commit_id IN ({marks})",  # noqa: S608
            tuple(commits),
        )
        return {str(row[0]): int(row[1]) for row in rows}

    async def replace(self, known: str | None, keep: int, commits: Sequence[Landed]) -> bool:
        """Put commits behind the first `keep` of all, instead of what stands there.

        False, and nothing happens, when the index does not end at `known` any more: another
        process was faster.
        """

        def write(connection: sqlite3.Connection) -> bool:
            row = connection.execute(
                "SELECT commit_id FROM commits ORDER BY ordinal DESC LIMIT 1"
            ).fetchone()
            if (row[0] if row else None) != known:
                return False
            for table in _TABLES:
                connection.execute(f"DELETE FROM {table} WHERE ordinal > ?", (keep,))  # noqa: S608
            _insert(connection, "main", keep, commits)
            return True

        return await self._database.write(write)

    async def stage(self, count: int, commits: Sequence[Landed]) -> None:
        """Collect commits for a new index, behind the `count` that were staged before."""

        def write(connection: sqlite3.Connection) -> None:
            for table, columns in _TABLES.items() if count == 0 else ():
                connection.execute(f"DROP TABLE IF EXISTS temp.{table}")
                connection.execute(f"CREATE TEMP TABLE {table} {columns}")
            _insert(connection, "temp", count, commits)

        await self._database.write(write)

    async def swap(self) -> None:
        """Put the staged index in place of the old one, at one moment for all readers."""

        def write(connection: sqlite3.Connection) -> None:
            for table in _TABLES:
                connection.execute(f"DELETE FROM main.{table}")  # noqa: S608  (a constant)
                connection.execute(f"INSERT INTO main.{table} SELECT * FROM temp.{table}")  # noqa: S608
                connection.execute(f"DROP TABLE temp.{table}")

        await self._database.write(write)

    async def owner(self, app_id: str) -> str | None:
        """The tenant in whose folder the app id stood first."""
        rows = await self._database.read(
            "SELECT user_id FROM app_commits WHERE app_id = ? ORDER BY ordinal LIMIT 1", (app_id,)
        )
        return str(rows[0][0]) if rows else None

    async def owners(self, app_ids: Collection[str]) -> Mapping[str, str]:
        """The same for several ids at once; unknown ones are left out."""
        marks = ",".join("?" * len(app_ids))
        rows = await self._database.read(
            "SELECT app_id, user_id, MIN(ordinal) FROM app_commits"  # noqa: S608
            f" WHERE app_id IN ({marks}) GROUP BY app_id",
            tuple(app_ids),
        )
        return {str(row[0]): str(row[1]) for row in rows}

    async def ends(self, ref: AppRef) -> tuple[AppCommit, AppCommit] | None:
        """The commit that created the app and the newest that touches it; None for no app."""
        one = "SELECT {}(ordinal) AS ordinal FROM app_commits WHERE app_id = ? AND user_id = ?"
        both = f"{one.format('min')} UNION ALL {one.format('max')}"
        rows = await self._database.read(
            f"SELECT {_COLUMNS} FROM ({both}) JOIN commits c USING (ordinal) ORDER BY c.ordinal",  # noqa: S608  (constants)
            (ref.app_id, ref.user_id) * 2,
        )
        found = [AppCommit(**_fields(row), ref=ref) for row in rows]
        return (found[0], found[-1]) if found else None

    async def newest(
        self, ref: AppRef, limit: int = 1, *, before: str | None = None, until: str | None = None
    ) -> list[AppCommit]:
        """The newest commits that touch the app, whoever made them, newest first.

        Only those older than the commit `before`, or not newer than `until`, where one is given.
        """
        edge = before or until
        if edge is None:
            return await self._page(ref, "ordinal > 0", (), "DESC", limit)
        place = "ordinal <= (SELECT ordinal FROM commits WHERE commit_id = ?)"
        if before:
            place = place.replace("<=", "<")
        return await self._page(ref, place, (edge,), "DESC", limit)

    async def commit(self, ref: AppRef, commit: str) -> AppCommit | None:
        """One commit that touches the app; None for any other, known or not."""
        place = "ordinal = (SELECT ordinal FROM commits WHERE commit_id = ?)"
        return next(iter(await self._page(ref, place, (commit,), "DESC", 1)), None)

    async def _page(
        self, ref: AppRef, place: str, values: tuple[str, ...], order: str, limit: int
    ) -> list[AppCommit]:
        rows = await self._database.read(
            f"SELECT {_COLUMNS} FROM"  # noqa: S608  (constants)
            f" (SELECT ordinal FROM app_commits WHERE app_id = ? AND user_id = ? AND {place}"
            f" ORDER BY ordinal {order} LIMIT ?) JOIN commits c USING (ordinal)"
            f" ORDER BY c.ordinal {order}",
            (ref.app_id, ref.user_id, *values, limit),
        )
        return [AppCommit(**_fields(row), ref=ref) for row in rows]

    async def touched_since(self, commit: str) -> set[AppRef] | None:
        """The apps that commits after this one touch; None when it is not known.

        What the platform did to idle apps by itself is no touch.
        """
        if not await self.knows(commit):
            return None
        rows = await self._database.read(
            "SELECT DISTINCT user_id, app_id FROM commits c JOIN app_commits USING (ordinal)"
            " WHERE c.ordinal > (SELECT ordinal FROM commits WHERE commit_id = ?)"
            " AND c.kind <> 'cleanup'",
            (commit,),
        )
        return {AppRef(str(row[0]), str(row[1])) for row in rows}

    async def last_changes(self, user_id: str, since: datetime) -> list[AppCommit]:
        """The newest commit of each app of a tenant, where it is not older than `since`."""
        # By the tenant's own commits: a mass change touches many others' apps, and is rare.
        apps = (
            "SELECT a.app_id, max(a.ordinal) AS ordinal FROM commit_parties p"
            " JOIN app_commits a ON a.ordinal = p.ordinal AND a.user_id = p.party"
            " WHERE p.party = ? GROUP BY a.app_id"
        )
        rows = await self._database.read(
            f"SELECT {_COLUMNS}, app_id FROM ({apps}) JOIN commits c USING (ordinal)"  # noqa: S608  (constants)
            " WHERE c.at >= ? ORDER BY c.ordinal DESC, app_id",
            (user_id, to_text(since)),
        )
        return [AppCommit(**_fields(row[:-1]), ref=AppRef(user_id, row[-1])) for row in rows]

    async def audit(
        self, wanted: AuditFilter, limit: int, *, before: str | None, apps: int
    ) -> list[AuditedCommit]:
        """Commits of everybody, newest first, each with its first `apps` apps."""
        where, values = _conditions(wanted, before)
        rows = await self._database.read(
            f"SELECT {_COLUMNS} FROM commits c WHERE {where}"  # noqa: S608  (constants)
            " ORDER BY c.ordinal DESC LIMIT ?",
            (*values, limit),
        )
        return [await self._audited(row, apps) for row in rows]

    async def _audited(self, row: sqlite3.Row, limit: int) -> AuditedCommit:
        found = await self._database.read(
            "SELECT user_id, app_id, count(*) OVER () FROM app_commits WHERE ordinal = ?"
            " ORDER BY user_id, app_id LIMIT ?",
            (row[0], limit),
        )
        refs = tuple(AppRef(user_id, app_id) for user_id, app_id, _ in found)
        return AuditedCommit(**_fields(row), apps=refs, app_count=found[0][2] if found else 0)

    async def knows(self, commit: str) -> bool:
        """Whether the commit is in the index."""
        return bool(
            await self._database.read("SELECT 1 FROM commits WHERE commit_id = ?", (commit,))
        )

    async def note_rewind(self, old: str, new: str) -> None:
        """Keep that `main` was forced, for administrators to see."""
        now = to_text(datetime.now(UTC))
        await self._database.execute("INSERT INTO rewinds VALUES (?, ?, ?)", [(now, old, new)])

    async def rewinds(self, limit: int) -> list[RewindSeen]:
        """The rewinds that were seen, newest first."""
        rows = await self._database.read(
            "SELECT seen_at, old, new FROM rewinds ORDER BY seen_at DESC LIMIT ?", (limit,)
        )
        return [RewindSeen(from_text(row[0]), row[1], row[2]) for row in rows]


def _conditions(wanted: AuditFilter, before: str | None) -> tuple[str, list[str]]:
    found: list[tuple[str, Iterable[str]]] = [("c.ordinal > 0", ())]
    if before is not None:
        place = "c.ordinal < (SELECT ordinal FROM commits WHERE commit_id = ?)"
        found.append((place, (before,)))
    if wanted.parties is not None:
        marks = ",".join("?" * len(wanted.parties))
        parties = f"SELECT ordinal FROM commit_parties WHERE party IN ({marks})"  # noqa: S608
        found.append((f"c.ordinal IN ({parties})", wanted.parties))
    if wanted.app_id is not None:
        apps = "SELECT ordinal FROM app_commits WHERE app_id = ?"
        found.append((f"c.ordinal IN ({apps})", (wanted.app_id,)))
    if wanted.action is not None:
        found.append(("c.action = ?", (wanted.action,)))
    if wanted.since is not None:
        found.append(("c.at >= ?", (to_text(wanted.since),)))
    if wanted.until is not None:
        found.append(("c.at < ?", (to_text(wanted.until),)))
    where = " AND ".join(condition for condition, _ in found)
    return where, [value for _, values in found for value in values]


def _insert(
    connection: sqlite3.Connection, schema: str, count: int, commits: Sequence[Landed]
) -> None:
    numbered = list(enumerate(commits, count + 1))
    connection.executemany(
        f"INSERT INTO {schema}.commits VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  (a constant)
        [(n, c.id, c.on_line, c.base, to_text(c.at), *_said(c.by)) for n, c in numbered],
    )
    connection.executemany(
        f"INSERT INTO {schema}.app_commits VALUES (?, ?, ?)",  # noqa: S608  (a constant)
        [(ref.app_id, n, ref.user_id) for n, c in numbered for ref in c.touched.apps],
    )
    connection.executemany(
        f"INSERT INTO {schema}.commit_parties VALUES (?, ?)",  # noqa: S608  (a constant)
        [(party, n) for n, c in numbered for party in {*c.touched.users, c.by.name}],
    )


def _said(by: Authorship) -> tuple[str, str, str, str]:
    return by.name, by.kind, by.action, by.subject


def _fields(row: Sequence[Any]) -> dict[str, Any]:
    _, commit, base, at, name, kind, action, subject, landed = row
    by = Authorship(name, cast("Kind", kind), action, subject)
    return {"commit": commit, "base": base, "at": from_text(at), "by": by, "landed": landed}
