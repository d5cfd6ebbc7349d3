"""Reads as much of the Dockerfile language as the product's need, and refuses the rest."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.plane.slot import PlaneFailed

_KNOWN: Final = {
    *("ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "RUN", "USER", "WORKDIR"),
}
_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Instruction:
    """One instruction: `COPY` and `*.py ./`."""

    keyword: str
    argument: str


@dataclass(frozen=True)
class Stage:
    """What follows one `FROM`."""

    base: str
    name: str
    instructions: tuple[Instruction, ...]

    def last(self, keyword: str, default: str | None = None) -> str:
        """The argument that counts, of an instruction that replaces the earlier ones."""
        found = [each.argument for each in self.instructions if each.keyword == keyword]
        if default is not None:
            found.insert(0, default)
        if not found:
            raise PlaneFailed(f"The stage {self.name!r} of a Dockerfile has no {keyword}.")
        return found[-1]

    def words(self, keyword: str) -> list[str]:
        """All words of all instructions of a kind."""
        return [
            word
            for each in self.instructions
            if each.keyword == keyword
            for word in shlex.split(each.argument)
        ]

    def environment(self) -> dict[str, str]:
        """The variables that `ENV` sets."""
        return dict(word.split("=", 1) for word in self.words("ENV"))

    def command(self, keyword: str) -> list[str]:
        """What a container runs (`ENTRYPOINT`, `CMD`), in the form that starts no shell."""
        return [str(word) for word in json.loads(self.last(keyword, "[]"))]


def stages(path: Path) -> list[Stage]:
    """The stages of a Dockerfile; raises PlaneFailed on what is not understood here."""
    found: list[Stage] = []
    values: dict[str, str] = {}
    for instruction in _instructions(path):
        argument = _VARIABLE.sub(lambda match: values[match[1]], instruction.argument)
        if instruction.keyword == "ARG":
            name, _, default = argument.partition("=")
            values[name] = default
        elif instruction.keyword == "FROM":
            base, _, name = argument.partition(" AS ")
            found.append(Stage(base, name.strip(), ()))
        else:
            stage = found.pop()
            step = Instruction(instruction.keyword, argument)
            found.append(Stage(stage.base, stage.name, (*stage.instructions, step)))
    return found


def _instructions(path: Path) -> list[Instruction]:
    lines = path.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#"))
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        keyword, _, argument = line.strip().partition(" ")
        if keyword not in _KNOWN:
            raise PlaneFailed(f"{path}: `{keyword}` is not understood by tests/cluster.")
        found.append(Instruction(keyword, argument.strip()))
    return found
