"""Keeps a bare repository compact, off the path of deploys and safe beside whoever writes it.

Only loose objects are written by a deploy (some 40 kB, 1.3 kB packed). They are packed by git
itself, at low priority and one process at a time. Nothing is ever pruned: objects that no branch
names, such as those of a commit that is just being built, go into the pack with the others.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)
#: A lock of a reference is held for milliseconds; an older one was left by a process that died.
_STALE_SECONDS: Final = 30.0
#: Loose objects from which packing is worth its while; some 50 deploys.
_MANY_LOOSE: Final = 2000
#: What git leaves when it is killed while it receives or packs, once nobody can be writing it.
_LEFT_SECONDS: Final = 24 * 3600.0
#: Packs, one of each large batch, from which it is as well: every look-up asks each of them.
_MANY_PACKS: Final = 40
#: Branches in files of their own, which every push and fetch by git opens one by one: a clone with
#: 4,096 shards begins with all of them so, and pushes 150 ms faster once they are in one file.
_MANY_LOOSE_REFS: Final = 300
_SAMPLE: Final = "17"  # one of the 256 folders of loose objects; ids are evenly spread
# Packs of sizes that at least double: their number grows with the logarithm of the history, and
# old, large packs are seldom written again.
_REPACK: Final = ("repack", "-d", "-l", "-q", "--geometric=2")
_PACK_REFS: Final = ("pack-refs", "--all")


class Housekeeping:
    """Packs one repository whenever it has grown."""

    def __init__(self, path: Path, many_loose: int = _MANY_LOOSE) -> None:
        self._path = path
        self._many_loose = many_loose

    async def run(self, seconds: float) -> None:
        """Look every so many seconds; runs until it is cancelled."""
        while True:
            try:
                await self.tidy()
            except OSError:
                _log.exception("the repository could not be packed")
            await asyncio.sleep(seconds)

    async def tidy(self) -> bool:
        """Pack what is loose if there is much of it; False when there was nothing to do.

        One process at a time, also when several serve the same repository.
        """
        await asyncio.to_thread(clear_stale_locks, self._path)
        await asyncio.to_thread(_clear_left_behind, self._path)
        steps = await asyncio.to_thread(self._steps)
        if not steps:
            return False
        with _alone(self._path / "housekeeping.lock") as lock:
            if lock is None:
                return False
            started = time.monotonic()
            for step in steps:
                await self._git(lock, *step)
            _log.info("packed the repository in %.1f s", time.monotonic() - started)
        return True

    def _steps(self) -> list[tuple[str, ...]]:
        if _loose_objects(self._path) >= self._many_loose or _packs(self._path) >= _MANY_PACKS:
            return [_REPACK, _PACK_REFS]
        return [_PACK_REFS] if _loose_refs(self._path) >= _MANY_LOOSE_REFS else []

    async def _git(self, lock: int, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(
            "nice", "-n", "15", "git", "-C", str(self._path), *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(lock,),  # held by git too, should this process die before it
            start_new_session=True,
        )  # fmt: skip
        try:
            _, errors = await process.communicate()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)  # git then removes what it began
                await process.wait()
        if process.returncode:
            _log.error("git %s failed: %s", arguments[0], errors.decode(errors="replace")[-500:])


def clear_stale_locks(path: Path, seconds: float = _STALE_SECONDS) -> list[Path]:
    """Remove lock files of references that nobody can hold any more; which ones they were."""
    found = [path / "packed-refs.lock", path / "HEAD.lock", *(path / "refs").rglob("*.lock")]
    return [lock for lock in found if _removed(lock, seconds)]


def _clear_left_behind(path: Path) -> None:
    objects = path / "objects"
    for left in (*objects.glob("??/tmp_obj_*"), *objects.glob("pack/tmp_*")):
        _removed(left, _LEFT_SECONDS)


def _removed(file: Path, seconds: float) -> bool:
    with contextlib.suppress(FileNotFoundError):
        if time.time() - file.stat().st_mtime > seconds:
            file.unlink()
            return True
    return False


def _loose_objects(path: Path) -> int:
    folder = path / "objects" / _SAMPLE
    return sum(256 for _ in folder.iterdir()) if folder.is_dir() else 0


def _loose_refs(path: Path) -> int:
    return sum(1 for _ in (path / "refs" / "heads").rglob("*"))


def _packs(path: Path) -> int:
    return sum(1 for _ in (path / "objects" / "pack").glob("*.pack"))


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[int | None]:
    """The open lock file, or None while another process holds it; death releases it."""
    file = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield file
    finally:
        os.close(file)
