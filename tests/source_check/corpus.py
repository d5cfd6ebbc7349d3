"""Reads the corpus: `### code: title` begins a case, `«…»` marks a place that must be named.

A case is the entrypoint's text; a line `--- path` begins another file.
"""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"
APP = "\nfrom fastapi import FastAPI\napp = FastAPI()\n"


@dataclass(frozen=True)
class Case:
    code: str  # of the diagnostics; for accepted programs: "ok"
    title: str
    text: str
    places: tuple[tuple[int, int, int, int], ...]  # line, column, end line, end column
    others: tuple[tuple[str, str], ...] = ()  # path and text of the other files

    @property
    def files(self) -> dict[str, bytes]:
        """The entrypoint as it stands, and the other files."""
        return {path: text.encode() for path, text in (("user_code.py", self.text), *self.others)}


def read(name: str) -> list[Case]:
    parts = re.split(r"^### (\w+): (.*)\n", (FOLDER / name).read_text(), flags=re.MULTILINE)[1:]
    return [_case(*three) for three in zip(parts[::3], parts[1::3], parts[2::3], strict=True)]


def _case(code: str, title: str, text: str) -> Case:
    first, *more = re.split(r"^--- (.*)\n", text, flags=re.MULTILINE)
    others = tuple(zip(more[::2], more[1::2], strict=True))
    return Case(code, title, *_unmark(first), others)


def _unmark(text: str) -> tuple[str, tuple[tuple[int, int, int, int], ...]]:
    plain, places, start = "", [], (0, 0)
    for character in text:
        here = (plain.count("\n") + 1, len(plain) - plain.rfind("\n"))
        if character == "«":
            start = here
        elif character == "»":
            places.append((*start, *here))
        else:
            plain += character
    return plain, tuple(places)
