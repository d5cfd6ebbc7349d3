"""The real `kubectl kustomize` on a rendered folder, bounded in time, memory and output.

It starts in about 65 ms and needs 48 MB (2 cores, kubectl 1.37). Nothing of this environment
reaches it: no `PATH`, so kustomize finds no `git`, and a proxy that refuses, so it fetches nothing
from elsewhere. Go exempts the loopback address from proxies; `overlay_check` refuses every address
before a build.
"""

import asyncio
import contextlib
import os
import re
import shutil
import sysconfig
import tempfile
from asyncio.subprocess import Process
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from api.domain.yaml_text import load_all
from api.errors import CheckUnavailable, InvalidRequest

_SECONDS: Final = 10.0
_MEMORY_MIB: Final = 512
_OUTPUT_BYTES: Final = 16 * 1024 * 1024
_MESSAGE_CHARACTERS: Final = 1000
_REFUSED: Final = 1  # kubectl's own exit status for a build that fails
_PANIC: Final = re.compile(r"^panic: (.*)$", re.MULTILINE)  # kustomize on two objects of one name
# The limits hold before the program starts, and without Python code between fork and exec.
_LAUNCH: Final = 'ulimit -d "$1" && ulimit -t "$2" && shift 2 && exec "$@"'


class KustomizeRefused(InvalidRequest):
    """The folder does not build; the message holds kustomize's words, without our paths."""

    code = "kustomize_refused"
    hint = "Correct the overlay; `kubectl kustomize` on the app's folder shows the same words."


class Kustomize:
    """Builds folders with the `kubectl` of this Python environment, a few at a time."""

    def __init__(self, program: Path | None = None, *, at_once: int | None = None) -> None:
        self._program = program or Path(sysconfig.get_path("scripts")) / "kubectl"
        self._slots = asyncio.Semaphore(at_once or os.cpu_count() or 1)

    async def build(self, files: Mapping[str, bytes]) -> list[dict[str, Any]]:
        """The objects that a folder with these files (by relative path) builds.

        Raises KustomizeRefused, or CheckUnavailable when no answer came within the limits.
        """
        async with self._slots:
            folder = await asyncio.to_thread(_write, files)
            try:
                return await self._run(folder)
            finally:
                await asyncio.to_thread(shutil.rmtree, folder)

    async def build_folder(self, folder: Path) -> list[dict[str, Any]]:
        """The objects that an existing folder builds; raises as `build` does."""
        async with self._slots:
            return await self._run(folder)

    async def _run(self, folder: Path) -> list[dict[str, Any]]:
        status, output, errors = await self._communicate(folder)
        if status == _REFUSED or _PANIC.search(errors):
            raise KustomizeRefused(_readable(errors, folder))
        if status != 0:
            raise CheckUnavailable(
                f"kustomize ended with status {status} without an answer",
                hint="The folder may need more memory or time than a build gets; try again.",
            )
        try:
            documents = await asyncio.to_thread(load_all, output)
        except (yaml.YAMLError, ValueError) as error:
            raise CheckUnavailable(f"kustomize's output cannot be read: {error}") from error
        return [document for document in documents if document is not None]

    async def _communicate(self, folder: Path) -> tuple[int, bytes, str]:
        limits = (str(_MEMORY_MIB * 1024), str(int(_SECONDS)))
        try:
            process = await asyncio.create_subprocess_exec(
                *("/bin/sh", "-c", _LAUNCH, "sh", *limits),
                *(str(self._program), "kustomize", str(folder)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=_environment(),
            )
        except OSError as error:
            raise CheckUnavailable(f"kustomize cannot be started: {error}") from error
        try:
            async with asyncio.timeout(_SECONDS):
                output, errors = await asyncio.gather(
                    _drain(process, process.stdout), _drain(process, process.stderr)
                )
                status = await process.wait()
        except TimeoutError:
            raise CheckUnavailable(f"kustomize gave no answer in {_SECONDS:.0f} s") from None
        finally:
            _kill(process)
            await process.communicate()  # asyncio sees the end only once both pipes are empty
        if max(len(output), len(errors)) > _OUTPUT_BYTES:
            raise CheckUnavailable(f"kustomize wrote more than {_OUTPUT_BYTES} bytes")
        return status, output, errors.decode(errors="replace")


def _environment() -> dict[str, str]:
    nowhere = "http://127.0.0.1:9"  # the discard port: refused at once
    return {
        "HOME": "/nonexistent",
        "GOMEMLIMIT": f"{_MEMORY_MIB * 3 // 4}MiB",
        "HTTP_PROXY": nowhere,
        "HTTPS_PROXY": nowhere,
    }


async def _drain(process: Process, stream: asyncio.StreamReader | None) -> bytes:
    """Read a pipe to its end; a process that writes more than a build may give is ended."""
    content = bytearray()
    while stream and (part := await stream.read(65536)):
        content += part
        if len(content) > _OUTPUT_BYTES:
            _kill(process)
            break
    return bytes(content)


def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended by itself
        process.kill()


def _write(files: Mapping[str, bytes]) -> Path:
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{name!r} leads out of the folder")
    folder = Path(tempfile.mkdtemp(prefix="kustomize-")).resolve()
    try:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    except OSError:
        shutil.rmtree(folder)
        raise
    return folder


def _readable(errors: str, folder: Path) -> str:
    panic = _PANIC.search(errors)
    text = panic[1] if panic else errors
    text = text.replace(f"{folder}/", "").replace(str(folder), ".")
    text = " ".join(text.split()).removeprefix("error: ")
    return text[:_MESSAGE_CHARACTERS] or "kustomize refused the folder without a reason"
