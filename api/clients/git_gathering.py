"""Objects that are written together: kept in memory until a push needs them, then stored at once.

A deploy makes some 16 objects; as files of their own they cost most of the time of a batch, and
thirty times the space of a pack.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pygit2

#: Fewer objects are stored loose: a pack for every deploy would slow down every look-up.
_WORTH_A_PACK: Final = 200
_FIRST: Final = 1000  # before libgit2's own places for objects …
_LAST: Final = 0  # … and behind them

Objects = dict[pygit2.Oid, tuple[int, bytes]]


class _Memory(pygit2.OdbBackend):
    """A place for objects, as libgit2 asks for it; a KeyError says that it is not here."""

    def __init__(self, objects: Objects) -> None:
        super().__init__()
        self._objects = objects

    def read_cb(self, oid: pygit2.Oid) -> tuple[int, bytes]:
        return self._objects[oid]

    def read_prefix_cb(self, oid: pygit2.Oid) -> tuple[int, bytes, pygit2.Oid]:
        kind, data = self._objects[oid]  # whole ids come this way too; short ones are not used
        return kind, data, oid

    def read_header_cb(self, oid: pygit2.Oid) -> tuple[int, int]:
        kind, data = self._objects[oid]
        return kind, len(data)

    def write_cb(self, oid: pygit2.Oid, data: bytes, kind: int) -> None:
        self._objects[oid] = (kind, bytes(data))

    def exists_cb(self, oid: pygit2.Oid) -> bool:
        return oid in self._objects

    def exists_prefix_cb(self, oid: pygit2.Oid) -> pygit2.Oid:
        if oid not in self._objects:
            raise KeyError(oid)
        return oid

    def refresh_cb(self) -> None:
        """Nothing is read ahead."""

    def __iter__(self) -> Iterator[pygit2.Oid]:
        return iter(list(self._objects))


def open_reading(path: Path, gathered: Objects) -> pygit2.Repository:
    """A repository that sees gathered objects, and stores what it writes at once."""
    return _opened(path, gathered, _LAST)


def open_gathering(path: Path, gathered: Objects) -> pygit2.Repository:
    """A repository that keeps what it writes among the gathered objects."""
    return _opened(path, gathered, _FIRST)


def _opened(path: Path, gathered: Objects, place: int) -> pygit2.Repository:
    repository = pygit2.Repository(str(path))
    memory, odb = _Memory(gathered), repository.odb
    odb.add_backend(memory, place)
    repository.kept = (memory, odb)  # type: ignore[attr-defined]  # libgit2 counts no references
    return repository


def store(path: Path, objects: Mapping[pygit2.Oid, tuple[int, bytes]]) -> None:
    """Put objects into the repository: all of them in one pack, or loose when they are few."""
    if len(objects) < _WORTH_A_PACK:
        plain = pygit2.Odb(str(path / "objects"))
        for kind, data in objects.values():
            plain.write(kind, data)
        return
    repository = open_reading(path, dict(objects))
    builder = pygit2.PackBuilder(repository)
    for oid in objects:
        builder.add(oid)
    builder.write(str(path / "objects" / "pack"))
