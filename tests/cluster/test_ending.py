"""However a plane ends, nothing of it stays on the machine."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cluster.plane import starting
from tests.cluster.plane.cluster import Cluster
from tests.cluster.plane.slot import Slot, held, taken
from tests.product import eventually

ROOT = Path(__file__).resolve().parents[2]
GIVEN = bool(os.environ.get("KUBECONFIG"))
#: Starts a plane as the tests' fixture does, says where, and waits to be killed.
STARTER = """
import time
from tests.cluster.plane import starting
with starting.running() as cluster:
    print("UP", cluster.slot, flush=True)
    time.sleep(600)
"""

pytestmark = pytest.mark.skipif(GIVEN, reason="no plane is started beside the one of KUBECONFIG")


def processes(cluster: Cluster) -> list[psutil.Process]:
    """All that belong to a plane: those that keep it, and everything below them."""
    keeper = psutil.Process(int((cluster.folder / "keeper.pid").read_text()))
    return [keeper, *keeper.children(recursive=True)]


def alive(those: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in those if _runs(process)]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False  # it ended between the two questions


@pytest.fixture
def lasting() -> Iterator[Cluster]:
    """A plane that nobody but the test ends."""
    cluster, _ = starting.start_by_hand()
    yield cluster
    starting.stop(cluster.slot)


def test_a_plane_that_is_stopped_leaves_nothing(lasting: Cluster):
    those = processes(lasting)
    assert {"etcd", "kube-apiserver", "kubelet", "containerd"} <= {p.name() for p in those}
    assert starting.stop(lasting.slot) == []
    assert alive(those) == []
    assert not held(Slot(lasting.slot))


def test_what_a_killed_keeper_leaves_is_dead_and_cleared_by_the_next(lasting: Cluster):
    those = processes(lasting)
    os.kill(those[0].pid, signal.SIGKILL)
    eventually("all its processes are gone", lambda: not alive(those), 20)
    with taken(lasting.slot) as slot:
        assert slot.leftovers() == []


def test_a_plane_ends_with_the_killed_process_that_wanted_it():
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with starter:
        assert starter.stdout is not None
        said = next((line for line in starter.stdout if line.startswith("UP ")), "UP never")
        slot = Slot(int(said.split()[1]))
        those = processes(Cluster.recorded(slot.folder))
        starter.kill()
    eventually("all its processes are gone", lambda: not alive(those), 60)
    eventually("nothing is left", lambda: not slot.leftovers(), 30)
