"""What an app's containers print: the last lines of all of them by time, and what comes after."""

import asyncio
import heapq
import logging
import re
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from api.clients.cluster import LogLine
from api.clients.kubernetes_api import ApiRefused, KubernetesApi
from api.clients.kubernetes_objects import FailedContainer, SeenPod
from api.domain.failures import find_error
from api.domain.names import AppRef, namespace_of
from api.errors import ClusterUnavailable

_LOG: Final = logging.getLogger(__name__)
_TAIL_LINES: Final = 60
_TAIL_BYTES: Final = 32 << 10
_TAIL_SECONDS: Final = 5.0
_TAILS_AT_ONCE: Final = 4
_KEPT_TAILS: Final = 1000
#: Of what was printed so far, from each pod: 2,000 lines may be long ones.
_READ_BYTES: Final = 1 << 20
#: Logs that are followed at once, each with a few streams: these are connections here, at the API
#: server and at a kubelet.
_FOLLOWED: Final = 200
_FOLLOWED_OF_APP: Final = 4
#: Lines for somebody who reads slowly; then the stream waits.
_WAITING_LINES: Final = 50
_AGAIN_SECONDS: Final = 1.0
_STAMP: Final = re.compile(rb"(\S+?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
#: Answers that say that a container has no log, now or any more.
_NONE: Final = frozenset({400, 404})


@dataclass(frozen=True, order=True)
class _Stamped:
    at: int  # nanoseconds since the epoch
    pod: str
    text: str

    @property
    def line(self) -> LogLine:
        return LogLine(datetime.fromtimestamp(self.at / 1e9, UTC), self.text, self.pod)


class LastWords:
    """The last lines of containers that failed: read once for each, when somebody asks why."""

    def __init__(self, api: KubernetesApi, changed: Callable[[AppRef], None]) -> None:
        self._api = api
        self._changed = changed
        #: By pod: the container that failed last, and its lines.
        self._kept: OrderedDict[tuple[AppRef, str], tuple[str, tuple[str, ...]]] = OrderedDict()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(_TAILS_AT_ONCE)

    async def close(self) -> None:
        """Stop reading."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def of(self, pod: SeenPod) -> tuple[str, ...] | None:
        """The lines; None while the first are being read, which takes five seconds at most.

        While those of a later container are read, or if these do not say why it failed, a pod
        that keeps failing has the last ones.
        """
        failed = pod.failed
        if failed is None:
            return ()
        known, lines = self._kept.get((pod.ref, pod.name), (None, None))
        if failed.id != known and failed.id not in self._tasks:
            task = asyncio.create_task(self._read(pod, failed), name=f"last words of {pod.name}")
            self._tasks[failed.id] = task
            task.add_done_callback(lambda _: self._tasks.pop(failed.id, None))
        return lines

    async def _read(self, pod: SeenPod, failed: FailedContainer) -> None:
        lines: tuple[str, ...] = ()
        query = {
            "container": "app",
            "tailLines": str(_TAIL_LINES),
            "limitBytes": str(_TAIL_BYTES),
            "previous": "true" if failed.previous else "false",
        }
        try:
            async with (
                self._turns,
                asyncio.timeout(_TAIL_SECONDS),
                self._api.log(_path(pod), query, silence=None) as found,
            ):
                lines = tuple([_text(line) async for line in found])
        except (ClusterUnavailable, TimeoutError) as error:  # the failure is told without them
            _LOG.info("the last words of %s are not to be had: %s", pod.name, error)
        kept = (pod.ref, pod.name)
        _, before = self._kept.get(kept, (None, ()))
        # The node may have let go of the lines, or the container have begun anew.
        tells_less = find_error(before) and not find_error(lines)
        self._kept[kept] = (failed.id, before if tells_less else lines)
        self._kept.move_to_end(kept)
        while len(self._kept) > _KEPT_TAILS:
            self._kept.popitem(last=False)
        self._changed(pod.ref)


class AppLogs:
    """The log of an app: of all its pods, merged by the time at which each line was printed."""

    def __init__(
        self,
        api: KubernetesApi,
        pods: Callable[[AppRef], list[SeenPod]],
        changes: Callable[[AppRef], AsyncIterator[None]],
    ) -> None:
        self._api = api
        self._pods = pods
        self._changes = changes
        self._followed = 0

    def lines(
        self, ref: AppRef, *, follow: bool, previous: bool, tail: int
    ) -> AsyncIterator[LogLine]:
        """The last `tail` lines, oldest first, and with `follow` whatever comes after them.

        Raises ClusterUnavailable: at once when too many logs are followed, which is an answer and
        not the end of a stream; later when lines cannot be read.
        """
        if not follow:
            return self._printed(ref, {}, previous=previous, tail=tail)
        self._require_place()
        return self._followed_lines(ref, previous=previous, tail=tail)

    def _require_place(self) -> None:
        if self._followed >= _FOLLOWED:
            raise ClusterUnavailable(
                f"{_FOLLOWED} logs are being followed, which is all that can be.",
                hint="The lines so far can be read without following; try again in a moment.",
            )

    async def _followed_lines(
        self, ref: AppRef, *, previous: bool, tail: int
    ) -> AsyncIterator[LogLine]:
        self._require_place()  # others may have begun since it was promised
        self._followed += 1
        seen: dict[str, int] = {}
        try:
            async for line in self._printed(ref, seen, previous=previous, tail=tail):
                yield line
            async for stamped in self._follow(ref, seen):
                yield stamped.line
        finally:
            self._followed -= 1

    async def _printed(
        self, ref: AppRef, seen: dict[str, int], *, previous: bool, tail: int
    ) -> AsyncIterator[LogLine]:
        """What there is; `seen` is told of the last line of each pod."""
        pods = self._pods(ref)
        tails = [self._tail(pod, previous=previous, tail=tail) for pod in pods]
        read = await asyncio.gather(*tails)
        seen |= {pod.name: lines[-1].at for pod, lines in zip(pods, read, strict=True) if lines}
        last = deque(heapq.merge(*(sorted(lines) for lines in read)), maxlen=tail)
        for stamped in last:
            yield stamped.line

    async def _tail(self, pod: SeenPod, *, previous: bool, tail: int) -> list[_Stamped]:
        if pod.runs is None or (previous and not (pod.failed and pod.failed.previous)):
            return []
        query = {"tailLines": str(tail), "previous": "true" if previous else "false"}
        kept: deque[_Stamped] = deque()
        size = 0
        async for line in self._read(pod, query, silence=_TAIL_SECONDS):
            kept.append(line)
            size += len(line.text)
            while size > _READ_BYTES:
                size -= len(kept.popleft().text)
        return list(kept)

    async def _follow(self, ref: AppRef, seen: dict[str, int]) -> AsyncIterator[_Stamped]:
        """The lines after those seen, of each pod that is there or comes."""
        queue: asyncio.Queue[_Stamped] = asyncio.Queue(_WAITING_LINES)
        readers: dict[str, asyncio.Task[None]] = {}

        async def keep_reading() -> None:
            async for _ in self._changes(ref):
                pods = sorted(self._pods(ref), key=_began)[-_FOLLOWED_OF_APP:]
                for pod in pods:
                    reader = readers.get(pod.name)
                    if pod.runs and (reader is None or reader.done()):
                        readers[pod.name] = asyncio.create_task(self._pump(pod, seen, queue))

        keeper = asyncio.create_task(keep_reading())
        try:
            while True:
                getter = asyncio.ensure_future(queue.get())
                await asyncio.wait({getter, keeper}, return_when=asyncio.FIRST_COMPLETED)
                if not getter.done():
                    getter.cancel()
                    keeper.result()  # it ended by an error, which is raised here
                yield getter.result()
        finally:
            tasks = [keeper, *readers.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(
        self, pod: SeenPod, seen: dict[str, int], queue: "asyncio.Queue[_Stamped]"
    ) -> None:
        """One pod's lines as they come, again after each restart of its container."""
        while any(now.name == pod.name for now in self._pods(pod.ref)):
            with suppress(ClusterUnavailable):  # cut off, or it has no log yet: again
                await self._pump_once(pod, seen, queue)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _pump_once(
        self, pod: SeenPod, seen: dict[str, int], queue: "asyncio.Queue[_Stamped]"
    ) -> None:
        last = seen.get(pod.name)
        query = {"follow": "true"}
        if last is not None:  # of whole seconds, so the lines of this one come again
            query["sinceTime"] = datetime.fromtimestamp(last // 10**9, UTC).isoformat()
        async for stamped in self._read(pod, query, silence=None):
            if last is None or stamped.at > last:
                seen[pod.name] = stamped.at
                await queue.put(stamped)

    async def _read(
        self, pod: SeenPod, query: dict[str, str], *, silence: float | None
    ) -> AsyncIterator[_Stamped]:
        asked = {"container": "app", "timestamps": "true", **query}
        try:
            async with self._api.log(_path(pod), asked, silence=silence) as lines:
                async for line in lines:
                    if stamped := _stamped(line, pod.name):
                        yield stamped
        except ApiRefused as error:
            if error.answer not in _NONE:
                raise


def _path(pod: SeenPod) -> str:
    return f"/api/v1/namespaces/{namespace_of(pod.ref.user_id)}/pods/{pod.name}/log"


def _stamped(line: bytes, pod: str) -> _Stamped | None:
    """A line with its time in front, as `timestamps=true` gives it; None for any other."""
    stamp, _, text = line.partition(b" ")
    match = _STAMP.fullmatch(stamp)
    if match is None:
        return None
    try:
        whole = datetime.fromisoformat((match[1] + match[3]).decode())
    except ValueError:
        return None
    nanoseconds = int((match[2] or b"").ljust(9, b"0"))
    return _Stamped(int(whole.timestamp()) * 10**9 + nanoseconds, pod, _text(text))


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")


def _began(pod: SeenPod) -> float:
    return pod.started_at.timestamp() if pod.started_at else 0.0
