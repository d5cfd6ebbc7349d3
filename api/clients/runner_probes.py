"""Questions to a runner's own port, which answers whatever becomes of the learner's app."""

import asyncio
import json
from typing import Final

from api.errors import ClusterUnavailable

_OK: Final = 200
_SECONDS: Final = 1.0
#: A learner's program may listen there and never end its answer.
_LONGEST: Final = 64 * 1024


async def probe(host: str, port: int, path: str) -> tuple[int, bytes]:
    """Status and body of the answer; status 0 when there is none.

    Plain sockets: an HTTP client's millisecond, asked every few, would slow down a start.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nhost: probe\r\n\r\n".encode())
                head, _, body = (await _bounded(reader)).partition(b"\r\n\r\n")
            finally:
                writer.close()
        return int(head.split(b" ", 2)[1]), body
    except (OSError, IndexError, ValueError, TimeoutError):
        return 0, b""


async def _bounded(reader: asyncio.StreamReader) -> bytes:
    """All that is answered; raises ValueError when that is too much."""
    answer = b""
    while part := await reader.read(_LONGEST):
        answer += part
        if len(answer) > _LONGEST:
            raise ValueError("longer than any runner's answer")
    return answer


async def open_requests(host: str, port: int) -> int:
    """How many requests, streams and WebSockets the app serves at this moment.

    Raises ClusterUnavailable when the runner does not tell.
    """
    status, body = await probe(host, port, "/usage")
    try:
        if status == _OK:
            count = json.loads(body)["open"]
            if type(count) is int and count >= 0:
                return count
            status = 0
    except (ValueError, LookupError, TypeError, RecursionError):
        status = 0  # another program listens there
    if status:
        raise ClusterUnavailable(
            "its runner is of an older release, which does not tell of open connections",
            hint="`python -m api rerender` brings every app to the newest runner.",
        )
    raise ClusterUnavailable("its runner cannot be asked for open connections")
