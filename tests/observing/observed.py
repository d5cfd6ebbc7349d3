"""API servers to observe, ours and a real one, and a router's answers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import yaml

from api.clients import kubernetes_objects as objects
from api.domain.names import shard_of
from tests.observing.api_double import ApiDouble
from tests.observing.api_objects import FLUX, NAMESPACE, USER, Raw, namespace
from tests.observing.api_server import ApiServer
from tests.observing.cable import Cable

SHARD = shard_of(USER, 2)
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"
SOURCES = objects.SOURCES.path
KUSTOMIZATIONS = objects.KUSTOMIZATIONS.path


class Server:
    """An API server behind a cable, written to beside it."""

    def __init__(self, cable: Cable, http: httpx2.AsyncClient, kubeconfig: Path) -> None:
        self.cable = cable
        self.http = http
        self.kubeconfig = kubeconfig

    async def create(self, path: str, raw: Raw) -> Raw:
        """Create an object with its status, which a real server takes apart."""
        made = await self._send("POST", path, raw)
        if "status" not in raw:
            return made
        return await self.write(path, made | {"status": raw["status"]}, "/status")

    async def write(self, path: str, raw: Raw, part: str = "/status") -> Raw:
        return await self._send("PUT", f"{path}/{raw['metadata']['name']}{part}", raw)

    async def remove(self, path: str, name: str) -> None:
        answer = await self.http.delete(f"{path}/{name}?gracePeriodSeconds=0")
        assert answer.status_code in (200, 202, 404), answer.text

    async def _send(self, method: str, path: str, raw: Raw) -> Raw:
        answer = await self.http.request(method, path, json=raw)
        assert answer.is_success, answer.text
        return answer.json()


@contextlib.asynccontextmanager
async def double(folder: Path) -> AsyncIterator[Server]:
    """Our stand-in."""
    async with ApiDouble() as api, Cable("127.0.0.1", api.port) as cable:
        config = kubeconfig(folder, {"server": f"http://127.0.0.1:{cable.port}"}, {})
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{api.port}") as http:
            yield Server(cable, http, config)


@contextlib.asynccontextmanager
async def real(folder: Path, at: ApiServer) -> AsyncIterator[Server]:
    """A real API server, with what earlier tests left in it taken away."""
    async with Cable("127.0.0.1", at.port) as cable, httpx2.AsyncClient(**at.http) as http:
        server = {
            "server": f"https://127.0.0.1:{cable.port}",
            "certificate-authority": str(at.ca),
        }
        config = kubeconfig(folder, server, {"token": at.token})
        await _empty(http)
        yield Server(cable, http, config)


def kubeconfig(folder: Path, cluster: Raw, user: Raw) -> Path:
    path = folder / "kubeconfig"
    context = {"name": "it", "context": {"cluster": "it", "user": "it"}}
    named = {"clusters": [{"name": "it", "cluster": cluster}], "contexts": [context]}
    whole = named | {"users": [{"name": "it", "user": user}], "current-context": "it"}
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **whole}))
    return path


async def _empty(http: httpx2.AsyncClient) -> None:
    for path in (PODS, DEPLOYMENTS, EVENTS, SOURCES, KUSTOMIZATIONS):
        answer = await http.delete(f"{path}?gracePeriodSeconds=0")
        assert answer.status_code in (200, 404), answer.text
    for raw in (namespace(), {"metadata": {"name": FLUX}}):
        answer = await http.post("/api/v1/namespaces", json=raw)
        assert answer.status_code in (201, 409), answer.text


class Router:
    """Answers for an app as the runner does behind the real router."""

    def __init__(self) -> None:
        self.intents: list[str] = []  # in turns; empty: 404
        self.requests: list[tuple[str, str]] = []
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        except asyncio.IncompleteReadError:  # given up before it asked
            writer.close()
            return
        assert "fastapi-platform-probe: 1" in head
        host = next(line for line in head.splitlines() if line.startswith("host:"))
        self.requests.append((head.split()[1], host.removeprefix("host:").strip()))
        lines = ["HTTP/1.1 404 Not Found", "content-length: 0"]
        if self.intents:
            intent = self.intents.pop(0)
            self.intents.append(intent)
            lines = ["HTTP/1.1 204 No Content", f"fastapi-platform-intent: {intent}"]
        writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode())
        await writer.drain()
        writer.close()
