"""Follows a guide as a person at a terminal does: its shell blocks in order, in one shell."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXPORTED = re.compile(r"^export (\w+)=", re.MULTILINE)


def blocks(page: Path) -> list[str]:
    """What the page says to run."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def with_values(block: str, values: Mapping[str, str]) -> str:
    """A block that only exports examples, with these values in their places."""
    names = set(_EXPORTED.findall(block))
    assert names == values.keys(), names ^ values.keys()
    return "".join(f"export {name}={value}\n" for name, value in values.items())


class Shell:
    """A shell that stops at the first command that fails."""

    def __init__(self, folder: Path, environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                ["bash", "-euo", "pipefail"],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def run(self, block: str) -> str:
        """What the block printed; AssertionError with the last words where it failed.

        Every command in it has a time limit of its own, or ends by itself.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{block}\necho '-- done --'\n")
        self._process.stdin.flush()
        printed = []
        for line in self._process.stdout:
            if line == "-- done --\n":
                return "".join(printed)
            printed.append(line)
        raise AssertionError(f"{block}\n{''.join(printed)}\n{self._log.read_text()[-4000:]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()
