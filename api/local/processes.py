"""Processes of this machine that belong to the platform: started bounded, never left behind.

An app's process ends by itself when the platform does, through the pipe it is given; what cannot
(a learner's code that never lets go of the interpreter) is found by its record at the next start.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from api.local import tasks
from api.local.logs import AppLog, OutputPump

_LOG: Final = logging.getLogger(__name__)
_MIB: Final = 1024 * 1024
_WATCH_SECONDS: Final = 0.5
_LEFTOVER_SECONDS: Final = 5.0
#: Data a process may map: far above the limit on what it uses, since every thread maps a stack of
#: 8 MiB; it stops a single allocation that outruns the watch.
_DATA_FACTOR: Final = 2
_DATA_SLACK: Final = 512 * _MIB
_FILE_BYTES: Final = 256 * _MIB
_SIGNALLED: Final = 128  # exit status of a process ended by a signal, as shells and kubelets say it
_CLOCK_SECONDS: Final = 1.0  # start times of one process differ by less


@dataclass(eq=False)
class Process:
    """A running program and what is known of its end."""

    pid: int
    output: OutputPump
    ended: "asyncio.Task[int]"
    memory_limit: int | None  # bytes
    identity: psutil.Process
    out_of_memory: bool = field(default=False, init=False)

    @property
    def exit_code(self) -> int | None:
        """Exit status as Kubernetes gives it (137: killed); None while it runs."""
        if not self.ended.done():
            return None
        code = self.ended.result()
        return code if code >= 0 else _SIGNALLED - code

    async def stop(self, seconds: float) -> None:
        """Ask it to end, and after `seconds` end it and whatever it started."""
        self._signal(signal.SIGTERM)
        await asyncio.wait({self.ended}, timeout=seconds)
        await self.kill()

    async def kill(self) -> None:
        """End it, and whatever it started, at once."""
        if not self.ended.done():
            self.kill_group()
        await asyncio.wait({self.ended})

    def kill_group(self) -> None:
        """End all of its process group; only while it runs, or right after: ids are reused."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Processes:
    """Starts programs, watches their memory, and keeps a record of them in a folder."""

    def __init__(self, records: Path) -> None:
        self._records = records
        self._running: set[Process] = set()
        self._lifeline = -1, -1
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """End what an earlier run left behind; then programs can be started."""
        await asyncio.to_thread(_end_leftovers, self._records)
        # Its writing end is open in this process alone: at our death, however it comes, the
        # reading end of every child says so.
        self._lifeline = os.pipe()
        self._watch = tasks.start(self._watch_memory(), "watching the memory of apps")

    async def close(self) -> None:
        """End whatever still runs."""
        if self._watch:
            self._watch.cancel()
        await asyncio.gather(*(process.kill() for process in set(self._running)))
        for descriptor in self._lifeline:
            if descriptor >= 0:
                os.close(descriptor)
        self._lifeline = -1, -1

    @property
    def lifeline(self) -> int:
        """The descriptor that a child inherits and watches for our end."""
        return self._lifeline[0]

    async def spawn(  # noqa: PLR0913  (what a program needs to run)
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        folder: Path,
        log: AppLog,
        name: str,
        memory_mib: int | None = None,
    ) -> Process:
        """Start a program in its own session with nothing of our environment; raises OSError."""
        reading, writing = os.pipe()
        try:
            child = await asyncio.create_subprocess_exec(
                *command,
                env=dict(env),
                cwd=folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                pass_fds=(self.lifeline,),
                start_new_session=True,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        output = OutputPump(reading, log, name)
        output.start()
        process = Process(
            pid=child.pid,
            output=output,
            ended=asyncio.create_task(child.wait(), name=f"end of {name}"),
            memory_limit=memory_mib * _MIB if memory_mib else None,
            identity=psutil.Process(child.pid),
        )
        self._running.add(process)
        record = self._records / str(child.pid)
        process.ended.add_done_callback(lambda _: self._forget(process, record))
        if process.memory_limit:
            _limit(process.identity, process.memory_limit)
        content = json.dumps({"name": name, "started": process.identity.create_time()})
        await asyncio.to_thread(record.write_text, content)
        if process.ended.done():
            record.unlink(missing_ok=True)
        return process

    def _forget(self, process: Process, record: Path) -> None:
        process.kill_group()  # what it started does not outlive it
        self._running.discard(process)
        record.unlink(missing_ok=True)

    async def _watch_memory(self) -> None:
        while True:
            for process in set(self._running):
                limit = process.memory_limit
                if limit and (used := _memory(process.identity)) > limit:
                    _LOG.info("process %d uses %d MiB and is ended", process.pid, used // _MIB)
                    process.out_of_memory = True
                    await process.kill()
            await asyncio.sleep(_WATCH_SECONDS)


def _memory(identity: psutil.Process) -> int:
    try:
        return int(identity.memory_info().rss)
    except psutil.Error:
        return 0  # it has just ended


def _limit(identity: psutil.Process, memory: int) -> None:
    """Set limits from outside: code between fork and exec would run without its threads' locks."""
    if not hasattr(identity, "rlimit"):
        return  # only Linux lets a parent do this; the watch remains
    data = memory * _DATA_FACTOR + _DATA_SLACK
    with contextlib.suppress(psutil.Error):  # it has just ended
        identity.rlimit(psutil.RLIMIT_DATA, (data, data))
        identity.rlimit(psutil.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
        identity.rlimit(psutil.RLIMIT_CORE, (0, 0))


def _end_leftovers(records: Path) -> None:
    """End what the records name, if it is still the very same process."""
    records.mkdir(parents=True, exist_ok=True)
    leftovers: list[psutil.Process] = []
    for record in records.iterdir():
        with contextlib.suppress(ValueError, KeyError, psutil.Error, OSError):
            process = psutil.Process(int(record.name))
            started = float(json.loads(record.read_text())["started"])
            if abs(process.create_time() - started) < _CLOCK_SECONDS:
                _LOG.info("ending process %d, left behind by an earlier run", process.pid)
                os.killpg(process.pid, signal.SIGKILL)
                leftovers.append(process)
        record.unlink()
    _, alive = psutil.wait_procs(leftovers, timeout=_LEFTOVER_SECONDS)
    for process in alive:
        _LOG.warning("process %d does not end", process.pid)
