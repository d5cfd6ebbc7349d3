"""A scripted visitor of one app at its address, who keeps a record of the routes it has seen."""

import re
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import urlsplit

import httpx2
from websockets.asyncio.client import ClientConnection, connect


class Visitor:
    """Visits the app at `base` (no trailing slash), behind a prefix or not."""

    def __init__(self, base: str, http: httpx2.AsyncClient) -> None:
        self.base = base
        self.http = http
        self.prefix = urlsplit(base).path
        self.seen: list[tuple[str, str]] = []

    async def get(self, path: str, expect: int = 200, **more: Any) -> httpx2.Response:
        return await self.send("GET", path, expect, **more)

    async def post(self, path: str, expect: int = 200, **more: Any) -> httpx2.Response:
        return await self.send("POST", path, expect, **more)

    async def send(self, method: str, path: str, expect: int, **more: Any) -> httpx2.Response:
        """Send one request and assert its status; redirects are not followed."""
        answer = await self.http.request(method, self.base + path, follow_redirects=False, **more)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        self.seen.append((method, path.partition("?")[0]))
        return answer

    def stream(self, path: str) -> AbstractAsyncContextManager[httpx2.Response]:
        """Open a response whose chunks are read as they come."""
        self.seen.append(("GET", path.partition("?")[0]))
        return self.http.stream("GET", self.base + path)

    def websocket(self, path: str, **more: Any) -> AbstractAsyncContextManager[ClientConnection]:
        """Open a WebSocket."""
        return connect(self.base.replace("http", "ws", 1) + path, proxy=None, **more)

    async def redirected(self, path: str, to: str, expect: int = 307) -> None:
        """Assert that `path` leads to `to`, a path of the app, at the address the browser knows."""
        location = (await self.get(path, expect)).headers["location"]
        assert location in {self.base + to, self.prefix + to}, location

    async def check_documentation(self) -> None:
        """Assert that /docs works here and that every documented route was visited."""
        page = (await self.get("/docs")).text
        assert f"'{self.prefix}/openapi.json'" in page
        document = (await self.get("/openapi.json")).json()
        servers = [server["url"] for server in document.get("servers", [])]
        assert servers == ([self.prefix] if self.prefix else [])
        for path, operations in document["paths"].items():
            shape = re.compile(re.sub(r"\\\{[^}]*\\\}", ".+", re.escape(path)))
            for method in operations:
                visited = any(m == method.upper() and shape.fullmatch(p) for m, p in self.seen)
                assert visited, f"the script never asked for {method.upper()} {path}"
