"""Start and memory of the runner against plain `uvicorn user_code:app`, on the same app.

Both run with the runner's own Python, in pairs whose order alternates, so that whatever else the
machine does meets both. Prints medians of both and of the pairs' ratios; exits with 1 when a ratio
is above its limit.

    python bench/runner.py [rounds]
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / "runner/.venv/bin/python"
ENTRYPOINT = ROOT / "runner/entrypoint.py"

MAX_START_RATIO = 1.15
MAX_MEMORY_RATIO = 1.10
DEADLINE_SECONDS = 30.0

HELLO = """
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def hello():
    return {"hello": "world"}
"""
TABLES = """
from fastapi import FastAPI, WebSocket
from sqlmodel import Field, Session, SQLModel, create_engine, select

engine = create_engine("sqlite:///heroes.db")
app = FastAPI()


class Hero(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str


SQLModel.metadata.create_all(engine)


@app.get("/")
def heroes():
    with Session(engine) as session:
        return session.exec(select(Hero)).all()


@app.websocket("/ws")
async def echo(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
"""
APPS = {"hello world": HELLO, "SQLModel and a WebSocket route": TABLES}


@dataclass(frozen=True)
class Start:
    """One start: milliseconds until the first 200, resident MiB right after it."""

    milliseconds: float
    mebibytes: float


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def plain(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Plain uvicorn in the app's folder."""
    command = [str(PYTHON.with_name("uvicorn")), "user_code:app", "--port", str(port)]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def runner(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """The runner, which copies the folder first."""
    contract = {
        "SOURCE": folder,
        "WORKDIR": folder.with_name("work"),
        "HOST": "127.0.0.1",
        "PORT": port,
        "PROBE_PORT": free_port(),
        "ROOT_PATH": "/user/u/app/a",
    }
    variables = {f"FASTAPI_PLATFORM_{name}": str(value) for name, value in contract.items()}
    return subprocess.Popen(
        [PYTHON, ENTRYPOINT],
        env=os.environ | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def answers(port: int) -> bool:
    """Whether `GET /` answers 200 now."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False


def start(launch: Callable[[Path, int], subprocess.Popen[bytes]], folder: Path) -> Start:
    """Start it, wait for the first 200 and end it."""
    port = free_port()
    started = time.perf_counter()
    process = launch(folder, port)
    try:
        while not answers(port):
            if process.poll() is not None or time.perf_counter() - started > DEADLINE_SECONDS:
                raise SystemExit(f"{process.args!r} did not start (status {process.returncode})")
            time.sleep(0.002)
        elapsed = time.perf_counter() - started
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        kibibytes = int(status.partition("VmRSS:")[2].split()[0])
        return Start(elapsed * 1000, kibibytes / 1024)
    finally:
        process.terminate()
        process.wait()


def compare(name: str, code: str, rounds: int) -> bool:
    """Print the table row of one app; whether both ratios are within their limits."""
    pairs: list[tuple[Start, Start]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "app"
        folder.mkdir()
        (folder / "user_code.py").write_text(code, encoding="utf-8")
        start(plain, folder)  # warms the page cache and writes bytecode …
        start(runner, folder)  # … for both
        for number in range(rounds):
            if number % 2:
                pairs.append((start(plain, folder), start(runner, folder)))
            else:
                after = start(runner, folder)
                pairs.append((start(plain, folder), after))
    milliseconds = [statistics.median(pair[kind].milliseconds for pair in pairs) for kind in (0, 1)]
    mebibytes = [statistics.median(pair[kind].mebibytes for pair in pairs) for kind in (0, 1)]
    start_ratio = statistics.median(b.milliseconds / a.milliseconds for a, b in pairs)
    memory_ratio = statistics.median(b.mebibytes / a.mebibytes for a, b in pairs)
    print(
        f"{name:<32}{milliseconds[0]:>9.0f}{milliseconds[1]:>9.0f}{start_ratio:>8.2f}"
        f"{mebibytes[0]:>11.1f}{mebibytes[1]:>9.1f}{memory_ratio:>8.2f}"
    )
    return start_ratio <= MAX_START_RATIO and memory_ratio <= MAX_MEMORY_RATIO


def main() -> int:
    """Run every comparison; 0 when all are within their limits."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    print(f"start to first 200 and memory, medians of {rounds} pairs")
    print(f"{'':<32}{'ms':>9}{'ms':>9}{'':>8}{'MiB':>11}{'MiB':>9}")
    print(
        f"{'app':<32}{'uvicorn':>9}{'runner':>9}{'ratio':>8}{'uvicorn':>11}{'runner':>9}{'ratio':>8}"
    )
    within = [compare(name, code, rounds) for name, code in APPS.items()]
    print(f"limits: start {MAX_START_RATIO}, memory {MAX_MEMORY_RATIO}")
    return 0 if all(within) else 1


if __name__ == "__main__":
    sys.exit(main())
