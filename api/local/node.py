"""What the apps' processes share on this machine: ports, turns to start, limits."""

import asyncio
import contextlib
import json
import os
import random
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from api.clients.runner_probes import open_requests, probe
from api.local.logs import AppLog
from api.local.objects import PodTemplate
from api.local.processes import Process, Processes
from api.settings import Settings

#: Below the ports that systems give to outgoing connections (from 32768 on Linux, 49152 on macOS).
_PORTS: Final = range(20000, 32000)
_OK: Final = 200
_ENTRYPOINT: Final = Path(__file__).parents[2] / "runner" / "entrypoint.py"


class Node:
    """Starts runners as a kubelet would, a few at a time so that the machine stays usable."""

    def __init__(self, settings: Settings, processes: Processes) -> None:
        # Not resolved: the link itself tells an interpreter which environment is its own.
        self._python = settings.runner_python.absolute()
        self._memory_mib = settings.app_memory_mib
        self._processes = processes
        # Taken round robin, so that a port is not soon another app's while a route leads there.
        self._next_port = random.randrange(len(_PORTS))  # noqa: S311  (no secret)
        self._ports: set[int] = set()
        cores = os.cpu_count() or 1
        self._turns = asyncio.Semaphore(cores + 1)
        # Restarts leave one turn free: a deploy, for which somebody waits, need not queue.
        self._restarts = asyncio.Semaphore(cores)

    def take_port(self) -> int:
        """A port that nobody listens on, kept for the caller until it is given back."""
        for _ in _PORTS:
            port = _PORTS[self._next_port]
            self._next_port = (self._next_port + 1) % len(_PORTS)
            if port not in self._ports and port_is_free("127.0.0.1", port):
                self._ports.add(port)
                return port
        raise OSError("no free port is left for an app's process")

    def give_back(self, port: int) -> None:
        """Another process may have this port."""
        self._ports.discard(port)

    @contextlib.asynccontextmanager
    async def turn_to_start(self, *, urgent: bool) -> AsyncIterator[None]:
        """Wait until few enough others are starting."""
        async with contextlib.AsyncExitStack() as stack:
            if not urgent:
                await stack.enter_async_context(self._restarts)
            await stack.enter_async_context(self._turns)
            yield

    async def run(
        self, template: PodTemplate, *, folder: Path, port: int, probe_port: int, log: AppLog
    ) -> Process:
        """Start one app's process in its folder, where the code is in `app`; raises OSError."""
        return await self._processes.spawn(
            [str(self._python), str(_ENTRYPOINT)],
            env=_environment(template, folder, port, probe_port, self._processes.lifeline),
            folder=folder / "tmp",
            log=log,
            name=folder.name,
            memory_mib=self._memory_mib,
        )

    async def ready_intent(self, port: int) -> str | None:
        """The version that serves, as the runner's own port tells; None while none does."""
        status, body = await probe("127.0.0.1", port, "/ready")
        try:
            return str(json.loads(body)["intent"]) if status == _OK else None
        except (ValueError, LookupError, TypeError):
            return None  # another program listens there

    async def is_alive(self, port: int) -> bool:
        """Whether the runner has not given up on its app's event loop."""
        status, _ = await probe("127.0.0.1", port, "/live")
        return status == _OK

    async def open_requests(self, port: int) -> int:
        """What the app serves at this moment; raises ClusterUnavailable when it is not told."""
        return await open_requests("127.0.0.1", port)


def free_port(host: str) -> int:
    """A port on which nobody listens now."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
        return True


def _environment(
    template: PodTemplate, folder: Path, port: int, probe_port: int, lifeline: int
) -> Mapping[str, str]:
    """Built from nothing: what this process knows, such as SECRET_KEY, is not the app's to see."""
    scratch = str(folder / "tmp")
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": scratch,
        "TMPDIR": scratch,
        **template.env,
        "FASTAPI_PLATFORM_SOURCE": str(folder / "app"),
        "FASTAPI_PLATFORM_WORKDIR": str(folder / "work"),
        "FASTAPI_PLATFORM_HOST": "127.0.0.1",
        "FASTAPI_PLATFORM_PORT": str(port),
        "FASTAPI_PLATFORM_PROBE_PORT": str(probe_port),
        "FASTAPI_PLATFORM_PARENT_FD": str(lifeline),
    }
