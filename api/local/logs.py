"""An app's output, kept in two bounded files that outlive the platform's process.

Writers are the threads that read the processes' pipes; readers are coroutines.
"""

import asyncio
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from api.clients.cluster import LogLine

_LOG: Final = logging.getLogger(__name__)
#: One file of the two; together they bound what an app may keep on this disk.
FILE_BYTES: Final = 1024 * 1024
LINE_BYTES: Final = 8192  # a longer line continues on the next
TAIL_LINES: Final = 40  # of one process, kept in memory for the report of its failure
_BYTES_PER_SECOND: Final = 1024 * 1024  # a chattier process waits, and slows down nobody else
_WAITING_LINES: Final = 2000  # for one follower; a slower one misses the oldest


@dataclass(frozen=True)
class _Record:
    number: int
    line: LogLine


_Queue = asyncio.Queue[_Record | None]  # None: nothing comes any more


class AppLog:
    """The output of all processes of one app, in the order it came."""

    def __init__(self, folder: Path) -> None:
        self._current = folder / "current.jsonl"
        self._older = folder / "older.jsonl"
        self._lock = threading.Lock()  # also orders files and followers against each other
        self._size: int | None = None
        self._written = 0
        self._followers: dict[_Queue, asyncio.AbstractEventLoop] = {}

    def begin(self, pod: str) -> None:
        """Note that a process of this pod starts: `previous` is what stands before it."""
        with self._lock:
            self._append([{"begin": pod, "at": time.time()}])

    def write(self, pod: str, texts: Sequence[str]) -> None:
        """Keep lines of a process; called from the thread that reads its output."""
        now = time.time()
        with self._lock:
            self._append([{"at": now, "pod": pod, "text": text} for text in texts])
            at = datetime.fromtimestamp(now, UTC)
            for text in texts:
                self._written += 1
                record = _Record(self._written, LogLine(at, text, pod))
                self._tell(record)

    def close(self) -> None:
        """Let those who follow go."""
        with self._lock:
            self._tell(None)

    def _tell(self, record: _Record | None) -> None:
        for queue, loop in self._followers.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_offer, queue, record)

    def _append(self, records: Sequence[dict[str, Any]]) -> None:
        data = "".join(json.dumps(record) + "\n" for record in records).encode()
        if self._size is None:
            self._current.parent.mkdir(parents=True, exist_ok=True)
            self._size = self._current.stat().st_size if self._current.exists() else 0
            if self._size:
                data = b"\n" + data  # the last line may have been cut off by a kill -9
        if self._size + len(data) > FILE_BYTES:
            if self._current.exists():
                self._current.replace(self._older)
            self._size = 0
        with self._current.open("ab") as file:
            file.write(data)
        self._size += len(data)

    def tail(self, count: int, *, previous: bool = False) -> list[LogLine]:
        """The last lines kept; `previous`: of the process before the newest one."""
        with self._lock:
            return self._read(count, previous=previous)

    async def lines(self, *, follow: bool, previous: bool, tail: int) -> AsyncIterator[LogLine]:
        """The last `tail` lines, oldest first, and with `follow` whatever comes after them."""
        if not follow:
            for line in await asyncio.to_thread(self.tail, tail, previous=previous):
                yield line
            return
        queue: _Queue = asyncio.Queue(_WAITING_LINES)
        loop = asyncio.get_running_loop()

        def read_and_subscribe() -> tuple[int, list[LogLine]]:
            with self._lock:
                self._followers[queue] = loop
                return self._written, self._read(tail, previous=previous)

        try:
            seen, kept = await asyncio.to_thread(read_and_subscribe)
            for line in kept:
                yield line
            while record := await queue.get():
                if record.number > seen:
                    yield record.line
        finally:
            await asyncio.to_thread(self._unsubscribe, queue)

    def _unsubscribe(self, queue: _Queue) -> None:
        with self._lock:
            self._followers.pop(queue, None)

    def _read(self, count: int, *, previous: bool) -> list[LogLine]:
        runs: list[deque[LogLine]] = [deque(maxlen=count)]
        for record in self._records():
            if "begin" in record:
                runs = [runs[-1], deque(maxlen=count)] if previous else runs
                continue
            at = datetime.fromtimestamp(record["at"], UTC)
            runs[-1].append(LogLine(at, record["text"], record["pod"]))
        return list(runs[0] if len(runs) > 1 or not previous else ())

    def _records(self) -> Iterator[dict[str, Any]]:
        for path in (self._older, self._current):
            if not path.exists():
                continue
            with path.open("rb") as file:
                for line in file:
                    try:
                        record = json.loads(line)
                    except ValueError:
                        continue  # the last line of a platform that was killed while writing
                    yield record


def _offer(queue: _Queue, record: _Record | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(record)


class OutputPump(threading.Thread):
    """Reads one process's output until it closes; a thread, because files and pipes block."""

    def __init__(self, pipe: int, log: AppLog, pod: str) -> None:
        super().__init__(name=f"output {pod}", daemon=True)
        self._pipe = pipe
        self._log = log
        self._pod = pod
        self.last: deque[str] = deque(maxlen=TAIL_LINES)

    def run(self) -> None:
        """Read, cut into lines, keep."""
        try:
            self._write(lambda: self._log.begin(self._pod))
            self._read()
        finally:
            os.close(self._pipe)

    def _read(self) -> None:
        rest = b""
        while chunk := os.read(self._pipe, 65536):
            *lines, rest = (rest + chunk).split(b"\n")
            while len(rest) > LINE_BYTES:
                lines.append(rest[:LINE_BYTES])
                rest = rest[LINE_BYTES:]
            self._keep(lines)
            if len(chunk) > LINE_BYTES:
                time.sleep(len(chunk) / _BYTES_PER_SECOND)
        if rest:
            self._keep([rest])

    def _keep(self, lines: Sequence[bytes]) -> None:
        texts = [
            line[start : start + LINE_BYTES].decode(errors="replace").rstrip("\r")
            for line in lines
            for start in range(0, len(line) or 1, LINE_BYTES)
        ]
        self.last.extend(texts)
        if texts:
            self._write(lambda: self._log.write(self._pod, texts))

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:  # a full disk; unread, the pipe would stop the app too
            _LOG.warning("output of %s is lost: %s", self._pod, error)
