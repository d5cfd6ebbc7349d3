"""What a learner's program in the runner's place may answer: its app stays, and no other."""

import asyncio
from contextlib import suppress

import pytest

from api.clients.runner_probes import open_requests, probe
from api.errors import ClusterUnavailable


async def asked(body: bytes) -> int:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + body)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        return await open_requests("127.0.0.1", server.sockets[0].getsockname()[1])


async def test_a_runner_tells_what_is_open():
    assert await asked(b'{"intent": "0123", "open": 2}') == 2


@pytest.mark.parametrize(
    "body",
    [
        b'{"open": Infinity}',
        b'{"open": NaN}',
        b'{"open": -1}',
        b'{"open": false}',
        b'{"open": "0"}',
        b'{"open": 0.5}',
        b"[]",
        b"[" * 50_000,
        b'{"open": 0}' + b" " * 100_000,
    ],
)
async def test_a_forged_answer_tells_nothing(body: bytes):
    with pytest.raises(ClusterUnavailable):
        await asked(body)


async def test_an_answer_without_end_is_not_kept():
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000)  # and the connection stays open
        with suppress(ConnectionError):  # whoever asked hangs up
            await reader.read()
        ended.set()
        writer.close()

    ended = asyncio.Event()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        assert await probe("127.0.0.1", server.sockets[0].getsockname()[1], "/usage") == (0, b"")
        await asyncio.wait_for(ended.wait(), 5)
