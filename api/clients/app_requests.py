"""Requests handed on to an app at its own address, through the router, as their senders meant them.

For the one request that woke an app: afterwards the router leads to the app itself.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final
from urllib.parse import urlsplit

import httpx2

from api.clients.route_checks import intent_at
from api.domain.names import AppRef
from api.domain.visits import PROBE
from api.errors import ClusterUnavailable

#: Of one connection only, or made anew by whoever sends: RFC 9110, section 7.6.1.
_HOP_BY_HOP: Final = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade"),
        *(b"transfer-encoding", b"expect"),
    }
)
#: Seconds without a byte, either way; the router's own patience with an app is longer.
_SILENCE: Final = 60.0
_CONNECT: Final = 5.0
_AT_ONCE: Final = 200

#: Seconds for a whole answer: only the request that woke the app comes this way.
_LONGEST_ANSWER: Final = 300.0

Headers = Sequence[tuple[bytes, bytes]]


class AppAnswer:
    """What an app answers, byte for byte; to be closed."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers = passed_on([(key.lower(), value) for key, value in response.headers.raw])

    async def content(self) -> AsyncIterator[bytes]:
        """The body as it comes; what breaks off here, the visitor sees broken off too."""
        try:
            async with asyncio.timeout(_LONGEST_ANSWER):
                async for part in self._response.aiter_raw():
                    yield part
        finally:
            await self.close()

    async def close(self) -> None:
        """Let go of the connection, also in the middle of an answer."""
        await self._response.aclose()


class AppRequests:
    """Reaches apps as everybody does: nothing leads past the router and its rules."""

    def __init__(self, router_url: str, apps_origin: str) -> None:
        base = router_url.rstrip("/")
        self._base = httpx2.URL(base)
        host = urlsplit(apps_origin).netloc
        self._probes = httpx2.AsyncClient(
            base_url=base, headers={PROBE: "1", "host": host}, trust_env=False, timeout=_CONNECT
        )
        self._client = httpx2.AsyncClient(
            trust_env=False,
            timeout=httpx2.Timeout(_SILENCE, connect=_CONNECT),
            limits=httpx2.Limits(max_connections=_AT_ONCE, max_keepalive_connections=0),
        )

    async def close(self) -> None:
        """Let go of every connection."""
        await self._probes.aclose()
        await self._client.aclose()

    async def answers(self, ref: AppRef) -> bool:
        """Whether the app's address leads to the app now."""
        return await intent_at(self._probes, ref) is not None

    async def send(
        self, method: str, target: bytes, headers: Headers, body: AsyncIterator[bytes] | None
    ) -> AppAnswer:
        """The app's answer as soon as it begins; the caller closes it.

        `target`: path and query as they came. It is sent once only: whether an app did something
        before the connection broke, nobody knows. Raises ClusterUnavailable.
        """
        request = httpx2.Request(
            method,
            self._base.copy_with(raw_path=target),
            headers=passed_on(headers),
            content=body,
        )
        if body is None:
            request.headers.pop("content-length", None)
        try:
            return AppAnswer(await self._client.send(request, stream=True))
        except httpx2.HTTPError as error:
            raise ClusterUnavailable(f"The app's answer did not come: {error!r}") from error


def passed_on(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Headers without those of one connection, also the ones that `Connection` names."""
    named = {
        name.strip().lower()
        for key, value in headers
        if key.lower() == b"connection"
        for name in value.split(b",")
    }
    dropped = _HOP_BY_HOP | named
    return [(key, value) for key, value in headers if key.lower() not in dropped]
