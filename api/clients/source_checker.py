"""Runs the source check in helper processes: no input can stall or end the api's own process.

A helper is `python -m api.clients.source_checker`, started once and kept. Frames go over its
standard input and output: four bytes of length (big-endian), then the content. A question is JSON
`{"files": [[path, size], …], "entrypoint", "additional_imports"}` in one frame and the files'
bytes, one after the other, in a second; the answer is one frame, a JSON list with the fields of
each diagnostic.
"""

import asyncio
import gc
import json
import resource
import signal
import struct
import sys
from collections.abc import Collection, Mapping
from contextlib import nullcontext, suppress
from dataclasses import astuple
from pathlib import Path
from typing import BinaryIO, Final

from api.domain.source_check import Diagnostic, check
from api.errors import CheckUnavailable

SECONDS: Final = 1.0  # of processor time for one check …
WALL_SECONDS: Final = 5.0  # … and of waiting, on a machine that has other work too
MEMORY_BYTES: Final = 1024 * 1024 * 1024  # address space; a check needs about 60 MiB
HELPERS: Final = 2
_ROOT: Final = Path(__file__).parents[2]  # where the package `api` is found
_LENGTH: Final = struct.Struct(">I")


class SourceChecker:
    """A small pool of helpers; questions beyond it wait their turn.

    Questions that can wait have all helpers but one among them: whatever somebody sends at once,
    a deploy waits for one of these at most.
    """

    def __init__(self, helpers: int = HELPERS) -> None:
        self._size = helpers
        self._can_wait = asyncio.Semaphore(max(1, helpers - 1))
        self._idle: asyncio.Queue[_Helper | None] | None = None
        self._all: set[_Helper] = set()

    async def start(self) -> None:
        """Start the helpers, so that the first check is as fast as the others."""
        self._idle = asyncio.Queue()
        for helper in await asyncio.gather(*(_start() for _ in range(self._size))):
            self._all.add(helper)
            self._idle.put_nowait(helper)

    async def close(self) -> None:
        """End the helpers; checks that are under way fail."""
        helpers, self._all, self._idle = self._all, set(), None
        await asyncio.gather(*(helper.end() for helper in helpers))

    async def check(
        self,
        files: Mapping[str, bytes],
        entrypoint: str,
        additional_imports: Collection[str] = (),
        *,
        can_wait: bool = False,
    ) -> list[Diagnostic]:
        """Check the files as `source_check.check` does; `can_wait`: after those that cannot.

        Raise CheckUnavailable when there is no verdict: the helper was killed, or took too long.
        """
        async with self._can_wait if can_wait else nullcontext():
            return await self._check(files, entrypoint, additional_imports)

    async def _check(
        self, files: Mapping[str, bytes], entrypoint: str, additional_imports: Collection[str]
    ) -> list[Diagnostic]:
        idle = self._idle
        if idle is None:
            raise CheckUnavailable("The source check is not running.")
        question = _question(files, entrypoint, additional_imports)
        helper = await idle.get()
        try:
            if helper is None:
                helper = await self._replace()
            async with asyncio.timeout(WALL_SECONDS):
                answer = await helper.ask(question)
        except (OSError, EOFError, TimeoutError) as error:
            how = await self._discard(helper)
            helper = None
            raise CheckUnavailable(f"The source check gave no verdict: {how}.") from error
        except BaseException:
            # Cancelled in the middle of an answer: what the pipe still holds is of no use.
            await asyncio.shield(self._discard(helper))
            helper = None
            raise
        finally:
            idle.put_nowait(helper)  # None: the next question starts a new one
        return answer

    async def _replace(self) -> "_Helper":
        if self._idle is None:
            raise CheckUnavailable("The source check has been stopped.")
        helper = await _start()
        self._all.add(helper)
        return helper

    async def _discard(self, helper: "_Helper | None") -> str:
        if helper is None:
            return "its helper could not be started"
        self._all.discard(helper)
        return await helper.end()


class _Helper:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, question: bytes) -> list[Diagnostic]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise EOFError
        stdin.write(question)
        # No drain: a helper that ended would leave the writer waiting, and questions are bounded.
        (length,) = _LENGTH.unpack(await stdout.readexactly(_LENGTH.size))
        return [Diagnostic(*fields) for fields in json.loads(await stdout.readexactly(length))]

    async def end(self) -> str:
        with suppress(ProcessLookupError):
            self._process.kill()
        status = await self._process.wait()
        return {
            -signal.SIGPROF: f"it used more than {SECONDS:g} s of processor time",
            -signal.SIGKILL: f"it took more than {WALL_SECONDS:g} s",
        }.get(status, f"its helper ended with status {status}")


async def _start() -> _Helper:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-E",
        "-m",
        "api.clients.source_checker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        limit=4 * 1024 * 1024,
        cwd=_ROOT,
        start_new_session=True,  # an interrupt at the terminal is the parent's to handle
    )
    return _Helper(process)


def _question(
    files: Mapping[str, bytes], entrypoint: str, additional_imports: Collection[str]
) -> bytes:
    head = json.dumps(
        {
            "files": [(path, len(data)) for path, data in files.items()],
            "entrypoint": entrypoint,
            "additional_imports": list(additional_imports),
        }
    ).encode()
    body = b"".join(files.values())
    return b"".join((_LENGTH.pack(len(head)), head, _LENGTH.pack(len(body)), body))


# In the helper -----------------------------------------------------------------------------


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer questions until the parent closes the pipe."""
    gc.freeze()  # what is there now stays …
    gc.disable()  # … and trees grow large: collecting meanwhile only costs time
    while (head := _frame(questions)) is not None:
        body = _frame(questions)
        if body is None:
            return
        answer = json.dumps([astuple(found) for found in _answer(head, body)]).encode()
        answers.write(_LENGTH.pack(len(answer)) + answer)
        answers.flush()
        gc.collect()


def _answer(head: bytes, body: bytes) -> list[Diagnostic]:
    asked = json.loads(head)
    files, start = {}, 0
    for path, size in asked["files"]:
        files[path] = body[start : start + size]
        start += size
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # its signal ends the process, whatever it does
    try:
        return check(files, asked["entrypoint"], asked["additional_imports"])
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _frame(questions: BinaryIO) -> bytes | None:
    length = questions.read(_LENGTH.size)
    if len(length) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(length)
    content = questions.read(size)
    return content if len(content) == size else None


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    serve(sys.stdin.buffer, sys.stdout.buffer)
