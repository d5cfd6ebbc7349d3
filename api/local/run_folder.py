"""What the embedded cluster keeps on disk: all of it can be made again from git, but the output.

run/lock                               held by the one platform that uses this folder
run/records/<pid>                      programs that were started
run/observed.json                      what runs now, for commands beside the platform
run/router/                            Traefik's configuration and output
run/apps/<user_id>/<app_id>/live.json  the version last seen serving
                           /log/       its output, bounded
                           /pods/      one folder per process: its code, its scratch space
"""

import fcntl
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from api.domain.names import AppRef
from api.errors import ClusterUnavailable


class RunFolder:
    """`DATA_DIR/run`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: int | None = None
        self.records = folder / "records"
        self.router = folder / "router"
        self.observed = folder / "observed.json"

    def app(self, ref: AppRef) -> Path:
        """The folder of one app."""
        return self._folder / "apps" / ref.user_id / ref.app_id

    def take(self) -> None:
        """Claim the folder.

        Raises ClusterUnavailable when a platform that runs has it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        # A POSIX lock: it ends with this process, even if a forked child lives on.
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise ClusterUnavailable(
                f"Another platform uses {self._folder.parent}.",
                hint="Stop it first, or set DATA_DIR to another folder.",
            ) from None
        self._lock = lock

    def clear_pods(self) -> None:
        """Remove what processes of an earlier run left; they must have ended."""
        for pods in self._folder.glob("apps/*/*/pods"):
            shutil.rmtree(pods, ignore_errors=True)

    def release(self) -> None:
        """Let another platform have the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def forget_others(self, known: Collection[AppRef]) -> None:
        """Remove what was kept of apps that are not in git any more."""
        for folder in self._folder.glob("apps/*/*"):
            if AppRef(folder.parent.name, folder.name) not in known:
                shutil.rmtree(folder, ignore_errors=True)
