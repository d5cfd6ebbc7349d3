"""Password hashes: argon2id through passlib's API, in threads, a few at a time."""

import asyncio
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from passlib.context import CryptContext

from api.errors import Unavailable

# OWASP's Password Storage Cheat Sheet (second of its equivalent choices): 19 MiB, two passes, one
# lane; about 30 ms. A hash carries its parameters, so older ones keep their own.
MEMORY_KIB: Final = 19 * 1024
PASSES: Final = 2
LANES: Final = 1
#: Hashes computed at once: bounds memory (19 MiB each) and leaves the loop its processor.
CONCURRENT: Final = max(1, min(4, os.cpu_count() or 1))
#: Hashes waiting: about 8 s of work; beyond, an honest refusal is better than a time-out.
MAX_WAITING: Final = 500

_Result = TypeVar("_Result")


class Passwords:
    """Hashes and verifies; close it to end its threads."""

    def __init__(self) -> None:
        self._context = CryptContext(
            schemes=["argon2"],
            argon2__type="ID",
            argon2__memory_cost=MEMORY_KIB,
            argon2__time_cost=PASSES,
            argon2__parallelism=LANES,
        )
        self._threads = ThreadPoolExecutor(CONCURRENT, thread_name_prefix="argon2")
        self._waiting = 0
        # A hash of the same cost that no password matches: verified when there is no account.
        self._dummy = self._context.hash(secrets.token_urlsafe(32))

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)

    async def hash(self, password: str) -> str:
        """A salted hash; raises Unavailable when too many wait."""
        return str(await self._run(self._context.hash, password))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether the password fits; with None (no such account) it takes as long and is False."""
        fits = await self._run(self._context.verify, password, hashed or self._dummy)
        return bool(fits) and hashed is not None

    async def _run(self, function: Callable[..., _Result], *arguments: str) -> _Result:
        if self._waiting >= MAX_WAITING:
            raise Unavailable("Too many people are logging in at this moment.", code="busy")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, function, *arguments)
        finally:
            self._waiting -= 1
