"""What the routers tell in Prometheus' format, over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from api.clients.traefik_metrics import NoReading, TraefikMetrics, parse
from api.domain.names import AppRef

SHOP = AppRef("u1", "shop")
TEXT = """\
# HELP process_start_time_seconds Start time of the process since unix epoch in seconds.
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.77763680033e+09
# TYPE traefik_config_reloads_total counter
traefik_config_reloads_total 4
# TYPE traefik_service_request_duration_seconds histogram
traefik_service_request_duration_seconds_bucket{code="200",method="GET",service="u1_shop_0@file",le="1"} 9
# HELP traefik_service_requests_total How many HTTP requests processed on a service.
# TYPE traefik_service_requests_total counter
traefik_service_requests_total{code="200",method="GET",protocol="http",service="user-u1_shop_1_lb@kubernetescrd"} 3
traefik_service_requests_total{code="101",method="GET",protocol="websocket",service="user-u1_shop_1_lb@kubernetescrd"} 2
traefik_service_requests_total{code="307",method="POST",protocol="http",service="user-u1_shop_0_lb@kubernetescrd"} 1
traefik_service_requests_total{code="204",method="OPTIONS",protocol="http",service="user-u1_shop_1_lb@kubernetescrd"} 50
traefik_service_requests_total{code="200",method="GET",protocol="http",service="fastapi-platform_frontend_0_lb@kubernetescrd"} 70
"""  # noqa: E501  (lines as Traefik prints them)


@asynccontextmanager
async def served(answer: Callable[[str], bytes], host: str = "127.0.0.1") -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        body = answer(head)
        status = b"200 OK" if body else b"503 Service Unavailable"
        writer.write(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, host, 0)
    async with server:
        yield f"http://{host}:{server.sockets[0].getsockname()[1]}/metrics"


def test_requests_to_both_routes_of_an_app_count_and_the_platforms_own_do_not():
    found = parse("a", TEXT.splitlines())
    assert found.counts == {SHOP: 6}
    assert found.asked == {SHOP: 50}
    assert found.process == "1777636800.33"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "traefik_service_requests_total{",
        TEXT.replace("process_start", "x"),
        "\x00",
        TEXT.replace("traefik_config", "other"),  # not of a Traefik
        TEXT.replace("user-u1_shop_0_lb", "user-u1-shop-6f97418635c7e18853da"),  # no safeNaming
    ],
)
def test_what_cannot_be_understood_is_no_reading(text):
    with pytest.raises(NoReading):
        parse("a", text.splitlines())


async def test_every_router_is_read_and_known_by_its_address():
    hosts: list[str] = []

    def answer(head: str) -> bytes:
        hosts.extend(line for line in head.splitlines() if line.lower().startswith("host:"))
        return TEXT.encode()

    async with served(answer) as one, served(answer) as two:
        metrics = TraefikMetrics(lambda: [one.replace("127.0.0.1", "localhost"), two])
        found = await metrics.read()
        await metrics.close()
    assert sorted(each.address for each in found.told) == sorted(
        url.split("/")[2] for url in (one, two)
    )
    assert [each.counts for each in found.told] == [{SHOP: 6}] * 2
    assert any("localhost" in host for host in hosts)


async def test_over_https_a_name_of_several_routers_is_silent(monkeypatch):
    async def found(*_, **__):
        return [(0, 0, 0, "", (host, 9100)) for host in ("10.0.0.1", "10.0.0.2")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
    metrics = TraefikMetrics(lambda: ["https://routers:9100/metrics"])
    readings = await metrics.read()
    await metrics.close()
    assert readings.told == []
    assert "this one leads to 2" in readings.silent["https://routers:9100/metrics"]


async def test_a_router_that_does_not_tell_is_silent_and_says_why():
    async with served(lambda _: b"") as broken, served(lambda _: TEXT.encode()) as well:
        away = "http://127.0.0.1:1/metrics"
        unknown = "http://no-such-host.invalid/metrics"
        metrics = TraefikMetrics(lambda: [broken, well, away, unknown])
        found = await metrics.read()
        await metrics.close()
    assert [each.address for each in found.told] == [well.split("/")[2]]
    assert found.silent.keys() == {broken.split("/")[2], "127.0.0.1:1", unknown}
    assert found.silent[broken.split("/")[2]] == "it answers 503"


async def test_a_router_that_hangs_is_silent_after_the_time_that_it_is_given():
    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked.wait()
        writer.close()

    asked = asyncio.Event()
    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with asyncio.timeout(15), server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"
        metrics = TraefikMetrics(lambda: [url])
        found = await metrics.read(0.05)
        await metrics.close()
        asked.set()
    assert not found.told
    assert list(found.silent.values()) == ["TimeoutError"]
