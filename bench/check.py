"""`python -m api check` in repositories of 200, 2,000 and 20,000 apps: a change, and everything.

Each run is the command itself, as a workflow starts it: a process from start to end. Every app has
a program of 3 kB that differs from all others, and came with a commit of its own. A change of one
app's code must not cost by the number of apps: at most 1.5 times as much with 20,000 as with 200,
and so without the start of Python, which is almost all of it. A change that brings a new app is
timed beside it: who had the id first, only all of history tells. Peer of the whole check: the
source check alone, of the same files by the same helpers. Exits with 1 when a limit is broken.

    python -m bench.check [--small]
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from api.branch_check import open_branch_check
from api.clients.source_checker import SourceChecker
from api.domain.commit_message import COMMITTER, intent_message
from api.domain.names import AppRef
from api.domain.repo_layout import (
    EMPTY_OVERLAY,
    AppFile,
    PlatformFile,
    TenantFile,
    app_folder,
    dump,
    tenant_folder,
)
from bench.deploy import row

SIZES = (200, 2_000, 20_000)
SMALL_SIZES = (50, 200, 1_000)
RUNS = 7
SMALL_RUNS = 3
MAX_GROWTH = 1.5
MAX_WHOLE_SECONDS = 300.0
PEER_APPS = 1_000
A_CHANGE = "a change of one"
STARTED = "a change, once started"
BRANCHES = {A_CHANGE: "change", "a new one": "new"}
_AT = 1_700_000_000
ROOT = Path(__file__).parents[1]
PROGRAM = (ROOT / "tests/programs/models/user_code.py").read_bytes()
#: As `dump` writes it: 20,000 dumps would take longer than the check.
APP_FILE = dump(AppFile(id="the-app", user="the-user", name="the-app"))
TENANT_FILE = dump(
    TenantFile(user="the-user", username="the-user", created=datetime.fromtimestamp(_AT, UTC))
)


def main() -> int:
    """Print the table; 1 when a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="at most 1,000 apps: within a minute")
    sizes, runs = (SMALL_SIZES, SMALL_RUNS) if parser.parse_args().small else (SIZES, RUNS)
    with tempfile.TemporaryDirectory(prefix="bench-check-") as name:
        paths = {apps: Path(name) / f"{apps}.git" for apps in sizes}
        for apps, path in paths.items():
            make(path, apps)
        kept = changes(paths, runs)
        for apps, path in paths.items():
            limit = MAX_WHOLE_SECONDS if apps == sizes[-1] else None
            kept &= row(f"{apps:,} apps: everything", seconds(path, "main"), limit=limit)
    peer = asyncio.run(source_check_alone(PEER_APPS)) / PEER_APPS * sizes[-1]
    row(f"{sizes[-1]:,} apps: the source check alone", peer)
    return int(not kept)


def changes(paths: dict[int, Path], runs: int) -> bool:
    """What a change of one app costs; the sizes take turns, for whatever else the machine does."""
    times: dict[tuple[str, int], list[float]] = {}
    for _ in range(runs):
        for apps, path in paths.items():
            for what, branch in BRANCHES.items():
                taken = seconds(path, branch, "--base", "main")
                times.setdefault((what, apps), []).append(taken)
            started = asyncio.run(without_start(path))
            times.setdefault((STARTED, apps), []).append(started)
    median = {case: statistics.median(each) for case, each in times.items()}
    for (what, apps), taken in median.items():
        unit, times_more = ("ms", 1000) if what == STARTED else ("s", 1)
        row(f"{apps:,} apps: {what}", taken * times_more, unit)
    few, *_, many = paths
    kept = True
    for what in (A_CHANGE, STARTED):
        growth = median[what, many] / median[what, few]
        kept &= row(f"{many:,} apps against {few:,}: {what}", growth, "times", MAX_GROWTH)
    return kept


async def without_start(path: Path) -> float:
    """How long the check of a change takes once it runs: the median of some, in seconds."""
    times = []
    async with open_branch_check(path) as check:
        for _ in range(1 + RUNS):
            since = time.perf_counter()
            report = await check.run("change", "main", None, lambda *_: None)
            times.append(time.perf_counter() - since)
            if not report.passed:
                raise SystemExit(str(report.findings))
    return statistics.median(times[1:])  # the first one waits for the helpers' start


