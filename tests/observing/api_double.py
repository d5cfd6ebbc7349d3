"""A stand-in for kube-apiserver: lists in pages, watches, bookmarks, expired versions, logs.

It speaks so much of the protocol as the platform uses, over real HTTP, and can be told to forget
its past. That it speaks it rightly is shown by test_observing.py, whose assertions the real server
passes too.
"""

import asyncio
import contextlib
import copy
import json
import re
from collections import defaultdict
from typing import Any, Self

from aiohttp import web

_NAMESPACED = re.compile(
    r"(?P<kind>/(?:api|apis/[^/]+)/[^/]+)/namespaces/(?P<ns>[^/]+)/(?P<what>.+)"
)
Raw = dict[str, Any]


class ApiDouble:
    """Objects by kind and key, and every change of them since `oldest`."""

    def __init__(self) -> None:
        self.version = 1000
        self.oldest = 1000
        self.objects: dict[str, dict[tuple[str, str], Raw]] = defaultdict(dict)
        self.changes: list[tuple[int, str, str, Raw]] = []
        self.logs: dict[str, str] = {}  # by pod, "pod previous" of the container before
        self.requests: list[str] = []
        self.failing = 0  # status with which everything is answered instead
        self.bookmark_seconds = 0.05
        self._moved = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer_until_cut)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner:
            await self._runner.cleanup()

    def forget(self) -> None:
        """Compact the past away: a watch from before now is answered 410."""
        self.oldest = self.version
        self.changes.clear()

    def put(self, collection: str, raw: Raw) -> Raw:
        """Create or replace an object."""
        key = (raw["metadata"].get("namespace", ""), raw["metadata"]["name"])
        there = key in self.objects[collection]
        raw = copy.deepcopy(raw)
        self._note("MODIFIED" if there else "ADDED", collection, raw)
        self.objects[collection][key] = raw
        return raw

    def drop(self, collection: str, key: tuple[str, str]) -> Raw:
        raw = copy.deepcopy(self.objects[collection].pop(key))
        self._note("DELETED", collection, raw)
        return raw

    def _note(self, kind: str, collection: str, raw: Raw) -> None:
        self.version += 1
        raw["metadata"]["resourceVersion"] = str(self.version)
        self.changes.append((self.version, kind, collection, raw))
        self._moved.set()
        self._moved = asyncio.Event()

    async def _answer_until_cut(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except ConnectionError:  # the client went away in the middle
            return web.Response()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path_qs}")
        if self.failing:
            return _status(self.failing, "it was told to fail")
        path = request.path
        if path.endswith("/log"):
            return await self._log(request)
        match = _NAMESPACED.fullmatch(path)
        namespace = match["ns"] if match else ""
        collection, _, name = (match["what"] if match else path.rpartition("/")[2]).partition("/")
        base = f"{match['kind']}/{collection}" if match else path
        if name:
            return await self._one(request, base, (namespace, name.removesuffix("/status")))
        if request.method == "POST":
            return web.json_response(self.put(base, await request.json()), status=201)
        if "watch" in request.query:
            return await self._watch(request, base, namespace)
        return self._list(request, base, namespace)

    async def _one(self, request: web.Request, base: str, key: tuple[str, str]) -> web.Response:
        if key not in self.objects[base]:
            return _status(404, f"{key} not found")
        if request.method == "PUT":
            return web.json_response(self.put(base, await request.json()))
        if request.method == "DELETE":
            return web.json_response(self.drop(base, key))
        return web.json_response(self.objects[base][key])

    def _found(self, base: str, namespace: str, request: web.Request) -> list[Raw]:
        return [
            raw
            for (of, _), raw in sorted(self.objects[base].items())
            if namespace in ("", of) and _selected(raw, request)
        ]

    def _list(self, request: web.Request, base: str, namespace: str) -> web.Response:
        found = self._found(base, namespace, request)
        start, limit = int(request.query.get("continue", 0)), int(request.query.get("limit", 500))
        about = {"resourceVersion": str(self.version)}
        if start + limit < len(found):
            about["continue"] = str(start + limit)
        return web.json_response({"metadata": about, "items": found[start : start + limit]})

    async def _watch(self, request: web.Request, base: str, namespace: str) -> web.StreamResponse:
        at = int(request.query["resourceVersion"])
        if at < self.oldest:
            return _status(410, f"too old resource version: {at} ({self.oldest})")
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        while True:
            moved = self._moved
            if at < self.oldest:
                status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "old"}
                await _send(response, "ERROR", status)
                return response
            for version, kind, of, raw in list(self.changes):
                mine = of == base and namespace in ("", raw["metadata"].get("namespace", ""))
                if version > at and mine and _selected(raw, request):
                    await _send(response, kind, raw)
            at = self.version
            await _send(response, "BOOKMARK", {"metadata": {"resourceVersion": str(at)}})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.bookmark_seconds):
                    await moved.wait()

    async def _log(self, request: web.Request) -> web.StreamResponse:
        pod = request.path.split("/")[-2]
        key = f"{pod} previous" if request.query.get("previous") == "true" else pod
        if key not in self.logs:
            return _status(400, "container is waiting to start")
        response = web.StreamResponse()
        await response.prepare(request)
        lines = self.logs[key].splitlines(keepends=True)
        if "tailLines" in request.query:
            lines = lines[-int(request.query["tailLines"]) :]
        sent = len(self.logs[key])
        stamped = request.query.get("timestamps") == "true"
        text = "".join(lines) if stamped else "".join(x.partition(" ")[2] for x in lines)
        await response.write(text.encode())
        while request.query.get("follow") == "true" and key in self.logs:
            if new := self.logs[key][sent:]:
                sent += len(new)
                await response.write(new.encode())
            await asyncio.sleep(0.02)
        return response


def _selected(raw: Raw, request: web.Request) -> bool:
    labels = raw["metadata"].get("labels", {})
    for part in filter(None, request.query.get("labelSelector", "").split(",")):
        name, equals, value = part.partition("=")
        if name not in labels or (equals and labels[name] != value):
            return False
    fields = request.query.get("fieldSelector", "")
    return fields != "involvedObject.kind=Pod" or raw["involvedObject"]["kind"] == "Pod"


async def _send(response: web.StreamResponse, kind: str, raw: Raw) -> None:
    await response.write(json.dumps({"type": kind, "object": raw}).encode() + b"\n")


def _status(code: int, message: str) -> web.Response:
    body = {"kind": "Status", "code": code, "message": message}
    return web.json_response(body, status=code)
