"""Where one control plane lives: its folder, its names on this machine, and the lock on them.

Several can live at once, each in a slot of its own. Everything of a plane that outlives its
processes is named by its slot, so the next one in the slot finds and removes what was left.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SLOTS: Final = 8
_NAME: Final = "fastapi-platform-plane"
_CGROUPS: Final = Path("/sys/fs/cgroup")
_REMOVE_SECONDS: Final = 15.0


class PlaneFailed(Exception):
    """The control plane cannot be started or stopped; the message says what is missing."""


@dataclass(frozen=True)
class Slot:
    """One of the places on this machine where a plane can be."""

    number: int

    @property
    def folder(self) -> Path:
        """All files of the plane, its records of pods and its images included."""
        return Path(tempfile.gettempdir()) / f"{_NAME}-{self.number}"

    @property
    def lock(self) -> Path:
        """Held by the process that keeps the plane, as long as it lives."""
        return self.folder.with_name(f"{self.folder.name}.lock")

    @property
    def bridge(self) -> str:
        """The network interface that all pods hang on."""
        return f"fp-plane{self.number}"

    @property
    def subnet(self) -> str:
        """The addresses of the pods."""
        return f"10.201.{self.number}.0/24"

    @property
    def address(self) -> str:
        """This machine's own address on the bridge: the node's, as pods see it."""
        return f"10.201.{self.number}.1"

    @property
    def services(self) -> str:
        """Addresses of Services, one for each app; only the API server's leads anywhere."""
        return f"10.{202 + self.number}.0.0/16"

    @property
    def api_service(self) -> str:
        """The API server as pods know it: the first of the Services."""
        return f"10.{202 + self.number}.0.1"

    @property
    def cgroup(self) -> str:
        """What all pods' groups are below, in every hierarchy."""
        return f"/{_NAME}-{self.number}"

    def cgroup_folders(self) -> list[Path]:
        """The plane's own group in each hierarchy that there is."""
        found = [path for path in _hierarchies() if (path / self.cgroup[1:]).is_dir()]
        return [path / self.cgroup[1:] for path in found]

    def leftovers(self) -> list[str]:
        """What there is on this machine of this slot, besides its lock; for people."""
        found = [f"folder {self.folder}"] if self.folder.exists() else []
        found += [f"cgroup {path}" for path in self.cgroup_folders()]
        if Path("/sys/class/net", self.bridge).exists():
            found.append(f"interface {self.bridge}")
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
        found += [f"mount {line.split()[1]}" for line in mounts if f"{self.folder}/" in line]
        return found

    def make(self) -> None:
        """The folder, the bridge and the groups; raises PlaneFailed where they cannot be made."""
        self.folder.mkdir(mode=0o755)
        _ip("link", "add", self.bridge, "type", "bridge")
        _ip("address", "add", f"{self.address}/24", "dev", self.bridge)
        # Without kube-proxy a Service leads nowhere; this one is this machine itself.
        _ip("address", "add", f"{self.api_service}/32", "dev", self.bridge)
        _ip("link", "set", self.bridge, "up")
        for hierarchy in _hierarchies():
            (hierarchy / self.cgroup[1:]).mkdir(exist_ok=True)

    def clear(self) -> None:
        """Remove what a plane leaves behind; its processes, and with them its mounts, are gone."""
        if Path("/sys/class/net", self.bridge).exists():
            _ip("link", "delete", self.bridge)
        for top in self.cgroup_folders():
            for folder, _, _ in os.walk(top, topdown=False):
                _remove_group(Path(folder))
        if self.folder.exists():
            shutil.rmtree(self.folder)


@contextmanager
def taken(number: int | None = None) -> Iterator[Slot]:
    """A slot that nobody else holds (this one), cleared of what a crashed plane left there."""
    for candidate in range(SLOTS) if number is None else [number]:
        slot = Slot(candidate)
        with slot.lock.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            slot.clear()
            yield slot
            return
    raise PlaneFailed(
        f"All {SLOTS} places for a control plane on this machine are taken:"
        " `python -m tests.cluster.plane list` shows them, `… stop` ends them."
        if number is None
        else f"A control plane is running in place {number}."
    )


def held(slot: Slot) -> bool:
    """Whether a living process keeps a plane there."""
    if not slot.lock.exists():
        return False
    with slot.lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _hierarchies() -> list[Path]:
    """The roots of the control group hierarchies: one with version 2, several with version 1."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    mounted = {path.resolve() for path in _CGROUPS.iterdir() if path.is_dir()}
    return sorted(path for path in mounted if (path / "cgroup.procs").exists())


def _remove_group(path: Path) -> None:
    """Remove one group; the kernel may need a moment to bury the last process in it."""
    deadline = time.monotonic() + _REMOVE_SECONDS
    while True:
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise PlaneFailed(f"The control group {path} cannot be removed: {error}") from error
            time.sleep(0.05)
        else:
            return


def _ip(*arguments: str) -> None:
    done = subprocess.run(
        ["ip", *arguments], capture_output=True, text=True, check=False, timeout=10
    )
    if done.returncode:
        raise PlaneFailed(f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}")
