"""Page 1 of an app's history in repositories of 1,000 to 100,000 commits; `git log` beside it.

The repositories are made with `git fast-import`: 1,000 apps, changed in turn; the app that is
asked for has 100 commits of its own in each. Cold is the first look of a process, warm the next
ones. Limits: a page costs at most 20 ms cold and warm, and at most 1.5 times as much with ten times
the commits, from 10,000 on: with 1,000 the commits of a page stand so close together that git has
packed their folders as differences of each other. Exits with 1 when a limit is broken.

    python -m bench.history
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

from api.clients import commit_index
from api.clients.commit_index import CommitIndex
from api.clients.gitops_repo import GitopsRepo
from api.clients.sqlite import SqliteDatabase
from api.domain.commit_message import COMMITTER, intent_message
from api.domain.names import AppRef
from api.domain.repo_layout import app_folder
from api.history import History
from bench.deploy import row

SIZES = (1_000, 10_000, 100_000)
APPS = 1_000
OWN_COMMITS = 100
PAGE = 20
LOOKS = 40
MAX_MS = 20.0
MAX_GROWTH = 1.5
ASKED = AppRef("uasked", "asked")
MS = 1000.0


def stream(commits: int) -> Iterator[bytes]:
    """The input of `git fast-import`: `commits` deploys, those of the asked app spread evenly."""
    every = commits // OWN_COMMITS
    for number in range(commits):
        own = number % every == 0
        ref = ASKED if own else AppRef(f"u{number % APPS:04}", f"app{number % APPS}")
        text = "".join(f"value_{line} = {line + number * (line % 7 == 0)}\n" for line in range(60))
        message = intent_message("deploy", [ref], "Bench", f"r{number}")
        who = f"{COMMITTER.name} <{COMMITTER.email}> {1_700_000_000 + number} +0000"
        yield f"commit refs/heads/main\ncommitter {who}\n".encode()
        yield f"data {len(message.encode())}\n{message}\n".encode()
        folder = app_folder(ref, 2)
        for name, content in (("code/user_code.py", text), ("app.yaml", f"name: v{number}\n")):
            yield f"M 100644 inline {folder}/{name}\ndata {len(content)}\n{content}\n".encode()


def make(path: Path, commits: int) -> None:
    """A packed bare repository with that many commits on `main`."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path], check=True)
    with subprocess.Popen(
        ["git", "-C", path, "fast-import", "--quiet"], stdin=subprocess.PIPE
    ) as process:
        assert process.stdin is not None  # noqa: S101  (a pipe was asked for)
        process.stdin.writelines(stream(commits))
    subprocess.run(["git", "-C", path, "repack", "-qad"], check=True)


async def measure(folder: Path) -> dict[int, tuple[float, float, float]]:
    """By size: seconds to index, and milliseconds of a cold and a warm page, medians.

    The sizes take turns, so that whatever else the machine does meets all of them.
    """
    indexing: dict[int, float] = {}
    cold: dict[int, list[float]] = {size: [] for size in SIZES}
    warm: dict[int, list[float]] = {size: [] for size in SIZES}
    async with AsyncExitStack() as stack:
        opened: dict[int, tuple[GitopsRepo, CommitIndex]] = {}
        for size in SIZES:
            repo = GitopsRepo(folder / f"{size}.git")
            stack.push_async_callback(repo.close)
            database = await stack.enter_async_context(
                SqliteDatabase.open(folder / f"{size}.sqlite3", commit_index.SCHEMA)
            )
            opened[size] = repo, CommitIndex(database)
            since = time.perf_counter()
            await History(*opened[size]).rebuild()
            indexing[size] = time.perf_counter() - since
        for _ in range(LOOKS):
            for size in SIZES:
                history = History(*opened[size])
                for times in (cold[size], warm[size]):
                    since = time.perf_counter()
                    page = await history.page(ASKED, None, PAGE)
                    times.append((time.perf_counter() - since) * MS)
                    assert len(page.entries) == PAGE  # noqa: S101  (or nothing was measured)
    return {
        size: (indexing[size], statistics.median(cold[size]), statistics.median(warm[size]))
        for size in SIZES
    }


def git_log(path: Path) -> float:
    """Milliseconds of `git log` for the same page."""
    times = []
    for _ in range(3):
        since = time.perf_counter()
        subprocess.run(
            ["git", "-C", path, "log", f"-{PAGE}", "--numstat", "main", "--", app_folder(ASKED, 2)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        times.append((time.perf_counter() - since) * MS)
    return statistics.median(times)


def main() -> int:
    """Measure and print; 1 when a limit is broken."""
    kept = []
    with tempfile.TemporaryDirectory(prefix="bench-history-") as name:
        for size in SIZES:
            make(Path(name) / f"{size}.git", size)
        measured = asyncio.run(measure(Path(name)))
        peers = {size: git_log(Path(name) / f"{size}.git") for size in SIZES}
    for size, (indexing, cold, warm) in measured.items():
        label = f"{size:,} commits"
        row(f"{label}: indexed anew in", indexing)
        kept += [
            row(f"{label}: page 1, cold", cold, "ms", MAX_MS),
            row(f"{label}: page 1, warm", warm, "ms", MAX_MS),
        ]
        row(f"{label}: git log -{PAGE} -- folder", peers[size], "ms")
        row(f"{label}: ratio of git log to the cold page", peers[size] / cold, "times")
    growth = measured[SIZES[-1]][1] / measured[SIZES[-2]][1]
    kept.append(row("growth of the cold page", growth, "times", MAX_GROWTH))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
