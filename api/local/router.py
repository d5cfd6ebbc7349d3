"""The real Traefik in front of the apps: started, fed with routes, and started again if it dies."""

import asyncio
import contextlib
import json
import logging
import os
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from api.clients.route_checks import intent_at
from api.domain.names import AppRef
from api.errors import ClusterUnavailable
from api.local import tasks
from api.local.certificate import make_certificate
from api.local.logs import AppLog
from api.local.node import free_port, port_is_free
from api.local.processes import Process, Processes
from api.local.routes import Backend, as_file, dynamic_configuration
from api.settings import Settings

_LOG: Final = logging.getLogger(__name__)
_LAUNCHER: Final = Path(__file__).with_name("die_with_parent.py")
_START_SECONDS: Final = 15.0
_PORT_SECONDS: Final = 3.0  # for a router of an earlier run to let go of the port
_STOP_SECONDS: Final = 2.0
_LONGEST_DELAY: Final = 30.0
_STAYED_UP: Final = 60.0
_POLL: Final = 0.02
_LOOPBACKS: Final = {"127.0.0.1", "localhost", "0.0.0.0", "::", "::1"}  # noqa: S104  (compared)
_EVERYWHERE: Final = {"0.0.0.0", "::"}  # noqa: S104  (compared)
_PROBE: Final = {"fastapi-platform-probe": "1"}  # answered by the runner, not by the app
_METRICS: Final = "metrics"
_ENCODED: Final = (
    *("Slash", "BackSlash", "NullCharacter", "Semicolon"),
    *("Percent", "QuestionMark", "Hash"),
)


