"""Keeps a bare repository compact, off the path of deploys and safe beside whoever writes it.

Only loose objects are written by a deploy (some 40 kB, 1.3 kB packed). Packing is git's own;
nothing is ever pruned, so objects of a commit that is still being built stay.
"""

import time
from pathlib import Path
from typing import Final

#: A lock of a reference is held for milliseconds; an older one was left by a process that died.
_STALE_SECONDS: Final = 30.0


def clear_stale_locks(path: Path, seconds: float = _STALE_SECONDS) -> list[Path]:
    """Remove lock files of references that nobody can hold any more; which ones they were."""
    found = [path / "packed-refs.lock", path / "HEAD.lock", *(path / "refs").rglob("*.lock")]
    cleared = []
    for lock in found:
        try:
            if time.time() - lock.stat().st_mtime > seconds:
                lock.unlink()
                cleared.append(lock)
        except FileNotFoundError:
            continue
    return cleared
