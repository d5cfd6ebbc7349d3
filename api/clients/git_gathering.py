"""Objects that are written together: kept in memory until a push needs them, then stored at once.

A deploy makes some 16 objects; as files of their own they cost most of the time of a batch, and
thirty times the space of a pack.
"""

import os
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pygit2
from pygit2.enums import ObjectType

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
        for oid, (kind, data) in objects.items():
            _store_loose(path / "objects", str(oid), ObjectType(kind), data)
        return
    repository = open_reading(path, dict(objects))
    builder = pygit2.PackBuilder(repository)
    for oid in objects:
        builder.add(oid)
    builder.write(str(path / "objects" / "pack"))


def _store_loose(folder: Path, oid: str, kind: ObjectType, data: bytes) -> None:
    """Write one object in a file of its own, as `git help gitrepository-layout` describes it.

    A tree is mostly digests, which do not become smaller: deflating `apps/` with its 4,096 shards
    takes 4 ms, a seventh of a whole deploy, and libgit2 cannot be told to leave it.
    """
    target = folder / oid[:2] / oid[2:]
    target.parent.mkdir(exist_ok=True)
    content = b"%s %d\0%s" % (kind.name.lower().encode(), len(data), data)
    level = zlib.Z_NO_COMPRESSION if kind == ObjectType.TREE else zlib.Z_BEST_SPEED
    # A name that git's own maintenance sweeps up, should the process end here.
    handle, name = tempfile.mkstemp(prefix="tmp_obj_", dir=target.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(zlib.compress(content, level))
    Path(name).chmod(0o444)
    Path(name).replace(target)
