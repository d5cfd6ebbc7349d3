"""What a platform that runs observes of its apps, written down for a command beside it.

In the embedded way the cluster lives in the server's process; another process can only read.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

import psutil
from pydantic import BaseModel, ValidationError

from api.domain.names import AppRef
from api.domain.rollout import Observation
from api.errors import ClusterUnavailable

_LOG: Final = logging.getLogger(__name__)
#: Seconds between two writings at least: a start of many apps is a burst of changes.
_SPACING: Final = 0.3


class _Written(BaseModel):
    pid: int
    started: float  # of that process, so that another one with its id is not taken for it
    apps: dict[str, Observation]  # by "<user_id>/<app_id>"


class ObservedFile:
    """Kept by the platform that runs, and read by anybody beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = asyncio.Event()

    def change(self) -> None:
        """Something of an app changed."""
        self._changed.set()

    async def keep(self, observe: Callable[[], Mapping[AppRef, Observation]]) -> None:
        """Write whenever something changed; runs until it is cancelled, and removes the file."""
        this = psutil.Process()
        try:
            while True:
                self._changed.clear()
                apps = {f"{ref.user_id}/{ref.app_id}": seen for ref, seen in observe().items()}
                written = _Written(pid=this.pid, started=this.create_time(), apps=apps)
                try:
                    await asyncio.to_thread(self._write, written)
                except OSError as error:
                    _LOG.warning("what runs cannot be written down: %s", error)
                await asyncio.sleep(_SPACING)
                await self._changed.wait()
        finally:
            self._path.unlink(missing_ok=True)

    async def runs(self) -> bool:
        """Whether the platform runs that wrote it."""
        return await asyncio.to_thread(self._read) is not None

    async def observe(self, refs: Collection[AppRef]) -> Mapping[AppRef, Observation]:
        """What is known of these apps; raises ClusterUnavailable when the platform ended."""
        written = await asyncio.to_thread(self._read)
        if written is None:
            raise ClusterUnavailable("The platform that ran here has ended.")
        nothing = Observation()
        return {ref: written.apps.get(f"{ref.user_id}/{ref.app_id}", nothing) for ref in refs}

    def _write(self, written: _Written) -> None:
        new = self._path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:  # output of apps is in it: for the owner only
            file.write(written.model_dump_json())
        new.replace(self._path)

    def _read(self) -> _Written | None:
        try:
            written = _Written.model_validate_json(self._path.read_bytes())
            runs = psutil.Process(written.pid).create_time() == written.started
        except (FileNotFoundError, psutil.Error):
            return None
        except (OSError, ValidationError) as error:
            raise ClusterUnavailable(f"What runs here cannot be read: {error}") from error
        return written if runs else None
