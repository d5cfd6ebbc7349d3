"""One kind of object, listed once and then watched for the life of the process.

The official client has informers for threads only, and its asyncio watch ends for good at the
second 410. This one goes on from the last resourceVersion after every disconnect, lists again
when the server no longer knows that version, and keeps nothing but what `read` makes of an object.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from api.clients.kubernetes_api import ApiRefused, KubernetesApi
from api.errors import ClusterUnavailable

_LOG: Final = logging.getLogger(__name__)
Seen = TypeVar("Seen")
#: Namespace (empty for what has none) and name.
Key = tuple[str, str]

_PAGE: Final = "250"
_GONE: Final = 410
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
#: The server ends a watch after this long, so that its clients spread over its replicas.
_WATCH_SECONDS: Final = (240, 360)
#: Bookmarks come once a minute, so a longer silence is a dead connection.
_SILENCE_SECONDS: Final = 90.0
_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 10.0
_STEADY_SECONDS: Final = 5.0
#: Connections are cut at times; only what lasts longer is worth a word.
_GRACE_SECONDS: Final = 15.0


class _Expired(Exception):
    """The server no longer knows the version from which the watch should go on."""


@dataclass(frozen=True)
class Resource(Generic[Seen]):
    """What to watch: `read` gives what is kept of an object, None for nothing."""

    name: str  # for people: "pods"
    path: str
    read: Callable[[Mapping[str, Any]], Seen | None]
    labels: str = ""  # labelSelector
    fields: str = ""  # fieldSelector

    @property
    def query(self) -> dict[str, str]:
        """The selectors as parameters."""
        given = {"labelSelector": self.labels, "fieldSelector": self.fields}
        return {name: value for name, value in given.items() if value}


class Watch(Generic[Seen]):
    """The objects of one resource as they are now; `changed` is told key, before and after."""

    def __init__(
        self,
        api: KubernetesApi,
        resource: Resource[Seen],
        changed: Callable[[Key, Seen | None, Seen | None], None],
    ) -> None:
        self._api = api
        self._resource = resource
        self._changed = changed
        self._version: str | None = None  # from which the watch goes on; None: list first
        self._lost: tuple[float, str] | None = (time.monotonic(), "not asked yet")
        self.objects: dict[Key, Seen] = {}
        self.synced = asyncio.Event()

    @property
    def name(self) -> str:
        """What is watched."""
        return self._resource.name

    @property
    def problem(self) -> str | None:
        """Why what is known may be old; None while the server is followed."""
        if self._lost is None:
            return None
        since, words = self._lost
        seconds = time.monotonic() - since
        if self.synced.is_set() and seconds < _GRACE_SECONDS:
            return None
        return f"The cluster's {self.name} are not followed since {seconds:.0f} s: {words}"

    async def run(self) -> None:
        """List and watch until cancelled."""
        failures = 0
        while True:
            began = time.monotonic()
            try:
                if self._version is None:
                    await self._list()
                await self._follow()
            except _Expired:
                self._version = None
                self._lose("it is listed anew")
            except ClusterUnavailable as error:
                self._lose(_advice(error))
            steady = time.monotonic() - began > _STEADY_SECONDS
            failures = 0 if steady else failures + 1
            if not steady:
                delay = min(_FIRST_DELAY * 2 ** min(failures, 10), _LONGEST_DELAY)
                await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311  (no secret)

    def _lose(self, words: str) -> None:
        if self._lost is None:
            _LOG.info("the watch on %s was cut: %s", self.name, words)
        self._lost = (self._lost[0] if self._lost else time.monotonic(), words)

    async def _list(self) -> None:
        found: dict[Key, Seen] = {}
        query = {**self._resource.query, "limit": _PAGE}
        while True:
            try:
                page = await self._api.get(self._resource.path, query)
            except ApiRefused as error:
                raise _Expired if error.answer == _GONE else error from error
            for raw in page.get("items") or ():
                if (seen := self._resource.read(raw)) is not None:
                    found[_key(raw)] = seen
            about = page.get("metadata") or {}
            if not about.get("continue"):
                break
            query["continue"] = about["continue"]
        for key in self.objects.keys() - found.keys():
            self._put(key, None)
        for key, seen in found.items():
            self._put(key, seen)
        self._version = str(about.get("resourceVersion") or "") or None
        self._lost = None
        self.synced.set()

    async def _follow(self) -> None:
        query = {
            **self._resource.query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version or "0",
            "timeoutSeconds": str(random.randint(*_WATCH_SECONDS)),  # noqa: S311  (no secret)
        }
        try:
            async with self._api.lines(
                self._resource.path, query, silence=_SILENCE_SECONDS
            ) as lines:
                self._lost = None
                async for line in lines:
                    self._take(line)
        except ApiRefused as error:
            raise _Expired if error.answer == _GONE else error from error

    def _take(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            kind, raw = event["type"], event["object"]
            version = str(raw["metadata"]["resourceVersion"]) if kind != "ERROR" else None
        except (ValueError, KeyError, TypeError) as error:
            # A line that was cut off in the middle: the next watch sends it again.
            raise ClusterUnavailable("The API server's event cannot be read.") from error
        if kind == "ERROR":  # mostly 410; after any other the next list is right too
            raise _Expired
        if kind in ("ADDED", "MODIFIED"):
            self._put(_key(raw), self._resource.read(raw))
        elif kind == "DELETED":
            self._put(_key(raw), None)
        self._version = version

    def _put(self, key: Key, after: Seen | None) -> None:
        before = self.objects.get(key)
        if before == after:
            return
        if after is None:
            del self.objects[key]
        else:
            self.objects[key] = after
        self._changed(key, before, after)


def _key(raw: Mapping[str, Any]) -> Key:
    about = raw["metadata"]
    return about.get("namespace", ""), about["name"]


def _advice(error: ClusterUnavailable) -> str:
    answer = error.answer if isinstance(error, ApiRefused) else None
    if answer == _FORBIDDEN:
        return f"{error.message} Apply the platform's RBAC."
    if answer == _NOT_FOUND:
        return f"{error.message} Is Flux installed?"
    return error.message
