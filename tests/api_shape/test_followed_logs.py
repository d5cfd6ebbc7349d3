"""Following a log holds connections all the way to a kubelet: nobody takes those of everybody."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from api.clients.cluster import LogLine
from api.domain.names import AppRef
from api.errors import ClusterUnavailable
from api.routes import apps
from api.turns import Turns


class Logs:
    """Prints one line, and then waits for ever; or says that all can be followed is followed."""

    full = False

    def logs(self, _: AppRef, /, *, follow: bool, **__: object) -> AsyncIterator[LogLine]:
        if self.full:
            raise ClusterUnavailable("All are followed.")
        return self._lines(follow=follow)

    async def _lines(self, *, follow: bool) -> AsyncIterator[LogLine]:
        yield LogLine(datetime.now(UTC), "hello", "pod")
        if follow:
            await asyncio.Event().wait()


class Browser:
    """One request, straight to the application: its answer is read while it is being sent."""

    def __init__(self, app, token: str, query: str = "follow=true") -> None:
        self.status = 0
        self.body = b""
        self.printed = asyncio.Event()
        self.left = asyncio.Event()
        self._sent = False
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/api/apps/shop/logs",
            "raw_path": b"/api/apps/shop/logs",
            "query_string": query.encode(),
            "headers": [(b"authorization", f"Bearer {token}".encode()), (b"host", b"x")],
            "client": ("192.0.2.1", 50000),
            "server": ("platform.test", 80),
            "root_path": "",
        }
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self):
        if not self._sent:
            self._sent = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif chunk := message.get("body", b""):
            self.body += chunk
            self.printed.set()

    async def answer(self) -> int:
        """The status, once something of the body was there."""
        async with asyncio.timeout(10):
            await self.printed.wait()
        return self.status

    async def leave(self) -> None:
        self.left.set()
        async with asyncio.timeout(10):
            await self.task


@pytest.fixture
async def logs(platform):
    made = Logs()
    platform.app.state.platform = SimpleNamespace(
        **vars(platform.app.state.platform)
        | {"cluster": made, "followed_logs": Turns(2, "logs are being followed", "Close one.")}
    )
    platform.app.dependency_overrides[apps._own] = lambda: SimpleNamespace(ref=AppRef("u", "shop"))
    return made


async def test_one_person_follows_a_few_logs_and_another_one_still_can(platform, logs):
    ada, bob = await platform.token("ada"), await platform.token("bob")
    following = [Browser(platform.app, ada) for _ in range(2)]
    assert [await each.answer() for each in following] == [200, 200]
    more = Browser(platform.app, ada)
    assert await more.answer() == 429
    error = json.loads(more.body)["error"]
    assert error["message"] == "2 logs are being followed for you already."
    assert error["hint"] == "Close one."
    unfollowed = Browser(platform.app, ada, "tail=5")
    assert await unfollowed.answer() == 200
    of_bob = Browser(platform.app, bob)
    assert await of_bob.answer() == 200
    await following[0].leave()
    again = Browser(platform.app, ada)
    assert await again.answer() == 200
    for browser in (following[1], again, of_bob):
        await browser.leave()


async def test_when_all_that_can_be_are_followed_the_answer_is_an_error_and_no_silence(
    platform, logs
):
    ada = await platform.token("ada")
    logs.full = True
    for _ in range(3):  # none of them keeps a turn
        refused = Browser(platform.app, ada)
        assert await refused.answer() == 503
        assert json.loads(refused.body)["error"]["code"] == "cluster_unavailable"
    logs.full = False
    following = [Browser(platform.app, ada) for _ in range(2)]
    assert [await each.answer() for each in following] == [200, 200]
    for browser in following:
        await browser.leave()
