"""Asks `python -m api doctor` as an operator does, on a machine whose DNS knows the test's zone."""

import json
import os
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from typer.testing import CliRunner

from api.commands import app

ZONE = "localhost"  # names below it lead here, as in a browser; not every resolver says so
_KEPT = ("PATH", "HOME", "LANG")


@dataclass(frozen=True)
class Told:
    """What doctor said."""

    status: int
    findings: tuple[Mapping[str, str], ...]
    unlooked: tuple[Mapping[str, str], ...]
    by_hand: tuple[Mapping[str, str], ...]
    passed: tuple[str, ...]

    @property
    def named(self) -> set[str]:
        """The checks that found something."""
        return {finding["check"] for finding in self.findings}


def consult(settings: Mapping[str, str], *words: str) -> Told:
    """With these settings and no others."""
    given = {name: os.environ[name] for name in _KEPT if name in os.environ} | dict(settings)
    arguments = ["doctor", "--json", *words]
    with (
        patch.dict(os.environ, given, clear=True),
        patch.object(socket, "getaddrinfo", looked_up(socket.getaddrinfo)),
        ThreadPoolExecutor(1) as thread,  # a browser of the same run has its loop in this one
    ):
        done = thread.submit(CliRunner().invoke, app, arguments, catch_exceptions=False).result()
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert told["status"] == done.exit_code
    lists = {name: tuple(told[name]) for name in ("findings", "unlooked", "by_hand", "passed")}
    return Told(done.exit_code, **lists)


def looked_up(look_up: Any) -> Any:
    """`getaddrinfo` as it is where DNS knows the zone."""

    def in_zone(host: Any, *arguments: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host or ""
        here = "127.0.0.1" if name.endswith(f".{ZONE}") else host
        return look_up(here, *arguments, **more)

    return in_zone
