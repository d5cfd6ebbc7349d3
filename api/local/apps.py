"""One app on this machine: the new version beside the old, the route, and then the old one's end.

Level-triggered, as a Deployment is: whatever changes, `_settle` looks at what is wanted and what
is there, and does the next step.
"""

import asyncio
import json
import logging
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from api.clients.cluster import LogLine
from api.domain.names import AppRef
from api.domain.rollout import LiveVersion, Pod, StageName, Workload
from api.local import tasks
from api.local.logs import AppLog
from api.local.node import Node
from api.local.objects import AppObjects
from api.local.pods import LocalPod
from api.local.router import Router
from api.local.routes import Backend

_LOG: Final = logging.getLogger(__name__)
_FAST_CHECK: Final = 0.005
_SLOW_CHECK: Final = 0.5
_FAST_CHECKS_SECONDS: Final = 2.0
_CLOSE_SECONDS: Final = 3.0
_UNSEEN_SWITCH_SECONDS: Final = 1.0


@dataclass(frozen=True)
class LiveRecord:
    """The version last seen serving, and the shard commit that holds it: a cache of git."""

    commit: str
    intent: str
    config_map: str
    at: float  # seconds since the epoch


class LocalApp:
    """What runs of one app, and what is known of it."""

    def __init__(
        self, ref: AppRef, folder: Path, node: Node, router: Router, changed: Callable[[], None]
    ) -> None:
        self.ref = ref
        self._folder = folder
        self._node = node
        self._router = router
        self._changed = changed
        self._log = AppLog(folder / "log")
        self._objects: AppObjects | None = None  # wanted; None: nothing
        self._pods: list[LocalPod] = []  # the newest last
        self._stopping: dict[LocalPod, asyncio.Task[None]] = {}
        self._switch: asyncio.Task[None] | None = None
        self._led: tuple[LocalPod, Backend] | None = None  # where the route was sent last
        self._routed: LocalPod | None = None  # what was seen to answer at the address
        self._times: dict[StageName, datetime] = {}
        self.routed_intent: str | None = None
        self.record = _read_record(folder / "live.json")

    @property
    def pods(self) -> tuple[Pod, ...]:
        """Its processes, the newest first; those being stopped last."""
        return tuple(pod.observe() for pod in (*reversed(self._pods), *self._stopping))

    @property
    def workload(self) -> Workload | None:
        """The Deployment as it is wanted."""
        if self._objects is None:
            return None
        return Workload(
            intent=self._objects.template.intent,
            observed=True,
            replicas=1 if self._objects.runs else 0,  # more would only share this machine
            updated=sum(self._is_wanted(pod) for pod in self._pods),
            ready=sum(pod.ready for pod in self._pods),
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What went wrong around its processes, newest first."""
        return tuple(pod.warning for pod in reversed(self._pods) if pod.warning)

    @property
    def times(self) -> Mapping[str, datetime]:
        """When each stage of the wanted version was first seen."""
        return {str(stage): at for stage, at in self._times.items()}

    @property
    def live(self) -> LiveVersion | None:
        """The version that was last seen serving."""
        return LiveVersion(self.record.intent, self.record.config_map) if self.record else None

    async def open_requests(self) -> int:
        """What its processes serve at this moment; raises ClusterUnavailable."""
        return sum([await pod.open_requests() for pod in list(self._pods)])

    def logs(self, *, follow: bool, previous: bool, tail: int) -> AsyncIterator[LogLine]:
        """Its output, oldest first."""
        return self._log.lines(follow=follow, previous=previous, tail=tail)

    def apply(self, objects: AppObjects, commit: str, fetched: datetime, *, urgent: bool) -> None:
        """Make this what runs; a version that never gets ready leaves the old one alone."""
        if self._objects is None or objects.template.digest != self._objects.template.digest:
            self._times = {"fetched": fetched, "applied": datetime.now(UTC)}
        self._objects = objects
        if objects.runs and not any(self._is_wanted(pod) for pod in self._pods):
            self._pods.append(self._new_pod(objects, commit, urgent=urgent))
        self._settle()

    async def remove(self) -> None:
        """End it and forget it: processes, route, output."""
        self._objects = None
        self._settle()
        while self._stopping:
            await asyncio.gather(*self._stopping.values())
        self._log.close()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def close(self) -> None:
        """End its processes; its record and its output stay."""
        if self._switch:
            self._switch.cancel()
        await asyncio.gather(
            *(pod.stop(_CLOSE_SECONDS) for pod in self._pods), *self._stopping.values()
        )
        self._log.close()

    def check_route(self) -> None:
        """Ask again what answers at its address: the router ended or was started anew."""
        self._led = None
        self.routed_intent = None
        self._settle()

    def _is_wanted(self, pod: LocalPod) -> bool:
        wanted = self._objects
        return wanted is not None and wanted.runs and pod.template.digest == wanted.template.digest

    def _new_pod(self, objects: AppObjects, commit: str, *, urgent: bool) -> LocalPod:
        return LocalPod(
            objects.template,
            app_id=self.ref.app_id,
            commit=commit,
            folder=self._folder / "pods",
            node=self._node,
            log=self._log,
            changed=self._settle,
            urgent=urgent,
        )

    def _settle(self) -> None:
        if self._objects is None or not self._objects.runs:
            self._take_down()
        else:
            serving = self._pod_to_serve()
            for pod in list(self._pods):
                if pod is not serving and not self._is_wanted(pod) and not self._is_last_good(pod):
                    self._stop(pod)
            self._lead_to(serving, self._objects)
            if any(self._is_wanted(pod) and pod.ready for pod in self._pods):
                self._times.setdefault("starting", datetime.now(UTC))
        self._changed()

    def _pod_to_serve(self) -> LocalPod | None:
        """The wanted version once it is ready, and until then whichever is."""
        ready = [pod for pod in self._pods if pod.ready]
        return next((pod for pod in ready if self._is_wanted(pod)), ready[-1] if ready else None)

    def _is_last_good(self, pod: LocalPod) -> bool:
        """Whether it is the version that worked last: kept until another one answers."""
        if self._routed:
            return pod is self._routed
        return self.record is not None and pod.template.intent == self.record.intent

    def _take_down(self) -> None:
        self._router.remove(self.ref)
        self._lead_to(None, None)
        self._routed = None
        for pod in list(self._pods):
            self._stop(pod)

    def _stop(self, pod: LocalPod) -> None:
        self._pods.remove(pod)
        task = tasks.start(pod.stop(), f"stopping {pod.name}")
        self._stopping[pod] = task
        task.add_done_callback(lambda _: self._stopped(pod))

    def _stopped(self, pod: LocalPod) -> None:
        self._stopping.pop(pod, None)
        self._changed()

    def _lead_to(self, pod: LocalPod | None, objects: AppObjects | None) -> None:
        target = (pod, Backend(objects, pod.port)) if pod and objects else None
        if target == self._led:
            return
        self._led = target
        if self._switch:
            self._switch.cancel()
        if target is None:
            self.routed_intent = None  # its route, if it has one, answers 502
            return
        self._switch = tasks.start(self._switch_to(*target), f"leading the route of {self.ref}")

    async def _switch_to(self, pod: LocalPod, backend: Backend) -> None:
        """Lead the address to this pod, and wait until it answers there: then the old one ends."""
        version = pod.template
        record = LiveRecord(pod.commit, version.intent, version.config_map, time.time())
        # Before anybody can see it: who was answered once is answered after a kill -9 too.
        await asyncio.to_thread(_write_record, self._folder / "live.json", record)
        self._router.set(self.ref, backend)
        begun = time.monotonic()
        if self._routed and self._routed.template.intent == pod.template.intent:
            # Both would give the same answer: leave the router time to read its file.
            await asyncio.sleep(_UNSEEN_SWITCH_SECONDS)
        while await self._router.intent_at(self.ref) != pod.template.intent:
            waited = time.monotonic() - begun
            await asyncio.sleep(_FAST_CHECK if waited < _FAST_CHECKS_SECONDS else _SLOW_CHECK)
        self.routed_intent = pod.template.intent
        self._routed = pod
        if self._is_wanted(pod):
            self._times.setdefault("live", datetime.now(UTC))
        self.record = record
        self._settle()


def _write_record(path: Path, record: LiveRecord) -> None:
    written = path.with_suffix(".new")
    written.write_text(json.dumps(asdict(record)))
    written.replace(path)


def _read_record(path: Path) -> LiveRecord | None:
    try:
        return LiveRecord(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        _LOG.warning("%s is of no use: %s", path, error)
        return None