def seconds(path: Path, *arguments: str) -> float:
    """How long a check takes, which must find nothing wrong."""
    return command("check", *arguments, "--repository", str(path))


def command(*arguments: str) -> float:
    """How long `python -m api` takes with these arguments."""
    since = time.perf_counter()
    line = [sys.executable, "-m", "api", *arguments]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - since
    if done.returncode != 0:
        raise SystemExit(done.stdout[:2000] + done.stderr)
    return taken


async def source_check_alone(apps: int) -> float:
    """How long the helpers need for the programs of so many apps, two questions at once each."""
    helpers = os.cpu_count() or 1
    checker = SourceChecker(helpers)
    await checker.start()
    waiting = iter(range(apps))

    async def work() -> None:
        for number in waiting:
            await checker.check({"user_code.py": program(number)}, "user_code.py")

    try:
        warm = {"user_code.py": PROGRAM}
        await asyncio.gather(*(checker.check(warm, "user_code.py") for _ in range(helpers)))
        since = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(2 * helpers)))
        return time.perf_counter() - since
    finally:
        await checker.close()


# The repositories ---------------------------------------------------------------------------


def make(path: Path, apps: int) -> None:
    """A bare repository with so many apps on `main`, and a `change` and a `new` app beside it."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path], check=True)
    importing = ["git", "-C", str(path), "fast-import", "--quiet"]
    with subprocess.Popen(importing, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None  # noqa: S101  (a pipe was asked for)
        process.stdin.writelines(stream(apps))
    if process.returncode:
        raise RuntimeError("git fast-import failed")


def stream(apps: int) -> Iterator[bytes]:
    """What `git fast-import` reads: a commit for each app, then the two branches."""
    yield commit("main", "Import", {"platform.yaml": dump(PlatformFile(shards=256))})
    for number in range(apps):
        ref = AppRef(f"u{number}", f"app{number}")
        tenant = TENANT_FILE.replace(b"the-user", ref.user_id.encode())
        files = folder(ref, program(number)) | {
            f"{tenant_folder(ref.user_id, 2)}/tenant.yaml": tenant
        }
        yield commit("main", intent_message("deploy", [ref], ref.app_id, f"r{number}"), files)
    known = AppRef(f"u{apps // 2}", f"app{apps // 2}")
    code = {f"{app_folder(known, 2)}/code/user_code.py": PROGRAM + b"# more\n"}
    yield commit("change", "Change", code, "refs/heads/main")
    new = folder(AppRef(known.user_id, "brought"), PROGRAM)
    yield commit("new", "Bring", new, "refs/heads/main")


def commit(branch: str, message: str, files: dict[str, bytes], after: str | None = None) -> bytes:
    """A commit on a branch, or the first one of a branch from `after`."""
    who = f"{COMMITTER.name} <{COMMITTER.email}> {_AT} +0000"
    text = message.encode()
    lines = [f"commit refs/heads/{branch}\ncommitter {who}\ndata {len(text)}\n".encode(), text]
    lines.append(f"\nfrom {after}\n".encode() if after else b"\n")
    for path, data in files.items():
        lines += [f"M 100644 inline {path}\ndata {len(data)}\n".encode(), data, b"\n"]
    return b"".join(lines)


def folder(ref: AppRef, code: bytes) -> dict[str, bytes]:
    """An app's files on `main`, by path."""
    settings = APP_FILE.replace(b"the-app", ref.app_id.encode())
    path = app_folder(ref, 2)
    return {
        f"{path}/app.yaml": settings.replace(b"the-user", ref.user_id.encode()),
        f"{path}/code/user_code.py": code,
        f"{path}/overlay/kustomization.yaml": EMPTY_OVERLAY,
    }


def program(number: int) -> bytes:
    """A program like no other."""
    return PROGRAM + b"# %d\n" % number


if __name__ == "__main__":
    sys.exit(main())
