"""`python -m api check` in repositories of 200, 1,000 and 20,000 apps: a change, and everything.

Each run is the command itself, as a workflow starts it: a process from start to end. A change of
one app's code must not cost by the number of apps: at most 1.5 times as much with 20,000 as with
200. A change that brings a new app is timed beside it, for it looks who had the id in all of
history. Exits with 1 when a limit is broken.

    python -m bench.check
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from api.domain.names import AppRef
from api.domain.repo_layout import EMPTY_OVERLAY, AppFile, app_folder, dump
from bench.deploy import row
from bench.writer_repository import HELLO, Size, make

SIZES = (200, 1_000, 20_000)
RUNS = 5
MAX_GROWTH = 1.5
MAX_WHOLE_SECONDS = 600.0
ROOT = Path(__file__).parents[1]


def main() -> int:
    """Print the table; 1 when a limit is broken."""
    changes: dict[int, float] = {}
    kept = True
    for apps in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "repo.git"
            size = Size(apps, 2)
            make(path, size)
            known = size.refs()[apps // 2]
            change = _commit(path, "change", known, {"code/user_code.py": HELLO + b"# more\n"})
            new = AppRef(known.user_id, "brought")
            settings = dump(AppFile(id=new.app_id, user=new.user_id, name="New"))
            files = {
                "app.yaml": settings,
                "code/user_code.py": HELLO,
                "overlay/kustomization.yaml": EMPTY_OVERLAY,
            }
            brings = _commit(path, "brings", new, files)
            changes[apps] = _seconds(path, change, "--base", "main")
            row(f"{apps:,} apps: a change of one", changes[apps])
            row(f"{apps:,} apps: a new one", _seconds(path, brings, "--base", "main"))
            whole = _seconds(path, "main", runs=1)
            kept &= row(f"{apps:,} apps: everything", whole, limit=MAX_WHOLE_SECONDS)
    growth = changes[SIZES[-1]] / changes[SIZES[0]]
    label = f"a change with {SIZES[-1]:,} apps against {SIZES[0]:,}"
    kept &= row(label, growth, "times", MAX_GROWTH)
    return int(not kept)


def _commit(path: Path, branch: str, ref: AppRef, files: dict[str, bytes]) -> str:
    """A branch with one commit more than `main`."""
    lines = [
        f"commit refs/heads/{branch}\ncommitter Eve <eve@example.org> 1800000000 +0000\n".encode(),
        b"data 2\nx\n",
        b"from refs/heads/main^0\n",
    ]
    for name, data in files.items():
        lines.append(f"M 100644 inline {app_folder(ref, 2)}/{name}\ndata {len(data)}\n".encode())
        lines.append(data + b"\n")
    command = ["git", "-C", str(path), "fast-import", "--quiet"]
    subprocess.run(command, input=b"".join(lines), check=True)
    return branch


def _seconds(path: Path, *arguments: str, runs: int = RUNS) -> float:
    """The median of several runs; the check must find nothing wrong."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        command = [sys.executable, "-m", "api", "check", *arguments, "--repository", str(path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        times.append(time.perf_counter() - start)
        if done.returncode != 0:
            raise SystemExit(done.stdout[:2000] + done.stderr)
    return statistics.median(times)


if __name__ == "__main__":
    sys.exit(main())
