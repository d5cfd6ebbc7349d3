"""What all examples of the state machine share."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, ClassVar

from api.clients.source_checker import SourceChecker
from api.domain.source_check import Diagnostic
from api.errors import CheckUnavailable


class Clock:
    """A second later whenever somebody looks, so that every run of an example is the same."""

    seconds = 0

    def __call__(self) -> int:
        self.seconds += 1
        return self.seconds

    def now(self, zone: tzinfo) -> datetime:
        return datetime.fromtimestamp(self(), zone)


class Sources(SourceChecker):
    """The check as it is; what it said is remembered, and a busy machine is given time."""

    said: ClassVar[dict[Any, list[Diagnostic]]] = {}

    async def check(self, files, entrypoint, *arguments, **options):
        key = tuple(sorted(files.items())), entrypoint
        for _ in range(10):
            if key not in self.said:
                with suppress(CheckUnavailable):
                    self.said[key] = await super().check(files, entrypoint, *arguments, **options)
        return self.said[key]


@dataclass(frozen=True)
class Bench:
    """What all examples share."""

    runner: asyncio.Runner
    sources: Sources
    template: Path
    clock: Clock
