"""What the platform's template once wrote into a repository, so that an upgrade can tell it apart.

A file that still has the digest of the record is the template's, and may be brought up to date;
any other is somebody's own.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.domain.repo_layout import InvalidFile

RECORD: Final = ".init-repo.json"
_ABOUT: Final = "Written by `python -m api init-repo`: digests of the template's files."


class Record(BaseModel):
    """Digests (SHA-256, hex) of what was written, by path on `main`.

    People may change it as any file of `main`, so nothing in it decides what a cluster allows.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    about: str = _ABOUT
    files: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> "Record":
        """The record of a repository that was just made."""
        return cls(files={path: digest(data) for path, data in sorted(files.items())})

    @classmethod
    def parse(cls, data: bytes | None) -> "Record":
        """Read it; without one nothing is known to be the template's. Raises InvalidFile."""
        if data is None:
            return cls()
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            raise InvalidFile(RECORD, first["msg"]) from None

    def dump(self) -> bytes:
        """As it is committed: same value, same bytes."""
        content = self.model_dump(mode="json", exclude_none=True)
        return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


@dataclass(frozen=True)
class Comparison:
    """What an upgrade does with the files of a repository, by path."""

    write: Mapping[str, bytes | None]  # None: taken out, the template has it no more
    keep: tuple[str, ...]  # somebody's own, and the template has something newer
    files: Mapping[str, str] = field(repr=False)  # the digests from now on


def digest(data: bytes) -> str:
    """How the record names a file's content."""
    return hashlib.sha256(data).hexdigest()


def compare(
    recorded: Mapping[str, str], present: Mapping[str, bytes | None], template: Mapping[str, bytes]
) -> Comparison:
    """What to write so that a repository stands as the template, without touching people's work.

    `present` has the present content of every path in `recorded` and `template`.
    """
    write: dict[str, bytes | None] = {}
    keep: list[str] = []
    digests: dict[str, str] = {}
    for path in sorted(recorded.keys() | template.keys()):
        now, new, known = present[path], template.get(path), recorded.get(path)
        if now is not None and now != new and digest(now) != known:
            if new is not None:
                digests[path] = known or ""
            if new is None or digest(new) != known:
                keep.append(path)
            continue
        if new is not None:
            digests[path] = digest(new)
        if now != new:
            write[path] = new
    return Comparison(write, tuple(keep), digests)
