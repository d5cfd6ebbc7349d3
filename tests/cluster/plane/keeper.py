"""Keeps one plane: the process outside its namespaces, which removes what it leaves behind.

    python -m tests.cluster.plane.keeper PARTS [--while-read]

It stays until it is told to end, with `--while-read` at most until whoever started it is gone.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import psutil

from tests.cluster.build import LAUNCHER
from tests.cluster.plane.cluster import RECORD
from tests.cluster.plane.slot import PlaneFailed, Slot, taken

READY: Final = "READY"
KEEPER: Final = "keeper.pid"  # in the plane's folder: whom to tell to end
_UP_SECONDS: Final = 180.0
_END_SECONDS: Final = 20.0
_POLL: Final = 0.1


class _Told(Exception):
    """A signal said to end."""


def main() -> int:
    """Take a slot, run a plane there, say when it is up, and clear the slot at the end."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        with suppress(_Told), taken() as slot, _made(slot), _confined(slot) as process:
            return _kept(slot, process, while_read="--while-read" in sys.argv)
    except PlaneFailed as error:
        print(error, flush=True)
        return 1
    return 0


def _end(_number: int, _frame: object) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # once: the clearing up is not to be interrupted
    raise _Told


@contextmanager
def _made(slot: Slot) -> Iterator[None]:
    try:
        slot.make()
        (slot.folder / KEEPER).write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        slot.clear()


@contextmanager
def _confined(slot: Slot) -> Iterator["subprocess.Popen[bytes]"]:
    """The plane in namespaces that end with this process, and are ended with this context."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid())),
            *("/usr/bin/unshare", "--pid", "--fork", "--mount", "--mount-proc", "--kill-child"),
            *(sys.executable, "-m", "tests.cluster.plane.private"),
            *(str(slot.number), sys.argv[1]),
        ],
        stdin=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        # Its first process: the kernel ends all others and only then lets `unshare` see the end.
        with suppress(psutil.NoSuchProcess):
            for first in psutil.Process(process.pid).children():
                first.kill()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def _kept(slot: Slot, process: "subprocess.Popen[bytes]", *, while_read: bool) -> int:
    """Stay while the plane runs and is wanted; its exit status, or 0."""
    record = slot.folder / RECORD
    deadline = time.monotonic() + _UP_SECONDS
    said = False
    while process.poll() is None:
        if not said and record.exists():
            print(f"{READY} {slot.folder}", flush=True)
            said = True
        if not said and time.monotonic() > deadline:
            raise PlaneFailed(f"The control plane was not up after {_UP_SECONDS:.0f} s.")
        if while_read:
            readable, _, _ = select.select([sys.stdin], [], [], _POLL)
            if readable and not os.read(sys.stdin.fileno(), 1):
                return 0
        else:
            time.sleep(_POLL)
    return process.returncode or 0


if __name__ == "__main__":
    raise SystemExit(main())
