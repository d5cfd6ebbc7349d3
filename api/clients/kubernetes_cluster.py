"""The cluster as Flux and Kubernetes report it: observed, never asked to do anything.

One watch per kind feeds one memory, from which every question is answered. What no object tells,
the last words of a failed container and which version answers at an address, is asked for only
while somebody follows an app that waits for it, and then once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from api.clients import kubernetes_objects as objects
from api.clients.cluster import LogLine
from api.clients.flux_receiver import FluxReceiver
from api.clients.kubernetes_api import KubernetesApi
from api.clients.kubernetes_logs import AppLogs, LastWords
from api.clients.kubernetes_memory import AppMemory, ClusterMemory, shard_seen, times_of
from api.clients.kubernetes_objects import (
    SeenDeployment,
    SeenKustomization,
    SeenNamespace,
    SeenPod,
    SeenSource,
    SeenWarning,
)
from api.clients.kubernetes_watch import Key, Watch
from api.clients.route_checks import SURE, RouteChecks
from api.clients.runner_probes import open_requests
from api.domain.flux_objects import NAMESPACE
from api.domain.names import AppRef, namespace_of, shard_of
from api.domain.rollout import LiveVersion, Observation, Pod, Shard
from api.errors import ClusterUnavailable, RepositoryUnavailable
from api.settings import Settings

_LOG: Final = logging.getLogger(__name__)
#: A start waits for so long for the first lists; then the platform serves, and /readyz says why.
_FIRST_LISTS_SECONDS: Final = 15.0
#: Of a runner's own answers: templates/app/generated/deployment.yaml.
_PROBE_PORT: Final = 8001
_Tip = Callable[[str], Awaitable[str | None]]


class KubernetesCluster:
    """Observed through the protocol of `api.clients.cluster`; started and closed by the api.

    `tip` gives the newest commit (40 hex) of a shard's branch, and may raise
    RepositoryUnavailable.
    """

    isolated: Final = True

    def __init__(self, settings: Settings, api: KubernetesApi, tip: _Tip) -> None:
        self._tip = tip
        self._memory = ClusterMemory()
        self._waiting: dict[AppRef, asyncio.Event] = {}
        self._digits = 2
        self._pods = Watch(api, objects.PODS, self._pod_changed)
        self._deployments = Watch(api, objects.DEPLOYMENTS, self._deployment_changed)
        self._namespaces = Watch(api, objects.NAMESPACES, self._namespace_changed)
        self._warnings = Watch(api, objects.WARNINGS, self._warned)
        self._sources = Watch(api, objects.SOURCES, self._source_changed)
        self._kustomizations = Watch(api, objects.KUSTOMIZATIONS, self._kustomization_changed)
        self._watches: tuple[Watch[Any], ...] = (
            *(self._namespaces, self._deployments, self._pods, self._warnings),
            *(self._sources, self._kustomizations),
        )
        router = settings.router_url or settings.apps_origin
        self._routes = RouteChecks(router, settings.apps_origin, self._answered)
        self._last_words = LastWords(api, self._wake)
        self._logs = AppLogs(api, self._pods_of, self.changes)
        self._receiver = (
            FluxReceiver(settings.flux_receiver_url, settings.flux_receiver_token_file, self._lags)
            if settings.flux_receiver_token_file
            else None
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._ended: str | None = None

    async def start(self) -> None:
        """Begin to watch; a cluster that does not answer yet is waited for in the background."""
        works: list[tuple[str, Coroutine[Any, Any, None]]] = [
            (f"watching {watch.name}", watch.run()) for watch in self._watches
        ]
        if self._receiver:
            works.append(("telling Flux", self._receiver.run()))
        for name, work in works:
            task = asyncio.create_task(work, name=name)
            task.add_done_callback(self._note_end)
            self._tasks.append(task)
        try:
            async with asyncio.timeout(_FIRST_LISTS_SECONDS):
                await asyncio.gather(*(watch.synced.wait() for watch in self._watches))
        except TimeoutError:
            _LOG.warning("%s", await self.problem())

    async def close(self) -> None:
        """Stop watching; nothing in the cluster changes by it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._last_words.close()
        await self._routes.close()
        if self._receiver:
            await self._receiver.close()

    async def observe(self, ref: AppRef) -> Observation:
        """What is known of the app now; reads memory only. Raises ClusterUnavailable."""
        if problem := await self.problem():
            raise ClusterUnavailable(problem)
        app = self._memory.apps.get(ref)
        shard = shard_of(ref.user_id, self._digits)
        source = self._sources.objects.get(_flux(shard))
        namespace = self._namespaces.objects.get(("", namespace_of(ref.user_id)))
        seen = Observation(
            shard=await self.shard(shard),
            terminating=namespace is not None and namespace.terminating,
            times=times_of(app, source.fetched_at if source else None),
        )
        if app is None:
            return seen
        return replace(
            seen,
            workload=app.deployment.workload if app.deployment else None,
            pods=tuple(self._told(pod) for pod in app.pods.values()),
            routed_intent=self._routed(ref, app),
            warnings=self._memory.warnings_of(ref, app),
        )

    async def observe_all(self, refs: Collection[AppRef]) -> dict[AppRef, Observation]:
        """The same of several apps."""
        return {ref: await self.observe(ref) for ref in refs}

    async def shard(self, name: str) -> Shard:
        """What Flux reports of the branch `flux/<name>`; reads memory only."""
        key = _flux(name)
        source = self._sources.objects.get(key)
        seen = shard_seen(source, self._kustomizations.objects.get(key))
        untold = self._receiver and self._receiver.waits(name) and self._receiver.problem
        return replace(seen, fetch_error=untold) if untold and not seen.fetch_error else seen

    async def changes(self, ref: AppRef) -> AsyncIterator[None]:
        """Yield at once, then whenever something of the app changed (bursts may be merged)."""
        while True:
            event = self._waiting.setdefault(ref, asyncio.Event())
            yield
            await event.wait()

    def logs(
        self, ref: AppRef, *, follow: bool = False, previous: bool = False, tail: int = 200
    ) -> AsyncIterator[LogLine]:
        """The output of all the app's pods, oldest first; nothing for an unknown app."""
        return self._logs.lines(ref, follow=follow, previous=previous, tail=tail)

    async def open_requests(self, ref: AppRef) -> int:
        """How much the app's pods serve at this moment; raises ClusterUnavailable."""
        if problem := await self.problem():
            raise ClusterUnavailable(problem)
        pods = [pod for pod in self._pods_of(ref) if pod.phase in ("ready", "starting")]
        hosts = [pod.address for pod in pods if pod.address]
        return sum(await asyncio.gather(*(open_requests(host, _PROBE_PORT) for host in hosts)))

    async def poke(self, shards: Collection[str]) -> None:
        """Have Flux told that these branches moved, now and until its sources follow."""
        if shards:
            self._digits = len(next(iter(shards)))
        if self._receiver:
            self._receiver.poke(shards)

    async def live(self, ref: AppRef) -> LiveVersion | None:
        """The version whose pods were last seen ready; None when none was."""
        app = self._memory.apps.get(ref)
        return app.live if app else None

    async def problem(self) -> str | None:
        """Why what is known may be old; None while every watch follows."""
        if self._ended:
            return self._ended
        return next((problem for watch in self._watches if (problem := watch.problem)), None)

    def _told(self, pod: SeenPod) -> Pod:
        """A pod with its last words; while they are being read, it has not failed yet."""
        told = Pod(
            name=pod.name,
            intent=pod.intent,
            phase=pod.phase,
            started_at=pod.started_at,
            restarts=pod.restarts,
            reason=pod.reason,
            exit_code=pod.exit_code,
        )
        if pod.failed is None or pod.phase in ("ready", "stopping"):
            return told
        words = self._last_words.of(pod)
        if words is None:
            return replace(told, phase="starting", restarts=0, reason=None, exit_code=None)
        return replace(told, log_tail=words)

    def _routed(self, ref: AppRef, app: AppMemory) -> str | None:
        """The version that was seen to answer; asks about the wanted one once it is ready."""
        answered = self._routes.answered.get(ref)
        workload = app.deployment.workload if app.deployment else None
        if workload and workload.replicas and workload.intent != answered:
            others = {pod.intent for pod in app.pods.values()} - {workload.intent}
            old = any(p.intent in others and p.phase == "ready" for p in app.pods.values())
            if app.is_proved_by(workload.intent) and not old:
                self._routes.want(ref, workload.intent, times=SURE if others else 1)
        return answered if app.is_proved_by(answered) else None

    async def _lags(self, shard: str) -> bool:
        source = self._sources.objects.get(_flux(shard))
        try:
            return source is None or source.fetched != await self._tip(shard)
        except RepositoryUnavailable:
            return True

    def _pods_of(self, ref: AppRef) -> list[SeenPod]:
        app = self._memory.apps.get(ref)
        return list(app.pods.values()) if app else []

    def _pod_changed(self, key: Key, before: SeenPod | None, after: SeenPod | None) -> None:
        self._settle(self._memory.put_pod(key, before, after), news=self._pods.synced.is_set())

    def _deployment_changed(
        self, _: Key, before: SeenDeployment | None, after: SeenDeployment | None
    ) -> None:
        news = self._deployments.synced.is_set()
        self._settle(self._memory.put_deployment(before, after), news=news)

    def _settle(self, ref: AppRef | None, *, news: bool) -> None:
        if ref is None:
            return
        source = self._sources.objects.get(_flux(shard_of(ref.user_id, self._digits)))
        self._memory.settle(ref, source.fetched_at if source else None, news=news)
        app = self._memory.apps.get(ref)
        if app is None or not app.is_proved_by(self._routes.answered.get(ref)):
            self._routes.forget(ref)
        self._wake(ref)

    def _answered(self, ref: AppRef) -> None:
        app = self._memory.apps.get(ref)
        if app and app.times_of == self._routes.answered.get(ref):
            app.times.setdefault("live", datetime.now(UTC))
        self._wake(ref)

    def _namespace_changed(
        self, key: Key, _: SeenNamespace | None, __: SeenNamespace | None
    ) -> None:
        self._wake_namespace(key[1])

    def _warned(self, key: Key, _: SeenWarning | None, after: SeenWarning | None) -> None:
        if after:
            self._memory.warnings.put(key[0], after)
            self._wake_namespace(key[0])

    def _source_changed(self, _: Key, before: SeenSource | None, after: SeenSource | None) -> None:
        self._wake_shard(after or before)

    def _kustomization_changed(
        self, _: Key, before: SeenKustomization | None, after: SeenKustomization | None
    ) -> None:
        self._wake_shard(after or before)

    def _wake_shard(self, seen: SeenSource | SeenKustomization | None) -> None:
        if seen is None:
            return
        shard, digits = seen.shard, len(seen.shard)
        self._digits = digits
        for ref in [ref for ref in self._waiting if shard_of(ref.user_id, digits) == shard]:
            self._wake(ref)

    def _wake_namespace(self, name: str) -> None:
        for ref in [ref for ref in self._waiting if namespace_of(ref.user_id) == name]:
            self._wake(ref)

    def _wake(self, ref: AppRef) -> None:
        if event := self._waiting.pop(ref, None):
            event.set()

    def _note_end(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            self._ended = "The cluster is not followed any more; restart the platform."
            _LOG.critical("%s ended", task.get_name(), exc_info=task.exception())


def _flux(shard: str) -> Key:
    return NAMESPACE, f"shard-{shard}"