class Router:
    """Traefik on `APPS_PORT`, with the routes of all apps in one file.

    One file: Traefik reads everything again at any change, and with 200 apps one file is seen
    after 57 ms, a file per app after 132 ms (Traefik 3.7, 2 cores).
    """

    def __init__(self, settings: Settings, folder: Path, processes: Processes) -> None:
        self._host = "127.0.0.1" if settings.host == "localhost" else settings.host
        self._port = settings.apps_port
        self._folder = folder.absolute()
        self._processes = processes
        self._program = Path(sysconfig.get_path("scripts")) / "traefik"
        self._log = AppLog(self._folder / "log")
        self._backends: dict[AppRef, Backend] = {}
        self._dirty = asyncio.Event()
        self._metrics_port = 0
        self._process: Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.problem: str | None = None
        self.restarted: Callable[[], None] = lambda: None
        here = "127.0.0.1" if settings.host in _EVERYWHERE else self._host
        self._waker = f"http://{_bracketed(here)}:{settings.port}"
        self._client = httpx2.AsyncClient(
            base_url=settings.router_address,
            headers=_PROBE | {"host": urlsplit(settings.apps_origin).netloc},
            trust_env=False,  # no proxy stands between this machine and itself
            timeout=5.0,
        )

    async def start(self) -> None:
        """Start Traefik and wait until it answers; raise ClusterUnavailable when it cannot."""
        if not await asyncio.to_thread(self._program.exists):
            raise ClusterUnavailable(
                "The router of the embedded way is not installed.",
                hint="`make setup` installs it; the image for clusters is without: MODE=cluster.",
            )
        await self._wait_for_port()
        await asyncio.to_thread(self._write_routes)
        self._process = await self._launch()
        if not await self._wait_answering(self._process):
            raise ClusterUnavailable(f"The router did not start: {self._last_words()}", hint="")
        self._tasks = [
            tasks.start(self._keep_running(), "keeping the router running"),
            tasks.start(self._keep_written(), "writing the routes"),
        ]

    async def close(self) -> None:
        """Stop Traefik."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._process:
            await self._process.stop(_STOP_SECONDS)
        await self._client.aclose()

    def set(self, ref: AppRef, backend: Backend) -> None:
        """Lead an app's address to a port; Traefik sees it some milliseconds later."""
        if self._backends.get(ref) != backend:
            self._backends[ref] = backend
            self._dirty.set()

    def remove(self, ref: AppRef) -> None:
        """Take an app's address away: it leads to the platform, which tells why."""
        if self._backends.pop(ref, None):
            self._dirty.set()

    @property
    def metrics_url(self) -> str:
        """Where it tells how often each app was asked for."""
        return f"http://127.0.0.1:{self._metrics_port}/metrics"

    async def intent_at(self, ref: AppRef) -> str | None:
        """The version that answers at the app's own address; None when none does."""
        return await intent_at(self._client, ref)

    @property
    def _entry_points(self) -> dict[str, str]:
        points = {"web": f"{_bracketed(self._host)}:{self._port}"}
        if self._host not in _LOOPBACKS:
            points["loopback"] = f"127.0.0.1:{self._port}"
        return points

    def _all_entry_points(self) -> dict[str, Any]:
        refused = {f"allowEncoded{name}": False for name in _ENCODED}
        points: dict[str, Any] = {
            name: {"address": address, "http": {"encodedCharacters": refused}}
            for name, address in self._entry_points.items()
        }
        # Another one at each start: a port that was free then.
        self._metrics_port = free_port("127.0.0.1")
        return points | {_METRICS: {"address": f"127.0.0.1:{self._metrics_port}"}}

    async def _wait_for_port(self) -> None:
        deadline = time.monotonic() + _PORT_SECONDS
        while not port_is_free(self._host, self._port):
            if time.monotonic() > deadline:
                raise ClusterUnavailable(
                    f"Port {self._port} on {self._host} is in use by another program.",
                    hint="Stop that program, or set APPS_PORT to a free port.",
                )
            await asyncio.sleep(_POLL)

    def _write_static(self) -> None:
        (self._folder / "dynamic").mkdir(parents=True, exist_ok=True)
        make_certificate(self._folder / "unused.crt", self._folder / "unused.key")
        content = {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "log": {"level": "WARN", "noColor": True},
            "entryPoints": self._all_entry_points(),
            "metrics": {
                "prometheus": {
                    "entryPoint": _METRICS,
                    "addServicesLabels": True,
                    "addEntryPointsLabels": False,
                    "buckets": [1.0],
                }
            },
            "providers": {
                "providersThrottleDuration": "5ms",
                "file": {"directory": str(self._folder / "dynamic"), "watch": True},
            },
        }
        (self._folder / "static.yaml").write_text(json.dumps(content, indent=2))

    def _write_routes(self) -> None:
        configuration: dict[str, Any] = {
            "tls": {
                "stores": {
                    "default": {
                        "defaultCertificate": {
                            "certFile": str(self._folder / "unused.crt"),
                            "keyFile": str(self._folder / "unused.key"),
                        }
                    }
                }
            }
        }
        points = list(self._entry_points)
        configuration["http"] = dynamic_configuration(dict(self._backends), points, self._waker)
        # Written beside the watched folder and moved in whole: Traefik never reads half a file.
        (self._folder / "dynamic").mkdir(parents=True, exist_ok=True)
        written = self._folder / "routes.yaml"
        written.write_bytes(as_file(configuration))
        written.replace(self._folder / "dynamic" / "routes.yaml")

    async def _keep_written(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()  # before the write: what changes meanwhile is written next
            try:
                await asyncio.to_thread(self._write_routes)
            except OSError as error:
                _LOG.warning("the routes cannot be written: %s", error)
                await asyncio.sleep(1)
                self._dirty.set()

    async def _launch(self) -> Process:
        await asyncio.to_thread(self._write_static)
        try:
            return await self._processes.spawn(
                [
                    *(sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid())),
                    *(str(self._program), f"--configFile={self._folder / 'static.yaml'}"),
                ],
                env={"HOME": str(self._folder)},
                folder=self._folder,
                log=self._log,
                name="router",
            )
        except OSError as error:
            raise ClusterUnavailable(f"The router cannot be started: {error}") from error

    async def _wait_answering(self, process: Process) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and process.exit_code is None:
            with contextlib.suppress(httpx2.HTTPError):
                await self._client.options("/")
                return process.exit_code is None
            await asyncio.wait({process.ended}, timeout=_POLL)
        return False

    async def _keep_running(self) -> None:
        delay = 0.1
        while self._process:
            since = time.monotonic()
            await asyncio.wait({self._process.ended})
            self.problem = f"The router ended: {self._last_words()}"
            _LOG.warning("%s", self.problem)
            self.restarted()
            delay = 0.1 if time.monotonic() - since > _STAYED_UP else delay
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY)
            try:
                self._process = await self._launch()
            except ClusterUnavailable as error:
                self.problem = error.message
                continue
            if await self._wait_answering(self._process):
                self.problem = None
                self.restarted()
            else:
                await self._process.kill()

    def _last_words(self) -> str:
        lines = self._process.output.last if self._process else ()
        return lines[-1][:500] if lines else "it said nothing"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
