"""Rate limits (limits): moving windows, in this process's memory."""

import asyncio
import ipaddress
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from api.errors import TooManyRequests

WINDOW_MINUTES: Final = 10
# Wrong passwords. One address gets few tries at one account; the account as a whole allows more,
# so that somebody elsewhere cannot lock its owner out without owning ten addresses.
FAILURES_PER_ACCOUNT_AND_ADDRESS: Final = RateLimitItemPerMinute(
    10, WINDOW_MINUTES, namespace="failures"
)
FAILURES_PER_ACCOUNT: Final = RateLimitItemPerMinute(
    100, WINDOW_MINUTES, namespace="account-failures"
)
# A school with many classes behind one address must never be refused.
LOGINS_PER_ADDRESS: Final = RateLimitItemPerMinute(300, WINDOW_MINUTES, namespace="logins")
SIGNUPS_PER_ADDRESS: Final = RateLimitItemPerMinute(120, WINDOW_MINUTES, namespace="signups")
# Apps woken by visitors: each is a commit. A class opens the address of each other's apps; crawlers
# come from many addresses.
WAKES_PER_APP: Final = RateLimitItemPerMinute(6, WINDOW_MINUTES, namespace="wakes-of-app")
WAKES_PER_ADDRESS: Final = RateLimitItemPerMinute(60, WINDOW_MINUTES, namespace="wakes-by-address")
WAKES: Final = RateLimitItemPerMinute(600, WINDOW_MINUTES, namespace="wakes")


class RateLimits:
    """Counts what was tried and refuses, with the seconds to wait, what is too much."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._attempts: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def count(self, item: RateLimitItemPerMinute, key: str, *, what: str) -> None:
        """Count one use; raise TooManyRequests (uncounted) when the limit is reached."""
        if not await self._limiter.hit(item, key):
            raise await self._refusal(item, key, what=what)

    async def require(self, item: RateLimitItemPerMinute, *keys: str, what: str) -> None:
        """Raise TooManyRequests when the limit is reached; counts nothing."""
        if not await self._limiter.test(item, *keys):
            raise await self._refusal(item, *keys, what=what)

    @asynccontextmanager
    async def password_attempt(self, account: str, address: str) -> AsyncIterator["Attempt"]:
        """Around one check of a password: refuses it after too many wrong ones.

        Attempts of one address at one account go one after another, so that a burst of guesses
        cannot pass before the first of them is counted.
        """
        network = client_network(address)
        lock = self._attempts.setdefault((account, network), asyncio.Lock())
        async with lock:
            what = "wrong passwords"
            await self.require(FAILURES_PER_ACCOUNT_AND_ADDRESS, account, network, what=what)
            await self.require(FAILURES_PER_ACCOUNT, account, what=what)
            attempt = Attempt()
            yield attempt
            if attempt.failed:
                await self._limiter.hit(FAILURES_PER_ACCOUNT_AND_ADDRESS, account, network)
                await self._limiter.hit(FAILURES_PER_ACCOUNT, account)

    async def _refusal(
        self, item: RateLimitItemPerMinute, *keys: str, what: str
    ) -> TooManyRequests:
        stats = await self._limiter.get_window_stats(item, *keys)
        seconds = max(1, math.ceil(stats.reset_time - time.time()))
        return TooManyRequests(
            f"Too many {what} in the last {WINDOW_MINUTES} minutes.",
            hint=f"Try again in {seconds} seconds.",
            details={"retry_after": seconds},
        )


class Attempt:
    """One check of a password; set `failed` when it was wrong."""

    failed = False


def client_network(address: str) -> str:
    """The address as it is counted: one IPv6 subscriber has a whole /64 of them."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
