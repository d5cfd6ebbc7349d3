"""Page 1 of an app's history in a repository of 1,000 and of 100,000 commits; `git log` beside it.

The repositories are made with `git fast-import`: 1,000 apps, changed in turn; the app that is
asked for has 100 commits of its own in both. Cold is the first look of a process, warm the next
ones. Limits: a page costs at most 20 ms cold and warm, and at most 1.5 times as much with 100 times
the commits. Exits with 1 when a limit is broken.

    python -m bench.history
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
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

SIZES = (1_000, 100_000)
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


async def pages(path: Path, folder: Path) -> tuple[float, float, float]:
    """Seconds to index everything; milliseconds of a cold and of a warm page, medians."""
    repo = GitopsRepo(path)
    async with SqliteDatabase.open(folder / "index.sqlite3", commit_index.SCHEMA) as database:
        index = CommitIndex(database)
        since = time.perf_counter()
        await History(repo, index).rebuild()
        indexing = time.perf_counter() - since
        cold: list[float] = []
        warm: list[float] = []
        for _ in range(LOOKS):
            history = History(repo, index)
            for times in (cold, warm):
                since = time.perf_counter()
                page = await history.page(ASKED, None, PAGE)
                times.append((time.perf_counter() - since) * MS)
                assert len(page.entries) == PAGE  # noqa: S101  (or nothing was measured)
    await repo.close()
    return indexing, statistics.median(cold), statistics.median(warm)


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
    measured = []
    for commits in SIZES:
        with tempfile.TemporaryDirectory(prefix="bench-history-") as name:
            path = Path(name) / "repo.git"
            make(path, commits)
            indexing, cold, warm = asyncio.run(pages(path, Path(name)))
            peer = git_log(path)
        measured.append(cold)
        label = f"{commits:,} commits"
        row(f"{label}: indexed anew in", indexing)
        kept += [
            row(f"{label}: page 1, cold", cold, "ms", MAX_MS),
            row(f"{label}: page 1, warm", warm, "ms", MAX_MS),
        ]
        row(f"{label}: git log -{PAGE} -- folder", peer, "ms")
        row(f"{label}: ratio of git log to the cold page", peer / cold, "times")
    growth = measured[-1] / measured[0]
    kept.append(row("growth of the cold page", growth, "times", MAX_GROWTH))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
