"""Tells Flux which shard branches moved, through the Receiver's webhook; no RBAC is needed.

A poke that arrives before the branch is visible at the forge is lost until the next interval, so it
is repeated while a source lags behind its branch; one that did not arrive at all is repeated until
somebody takes it. https://fluxcd.io/flux/components/notification/
describes the path and the signature of `generic-hmac`.
"""

import asyncio
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import httpx2

from api.domain.flux_objects import NAMESPACE, RECEIVER

_LOG: Final = logging.getLogger(__name__)
#: Seconds after the branch moved at which Flux is told (again).
_MOMENTS: Final = (0.0, 1.0, 2.0, 5.0, 15.0, 60.0)
#: Seconds between attempts while the Receiver takes nothing, however long that is.
_AWAY_SECONDS: Final = 5.0
_SECONDS: Final = 5.0
_MAX_WORDS: Final = 300


@dataclass
class _Due:
    moved: float  # time.monotonic()
    told: int = 0  # how often it was taken
    refused: float | None = None  # when it was not, the last time

    @property
    def at(self) -> float:
        moment = self.moved + _MOMENTS[self.told]
        return moment if self.refused is None else max(moment, self.refused + _AWAY_SECONDS)


class FluxReceiver:
    """Pokes sources until they follow; `lags` says whether a shard's source does not yet."""

    def __init__(self, url: str, token_file: Path, lags: Callable[[str], Awaitable[bool]]) -> None:
        self._token_file = token_file
        self._lags = lags
        self._due: dict[str, _Due] = {}
        self._moved = asyncio.Event()
        self._client = httpx2.AsyncClient(
            base_url=url.rstrip("/"), timeout=_SECONDS, trust_env=False
        )
        self.problem: str | None = None

    async def close(self) -> None:
        """Close the connection; call it when `run` has ended."""
        await self._client.aclose()

    def poke(self, shards: Collection[str]) -> None:
        """These branches may have moved: tell at once, and later again, while a source lags."""
        now = time.monotonic()
        self._due.update({shard: _Due(now) for shard in shards})
        if shards:
            self._moved.set()

    def waits(self, shard: str) -> bool:
        """Whether Flux was told about this shard and does not follow yet."""
        return shard in self._due

    async def run(self) -> None:
        """Tell whatever is due, until cancelled."""
        while True:
            self._moved.clear()
            next_at = min((due.at for due in self._due.values()), default=None)
            try:
                async with asyncio.timeout(
                    None if next_at is None else max(0.0, next_at - time.monotonic())
                ):
                    await self._moved.wait()
            except TimeoutError:
                pass  # something is due
            await self._tell_due()

    async def _tell_due(self) -> None:
        now = time.monotonic()
        due = {shard: due for shard, due in self._due.items() if due.at <= now}
        if not due:
            return
        lagging = [shard for shard in due if await self._lags(shard)]
        taken = not lagging or await self._tell(sorted(lagging))
        for shard, was in due.items():
            if self._due.get(shard) is not was:
                continue  # it moved again meanwhile
            was.told += taken
            was.refused = None if taken else time.monotonic()
            if shard not in lagging or was.told == len(_MOMENTS):
                del self._due[shard]

    async def _tell(self, shards: list[str]) -> bool:
        """Whether the Receiver took it."""
        body = json.dumps({"sources": [f"shard-{shard}" for shard in shards]}).encode()
        try:
            token = await asyncio.to_thread(self._token_file.read_bytes)
            answer = await self._client.post(
                webhook_path(token),
                content=body,
                headers={"Content-Type": "application/json", "X-Signature": signature(token, body)},
            )
        except (httpx2.HTTPError, OSError) as error:
            return self._refused(str(error) or type(error).__name__)
        if not answer.is_success:
            return self._refused(f"it answered {answer.status_code} {answer.text[:_MAX_WORDS]}")
        self.problem = None
        return True

    def _refused(self, words: str) -> Literal[False]:
        problem = f"Flux' receiver cannot be told that a branch moved: {words}"
        if problem != self.problem:
            _LOG.warning("%s", problem)
        self.problem = problem
        return False


def webhook_path(token: bytes) -> str:
    """The Receiver's path, as Flux makes it from the token."""
    return "/hook/" + hashlib.sha256(token + f"{RECEIVER}{NAMESPACE}".encode()).hexdigest()


def signature(token: bytes, body: bytes) -> str:
    """The header `X-Signature` of a request."""
    return "sha256=" + hmac.new(token, body, hashlib.sha256).hexdigest()
