"""Asking apps whether they answer: those that never do keep nobody else waiting."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest

from api.clients import route_checks
from api.clients.route_checks import RouteChecks, intent_at
from api.domain.names import AppRef, app_path

APPS = "https://apps.example.org"
FRESH = AppRef("ann", "fresh")
SILENT = [AppRef("bob", f"silent{number}") for number in range(40)]


class Router:
    """Answers for one app, lets the connections to all others hang, or talks without an end."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.endless = False
        self.sent = 0
        self._hanging = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.append(head.split()[1])
            if self.endless:
                await self._talk(writer)
            elif self.asked[-1] != f"{app_path(FRESH)}/":
                await self._hanging.wait()
            writer.write(
                b"HTTP/1.1 204 No Content\r\nfastapi-platform-intent: mine\r\n"
                b"connection: close\r\n\r\n"
            )
            await writer.drain()
        writer.close()

    async def _talk(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        while self.sent < 100 << 20:
            writer.write(b"x" * 65536)
            self.sent += 65536
            await writer.drain()

    def times(self) -> Counter[str]:
        return Counter(self.asked)


@pytest.fixture
async def router() -> AsyncIterator[Router]:
    made = Router()
    listener = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    yield made
    made._hanging.set()
    listener.close()


async def test_apps_that_keep_silent_keep_no_other_app_waiting(router, monkeypatch):
    monkeypatch.setattr(route_checks, "_SECONDS", 0.1)
    checks = RouteChecks(router.url, APPS, lambda _: None)
    paths = [f"{app_path(ref)}/" for ref in SILENT]

    async def wait_for_them_until(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not holds():
                for ref in SILENT:
                    checks.want(ref, "mine", times=1)
                await asyncio.sleep(0.01)

    await wait_for_them_until(lambda: min(router.times()[path] for path in paths) > 2)
    monkeypatch.setattr(route_checks, "_SECONDS", 600.0)  # from now on they hang
    hanging = len(router.asked)
    await wait_for_them_until(lambda: len(router.asked) >= hanging + 8)
    checks.want(FRESH, "mine", times=1)
    async with asyncio.timeout(20):
        while FRESH not in checks.answered:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await checks.close()


async def test_a_version_that_answers_again_is_asked_like_any_other(router, monkeypatch):
    monkeypatch.setattr(route_checks, "_SECONDS", 0.05)
    answered = asyncio.Event()
    checks = RouteChecks(router.url, APPS, lambda _: answered.set())
    async with asyncio.timeout(20):
        while not checks._is_silent(SILENT[0], "mine"):
            checks.want(SILENT[0], "mine", times=1)
            await asyncio.sleep(0.01)
        router._hanging.set()
        checks.want(SILENT[0], "mine", times=1)
        await answered.wait()
    assert not checks._is_silent(SILENT[0], "mine")
    await checks.close()


async def test_an_answer_without_an_end_is_none_and_is_not_read(router):
    router.endless = True
    async with httpx2.AsyncClient(base_url=router.url, trust_env=False) as client:
        assert await intent_at(client, FRESH) is None
    assert router.sent < 20 << 20
