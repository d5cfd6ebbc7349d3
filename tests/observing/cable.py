"""A connection that can be cut: a TCP relay between the platform and an API server."""

import asyncio
import contextlib
from typing import Self


class Cable:
    """Relays bytes to one address; cut, unplugged or slow at a word."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.chunk = 65536  # bytes at once; small: answers come in pieces
        self.instead: bytes | None = None  # an answer that is given, and nothing is relayed
        self.connections = 0

    async def __aenter__(self) -> Self:
        await self.plug()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.unplug()

    async def plug(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def unplug(self) -> None:
        """Refuse connections, and cut those there are."""
        if self._server:
            self._server.close()
        self.cut()
        if self._server:
            await self._server.wait_closed()
            self._server = None

    def cut(self) -> None:
        """End every connection in the middle of whatever it carries."""
        for writer in self._writers:
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.instead is not None:
            await self._answer(self.instead, reader, writer)
            return
        try:
            there, back = await asyncio.open_connection(*self._to)
        except OSError:
            writer.close()
            return
        ends = {writer, back}
        self._writers |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, back))
                group.create_task(self._pump(there, writer))
        finally:
            self._writers -= ends
            for end in ends:
                end.close()

    async def _answer(
        self, answer: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError):
            await reader.read(self.chunk)
            writer.write(answer)
            await writer.drain()
        self._writers.discard(writer)
        writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(self.chunk):
                writer.write(data)
                await writer.drain()
        writer.close()
