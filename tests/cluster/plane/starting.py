"""Starts and stops planes from outside: for the tests' fixture and for the command line."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from tests.cluster.plane.cluster import RECORD, Cluster
from tests.cluster.plane.keeper import KEEPER, READY
from tests.cluster.plane.parts import Parts
from tests.cluster.plane.slot import SLOTS, PlaneFailed, Slot, held

ROOT: Final = Path(__file__).resolve().parents[3]
_STOP_SECONDS: Final = 60.0
_NEEDED: Final = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "unshare": "util-linux",
    "git": "git",
}


@dataclass(frozen=True)
class Started:
    """A plane that is up, and the process that keeps it."""

    cluster: Cluster
    keeper: "subprocess.Popen[str]"


def prepare() -> Parts:
    """What a plane is made of, built where it is missing.

    Raises PlaneFailed or build.CannotBuild with what is missing.
    """
    _check_machine()
    return Parts.made()


def start(*, lasting: bool) -> Started:
    """Start a plane; unless it is lasting, it ends with this process, however that ends.

    Raises PlaneFailed or build.CannotBuild with what is missing.
    """
    parts = prepare()
    keeper = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.cluster.plane.keeper", parts.to_argument()),
            *([] if lasting else ["--while-read"]),
        ],
        cwd=ROOT,
        stdin=subprocess.DEVNULL if lasting else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl-C is for the tests: the plane ends after them
    )
    assert keeper.stdout is not None
    for line in keeper.stdout:  # bounded by the keeper's own deadline
        if line.startswith(READY):
            folder = Path(line.removeprefix(READY).strip())
            return Started(Cluster.recorded(folder), keeper)
        print(line, end="", flush=True)
    keeper.communicate(timeout=_STOP_SECONDS)
    raise PlaneFailed("The control plane did not start; what is missing is said above.")


@contextmanager
def running() -> Iterator[Cluster]:
    """A plane while the context lasts."""
    started = start(lasting=False)
    try:
        yield started.cluster
    finally:
        started.keeper.communicate(timeout=_STOP_SECONDS)  # closes its input


def start_by_hand() -> tuple[Cluster, str]:
    """A plane as the command line starts it, which this process will not end; and what it said.

    Raises PlaneFailed with what it said instead.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster.plane", "start"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    named = re.search(r"^export KUBECONFIG=(.*)$", done.stdout, re.MULTILINE)
    if done.returncode or not named:
        raise PlaneFailed(done.stdout)
    return Cluster.recorded(Path(named[1]).parent), done.stdout


def up() -> list[Cluster]:
    """The planes that are up on this machine."""
    slots = [Slot(number) for number in range(SLOTS)]
    return [Cluster.recorded(slot.folder) for slot in slots if (slot.folder / RECORD).exists()]


def stop(number: int) -> list[str]:
    """End the plane in a slot; what is left of it (nothing, if all is well)."""
    slot = Slot(number)
    owner = slot.folder / KEEPER
    if held(slot) and owner.exists():
        with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            keeper = psutil.Process(int(owner.read_text()))
            keeper.terminate()
            keeper.wait(_STOP_SECONDS)
    return slot.leftovers()


def _check_machine() -> None:
    if os.geteuid() != 0:
        raise PlaneFailed(
            "A control plane of its own needs root: it makes namespaces, mounts and a bridge."
            " Run as root, or set KUBECONFIG to use a cluster that is there."
        )
    missing = {package for program, package in _NEEDED.items() if not _found(program)}
    if missing:
        raise PlaneFailed(f"Missing on this machine: apt-get install {' '.join(sorted(missing))}")


def _found(program: str) -> bool:
    folders = [*os.environ.get("PATH", "").split(":"), "/usr/sbin", "/sbin"]
    return any(os.access(Path(folder) / program, os.X_OK) for folder in folders)
