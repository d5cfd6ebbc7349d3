"""The counters of the routers in front of the apps: requests that ended, by Traefik's service.

Several routers count each for itself, so an address is looked up and every machine behind it is
read: the name must be one that gives all of them (a headless Service), not one of them in turn.
"""

import asyncio
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httpx2

from api.domain.activity import NO_USE, Reading, app_of, is_tenants
from api.domain.names import AppRef

_REQUESTS: Final = "traefik_service_requests_total"
_STARTED: Final = "process_start_time_seconds"
#: Only a Traefik tells that.
_RELOADS: Final = "traefik_config_reloads_total"
_WANTED: Final = (_REQUESTS, _STARTED, _RELOADS)
#: https://prometheus.io/docs/instrumenting/exposition_formats/; no id needs an escape.
_LINE: Final = re.compile(r"(\w+)(?:\{([^}]*)\})? (\S+)(?: \d+)?")
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
_SECONDS: Final = 20.0
_OK: Final = 200


class NoReading(Exception):
    """A router gave no counters; the message says why."""


@dataclass(frozen=True)
class Readings:
    """What the routers told, and by address why one did not."""

    told: Sequence[Reading]
    silent: Mapping[str, str]


class TraefikMetrics:
    """`urls` gives the addresses of Prometheus' format, which may change while routers restart."""

    def __init__(self, urls: Callable[[], Sequence[str]]) -> None:
        self._urls = urls
        self._client = httpx2.AsyncClient(trust_env=False, timeout=_SECONDS)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def read(self, seconds: float = _SECONDS) -> Readings:
        """The counters of every router now; one that needs longer is silent."""
        told: list[Reading] = []
        silent: dict[str, str] = {}
        places: dict[str, tuple[str, str]] = {}
        for url in self._urls():
            try:
                async with asyncio.timeout(seconds):
                    found = await _places(url)
                places |= {place: (each, host) for place, each, host in found}
            except OSError as error:  # TimeoutError is one
                silent[url] = f"its address cannot be looked up: {error or 'no answer in time'}"
            except NoReading as reason:
                silent[url] = str(reason)
        asked = [self._read(place, *where, seconds) for place, where in places.items()]
        for place, answer in zip(
            places, await asyncio.gather(*asked, return_exceptions=True), strict=True
        ):
            if isinstance(answer, Reading):
                told.append(answer)
            elif isinstance(answer, NoReading):
                silent[place] = str(answer)
            else:
                raise answer
        return Readings(told, silent)

    async def _read(self, place: str, url: str, host: str, seconds: float) -> Reading:
        try:
            async with (
                asyncio.timeout(seconds),
                self._client.stream("GET", url, headers={"host": host}) as answer,
            ):
                if answer.status_code != _OK:
                    raise NoReading(f"it answers {answer.status_code}")
                lines = [line async for line in _wanted(answer.aiter_lines())]
        except (httpx2.HTTPError, TimeoutError) as error:
            raise NoReading(str(error) or type(error).__name__) from error
        return await asyncio.to_thread(parse, place, lines)


def parse(address: str, lines: Sequence[str]) -> Reading:
    """The reading in lines of Prometheus' text format; raises NoReading."""
    counts: Counter[AppRef] = Counter()
    asked: Counter[AppRef] = Counter()
    started, is_traefik = "", False
    try:
        for name, labels, value in _samples(lines):
            if name == _STARTED:
                started = repr(value)
            elif name == _RELOADS:
                is_traefik = True
            elif ref := _app_of(labels["service"]):
                (asked if labels["method"] in NO_USE else counts)[ref] += int(value)
    except (ValueError, LookupError) as error:
        raise NoReading(f"its counters cannot be read: {error}") from error
    if not started:
        raise NoReading(f"it does not tell {_STARTED}, by which a restart would be seen")
    if not is_traefik:
        raise NoReading(f"it does not tell {_RELOADS}, so that it is no Traefik")
    return Reading(address, started, counts, asked)


def _app_of(service: str) -> AppRef | None:
    """The service's app; raises NoReading for a tenant's service that tells no app."""
    ref = app_of(service)
    if ref is None and is_tenants(service):
        raise NoReading(
            f"its service {service[:100]!r} does not tell its app: safeNaming must be set"
        )
    return ref


def _samples(lines: Sequence[str]) -> Iterator[tuple[str, Mapping[str, str], float]]:
    """Name, labels and value of the lines that matter; raises ValueError.

    The library's parser makes an object of every line, and is ten times as slow.
    """
    for line in lines:
        if not line.startswith(_WANTED):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise ValueError(f"{line[:100]!r} is no sample")
        yield found[1], dict(_LABEL.findall(found[2] or "")), float(found[3])


async def _wanted(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    """Of megabytes, mostly of histograms, the lines that matter."""
    async for line in lines:
        if line.startswith(_WANTED):
            yield line


async def _places(url: str) -> list[tuple[str, str, str]]:
    """For each machine behind a URL: what it is known by, its own URL, the host to ask for.

    Raises OSError and, where not all of them can be read, NoReading.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = await asyncio.get_running_loop().getaddrinfo(
        parts.hostname, port, type=socket.SOCK_STREAM
    )
    hosts = sorted({f"[{a[0]}]" if ":" in str(a[0]) else str(a[0]) for *_, a in found})
    if parts.scheme == "https":  # the certificate is the name's
        if len(hosts) > 1:
            raise NoReading(
                f"over https a name must lead to one router, and this one leads to {len(hosts)}"
            )
        return [(f"{hosts[0]}:{port}", url, parts.netloc)]
    return [
        (f"{host}:{port}", urlunsplit(parts._replace(netloc=f"{host}:{port}")), parts.netloc)
        for host in hosts
    ]
