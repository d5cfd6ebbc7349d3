"""The first process in a plane's own process and mount namespaces.

    unshare --pid --fork --mount --mount-proc … python -m tests.cluster.plane.private SLOT PARTS

All of the plane's programs, and all containers, are in these namespaces. When this process ends,
for whatever reason, the kernel ends all others in them, and with the last one their mounts are
gone: nothing a crash could leave behind.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.cluster.plane.components import run
from tests.cluster.plane.node import KERNEL_SETTINGS
from tests.cluster.plane.slot import PlaneFailed, Slot

#: Where containerd, its shims, the network plugins and the kubelet write, whatever they are told.
_HIDDEN: Final = (
    *("/run/containerd", "/run/netns"),
    *("/var/lib/cni", "/var/log/containers", "/var/log/pods"),
)
_MOUNT_SECONDS: Final = 10.0


def main() -> int:
    """Hide what a plane must not touch, run the director, bury who lost their parent."""
    slot = Slot(int(sys.argv[1]))
    try:
        _hide(slot)
    except PlaneFailed as error:
        print(error)
        return 1
    director = subprocess.Popen(
        [sys.executable, "-m", "tests.cluster.plane.director", *sys.argv[1:]]
    )
    while True:
        ended, status = os.wait()
        if ended == director.pid:
            return os.waitstatus_to_exitcode(status)


def _hide(slot: Slot) -> None:
    for name in _HIDDEN:
        Path(name).mkdir(parents=True, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", name, seconds=_MOUNT_SECONDS)
    # The kubelet insists on these, and would change them for the whole machine, for good.
    shown = slot.folder / "kernel"
    shown.mkdir()
    for name, value in KERNEL_SETTINGS.items():
        file = shown / name.replace("/", ".")
        file.write_text(f"{value}\n", encoding="utf-8")
        run("mount", "--bind", file, f"/proc/sys/{name}", seconds=_MOUNT_SECONDS)


if __name__ == "__main__":
    raise SystemExit(main())
