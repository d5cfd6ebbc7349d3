"""A real server that speaks MongoDB's protocol: that of MONGODB_TEST_URI, or FerretDB.

FerretDB 1.24 keeps its data in SQLite and is built from its Go module, once, in some seconds. It
stands in for mongod, with these differences: docs/mongodb.md.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import bson
import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.cluster import build
from tests.product import free_port

LAUNCHER: Final = Path(__file__).parents[1] / "api/local/die_with_parent.py"
_USER: Final = "platform"
_START_SECONDS: Final = 30.0


def database(uri: str, name: str) -> str:
    """The address of a database of this name on the server."""
    return urlunsplit(urlsplit(uri)._replace(path=f"/{name}"))


@contextmanager
def own_database(uri: str) -> Iterator[str]:
    """The address of a new, empty database, which is dropped in the end."""
    name = f"test_{secrets.token_hex(6)}"
    yield database(uri, name)
    with MongoClient[dict[str, object]](uri, timeoutMS=10_000) as client:
        client.drop_database(name)


def dump(uri: str) -> bytes:
    """All of a database, as `mongodump` reads it: each collection's documents and indexes."""
    with MongoClient[dict[str, Any]](uri, timeoutMS=10_000) as client:
        there = client.get_default_database()
        return bson.encode(
            {
                name: {
                    "documents": list(there[name].find()),
                    "indexes": [dict(index) for index in there[name].list_indexes()],
                }
                for name in there.list_collection_names()
            }
        )


def restore(uri: str, archive: bytes) -> None:
    """What was dumped in place of what is there, as by `mongorestore --drop`."""
    with MongoClient[dict[str, Any]](uri, timeoutMS=10_000) as client:
        target = client.get_default_database()
        for name, kept in bson.decode(archive).items():
            target.drop_collection(name)
            if kept["documents"]:
                target[name].insert_many(kept["documents"])
            for index in kept["indexes"]:
                if index["name"] != "_id_":
                    unique = index.get("unique", False)
                    target[name].create_index([*index["key"].items()], unique=unique)


@dataclass
class FerretDB:
    """A server of the test's own, on a port that survives a restart."""

    folder: Path
    program: Path
    port: int = field(default_factory=free_port)
    password: str = field(default_factory=lambda: f"{secrets.token_urlsafe(9)}@:/%")
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Its address, with name and password."""
        password = quote(self.password, safe="")
        return f"mongodb://{_USER}:{password}@127.0.0.1:{self.port}/?authSource=admin"

    def start(self) -> None:
        """Start it and wait until it lets its user in."""
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        arguments = [
            *("--handler=sqlite", f"--sqlite-url=file:{self.folder}/data/"),
            *(f"--state-dir={self.folder}", f"--listen-addr=127.0.0.1:{self.port}"),
            *("--debug-addr=-", "--telemetry=disable", "--log-level=error"),
            *("--test-enable-new-auth", "--setup-database=admin"),
            *(f"--setup-username={_USER}", f"--setup-password={self.password}"),
        ]
        launch = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid())]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*launch, str(self.program), *arguments], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "FerretDB does not answer"
            time.sleep(0.05)

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """Keep its connections and answer nothing: as a machine that hangs."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with MongoClient[dict[str, object]](self.uri, timeoutMS=1000) as client:
                client.admin.command("listDatabases")
        except PyMongoError:
            return False
        return True


@contextmanager
def ferretdb(folder: Path) -> Iterator[FerretDB]:
    """A server that is started already; skips the test where there can be none.

    Under CI it fails instead, but where Go is missing: there `.ci/run` says so.
    """
    try:
        program = build.programs(["ferretdb"])["ferretdb"]
    except build.CannotBuild as error:
        if os.environ.get("CI") and build.has_go():
            pytest.fail(str(error))
        pytest.skip(str(error))
    server = FerretDB(folder, program)
    server.start()
    try:
        yield server
    finally:
        server.resume()
        server.kill()


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The address of a server: the one that MONGODB_TEST_URI names, or a FerretDB."""
    if given := os.environ.get("MONGODB_TEST_URI"):
        yield given
        return
    with ferretdb(folder) as server:
        yield server.uri
