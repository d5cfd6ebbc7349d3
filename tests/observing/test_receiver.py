"""Flux is told once which sources moved, and again only while they lag."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from api.clients import flux_receiver
from api.clients.flux_receiver import FluxReceiver

TOKEN = b"0123456789abcdef"
MOMENTS = (0.0, 0.05, 0.1, 0.15)
AWAY_SECONDS = 0.02


class Receiver:
    """Checks a call as Flux' generic-hmac receiver does, and notes what it names."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.status = 200
        self.called = asyncio.Event()
        self.fetches = set[str]()  # whose sources follow at once

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        digest = hashlib.sha256(TOKEN + b"shards" + b"fastapi-platform-flux").hexdigest()
        assert request.path == f"/hook/{digest}"
        assert request.content_type == "application/json"
        kind, _, given = request.headers["X-Signature"].partition("=")
        assert (kind, given) == ("sha256", hmac.new(TOKEN, body, "sha256").hexdigest())
        self.calls.append(json.loads(body)["sources"])
        if self.status == 200:
            self.fetches -= {source.removeprefix("shard-") for source in self.calls[-1]}
        self.called.set()
        return web.Response(status=self.status, text="so it is")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


class Poking:
    """The platform's side, whose sources follow when the test says so."""

    def __init__(self, url: str, folder, fetches: set[str] | None = None) -> None:
        self.lagging = set[str]()
        self.fetches = set[str]() if fetches is None else fetches
        token = folder / "token"
        token.write_bytes(TOKEN)
        self.receiver = FluxReceiver(url, token, self._lags)
        self.task = asyncio.create_task(self.receiver.run())

    async def _lags(self, shard: str) -> bool:
        return shard in self.lagging or shard in self.fetches

    async def until_quiet(self, *shards: str) -> None:
        async with asyncio.timeout(10):
            while any(self.receiver.waits(shard) for shard in shards):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flux_receiver, "_MOMENTS", MOMENTS)
    monkeypatch.setattr(flux_receiver, "_AWAY_SECONDS", AWAY_SECONDS)


@pytest.fixture
async def poking(receiver: Receiver, tmp_path, monkeypatch) -> AsyncIterator[Poking]:
    hurry(monkeypatch)
    made = Poking(receiver.url, tmp_path, receiver.fetches)
    yield made
    made.task.cancel()
    await asyncio.gather(made.task, return_exceptions=True)
    await made.receiver.close()


async def test_a_source_that_stands_where_its_branch_does_is_not_named(receiver, poking):
    receiver.fetches |= {"0f"}
    poking.receiver.poke(["ab", "0f", "11"])
    await poking.until_quiet("ab", "0f", "11")
    assert receiver.calls == [["shard-0f"]]


async def test_only_the_sources_that_moved_are_named_and_once(receiver, poking):
    receiver.fetches |= {"ab", "0f"}
    poking.receiver.poke(["ab", "0f"])
    await poking.until_quiet("ab", "0f")
    assert receiver.calls == [["shard-0f", "shard-ab"]]
    assert poking.receiver.problem is None


async def test_a_source_that_lags_is_told_again_until_it_follows(receiver, poking):
    poking.lagging = {"ab"}
    receiver.fetches |= {"0f"}
    poking.receiver.poke(["ab", "0f"])
    while len(receiver.calls) < 2:
        await asyncio.wait_for(receiver.called.wait(), 5)
        receiver.called.clear()
    assert poking.receiver.waits("ab")
    assert receiver.calls[:2] == [["shard-0f", "shard-ab"], ["shard-ab"]]
    poking.lagging.clear()
    await poking.until_quiet("ab")


async def test_it_is_given_up_after_the_last_moment(receiver, poking):
    poking.lagging = {"ab"}
    poking.receiver.poke(["ab"])
    await poking.until_quiet("ab")
    assert receiver.calls == [["shard-ab"]] * len(MOMENTS)


async def test_a_shard_that_moves_again_is_told_from_the_beginning(receiver, poking):
    poking.lagging = {"ab"}
    for _ in range(3):
        poking.receiver.poke(["ab"])
        await asyncio.wait_for(receiver.called.wait(), 5)
        receiver.called.clear()
    await poking.until_quiet("ab")
    assert len(receiver.calls) >= 2 + len(MOMENTS)


async def test_a_refusal_is_reported_and_forgotten_when_it_is_over(receiver, poking):
    receiver.status = 500
    poking.lagging = {"ab"}
    poking.receiver.poke(["ab"])
    await asyncio.wait_for(receiver.called.wait(), 5)
    while poking.receiver.problem is None:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert "500 so it is" in poking.receiver.problem
    receiver.status = 200
    await poking.until_quiet("ab")
    assert poking.receiver.problem is None


async def test_what_nobody_took_is_repeated_until_somebody_does(receiver, poking):
    receiver.status = 503
    poking.lagging = {"ab"}
    poking.receiver.poke(["ab"])
    async with asyncio.timeout(10):
        while len(receiver.calls) <= 2 * len(MOMENTS):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert poking.receiver.waits("ab")
    receiver.status = 200
    refused = len(receiver.calls)
    await poking.until_quiet("ab")
    assert len(receiver.calls) >= refused + len(MOMENTS)


async def test_a_receiver_that_is_away_stops_nothing(tmp_path, monkeypatch):
    hurry(monkeypatch)
    poking = Poking("http://127.0.0.1:9", tmp_path)
    poking.lagging = {"ab"}
    poking.receiver.poke(["ab"])
    async with asyncio.timeout(10):
        while poking.receiver.problem is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert "cannot be told" in poking.receiver.problem
    poking.lagging.clear()  # Flux looked by itself
    await poking.until_quiet("ab")
    assert not poking.task.done()
    poking.task.cancel()
    await asyncio.gather(poking.task, return_exceptions=True)
    await poking.receiver.close()


async def test_a_token_that_is_not_there_is_reported(receiver, tmp_path, monkeypatch):
    hurry(monkeypatch)
    poking = Poking(receiver.url, tmp_path)
    (tmp_path / "token").unlink()
    poking.lagging = {"ab"}
    poking.receiver.poke(["ab"])
    async with asyncio.timeout(10):
        while poking.receiver.problem is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert "token" in poking.receiver.problem
    poking.lagging.clear()
    await poking.until_quiet("ab")
    assert receiver.calls == []
    poking.task.cancel()
    await asyncio.gather(poking.task, return_exceptions=True)
    await poking.receiver.close()
