"""Connections of the platform's server that a test can cut, unplug or answer itself."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from tests.observing.cable import Cable

_SECONDS: Final = 10.0


class Line:
    """A cable to one address, in a thread of its own: who uses it is another process."""

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url)
        if self._to.hostname is None or self._to.port is None:
            raise ValueError(f"{url} names no host and port")
        self._cable = Cable(self._to.hostname, self._to.port)
        self._loop = asyncio.new_event_loop()

    @property
    def url(self) -> str:
        """The address on this side."""
        return self._to._replace(netloc=f"127.0.0.1:{self._cable.port}").geturl()

    @property
    def connections(self) -> int:
        """How many were opened."""
        return self._cable.connections

    @contextmanager
    def running(self) -> Iterator["Line"]:
        """Plugged in while the context lasts."""
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        self._do(self._cable.plug())
        try:
            yield self
        finally:
            self._do(self._cable.unplug())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(_SECONDS)
            self._loop.close()

    def cut(self) -> None:
        """End every connection; new ones can be opened at once."""
        self._loop.call_soon_threadsafe(self._cable.cut)

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """Nobody is reached while the context lasts."""
        self._do(self._cable.unplug())
        try:
            yield
        finally:
            self._do(self._cable.plug())

    @contextmanager
    def answered(self, answer: bytes) -> Iterator[None]:
        """Every connection gets this answer to what it sends first, and nothing goes through."""
        self._cable.instead = answer
        self.cut()
        try:
            yield
        finally:
            self._cable.instead = None
            self.cut()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)


@dataclass(frozen=True)
class Lines:
    """What the server reaches over a line."""

    api: Line  # the API server
    receiver: Line  # of Flux
