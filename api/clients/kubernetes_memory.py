"""What is known of each app, put together from the objects that are watched; asks nobody."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from api.clients.kubernetes_objects import (
    SeenDeployment,
    SeenKustomization,
    SeenPod,
    SeenSource,
    SeenWarning,
)
from api.clients.kubernetes_watch import Key
from api.domain.names import AppRef, namespace_of
from api.domain.rollout import LiveVersion, Shard

_KEPT_PODS: Final = 2000  # that have warnings
_KEPT_WARNINGS: Final = 5  # of one pod


@dataclass
class AppMemory:
    """One app: its objects as they are now, and what of its past they no longer tell."""

    pods: dict[str, SeenPod] = field(default_factory=dict)
    deployment: SeenDeployment | None = None
    live: LiveVersion | None = None  # whose pods were last seen ready
    times_of: str | None = None  # the intent of `times`
    times: dict[str, datetime] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether nothing of it is left in the cluster."""
        return not self.pods and self.deployment is None

    def serving(self) -> SeenPod | None:
        """A ready pod: of the version that is wanted if there is one, else of the newest."""
        wanted = self.deployment.workload.intent if self.deployment else None
        ready = [pod for pod in self.pods.values() if pod.phase == "ready"]
        return max(ready, key=lambda pod: (pod.intent == wanted, _began(pod)), default=None)

    def is_proved_by(self, intent: str | None) -> bool:
        """Whether pods of this intent, which answered at the app's address, are still ready."""
        return any(p.intent == intent and p.phase == "ready" for p in self.pods.values())

    def look(self, fetched_at: datetime | None, *, news: bool) -> None:
        """Note what just came to pass; what was there before anybody looked is no news."""
        if serving := self.serving():
            self._note_live(serving)
        if self.deployment is None:
            return
        intent = self.deployment.workload.intent
        if intent != self.times_of:
            self.times_of, self.times = intent, {}
            if news:
                self.times["applied"] = datetime.now(UTC)
                if fetched_at:
                    self.times["fetched"] = fetched_at
        ready = [pod.ready_at for pod in self.pods.values() if pod.intent == intent]
        if first := min((at for at in ready if at), default=None):
            self.times.setdefault("starting", first)

    def _note_live(self, pod: SeenPod) -> None:
        if pod.config_map and (self.live is None or self.live.intent != pod.intent):
            self.live = LiveVersion(pod.intent, pod.config_map)


class Warnings:
    """The last warnings about each pod, and of the last pods only."""

    def __init__(self) -> None:
        self._of: OrderedDict[Key, OrderedDict[str, SeenWarning]] = OrderedDict()

    def put(self, namespace: str, warning: SeenWarning) -> None:
        """Keep it; one that comes again is the newest."""
        pod = (namespace, warning.pod)
        kept = self._of.setdefault(pod, OrderedDict())
        self._of.move_to_end(pod)
        kept[warning.words] = warning
        kept.move_to_end(warning.words)
        while len(kept) > _KEPT_WARNINGS:
            kept.popitem(last=False)
        while len(self._of) > _KEPT_PODS:
            self._of.popitem(last=False)

    def forget(self, pod: Key) -> None:
        """The pod is gone."""
        self._of.pop(pod, None)

    def of(self, namespace: str, pods: Iterable[str]) -> tuple[str, ...]:
        """What went wrong with these pods, newest first."""
        found = [w for pod in pods for w in self._of.get((namespace, pod), {}).values()]
        found.sort(key=lambda warning: warning.at.timestamp() if warning.at else 0.0, reverse=True)
        return tuple(warning.words for warning in found)


class ClusterMemory:
    """Every app that has a Deployment or a pod."""

    def __init__(self) -> None:
        self.apps: dict[AppRef, AppMemory] = {}
        self.warnings = Warnings()

    def put_pod(self, key: Key, before: SeenPod | None, after: SeenPod | None) -> AppRef | None:
        """Take in a pod's change; whose it is."""
        seen = after or before
        if seen is None:
            return None
        app = self.apps.setdefault(seen.ref, AppMemory())
        if after:
            app.pods[after.name] = after
        else:
            app.pods.pop(seen.name, None)
            self.warnings.forget(key)
        return seen.ref

    def put_deployment(
        self, before: SeenDeployment | None, after: SeenDeployment | None
    ) -> AppRef | None:
        """Take in a Deployment's change; whose it is."""
        seen = after or before
        if seen is None:
            return None
        self.apps.setdefault(seen.ref, AppMemory()).deployment = after
        return seen.ref

    def settle(self, ref: AppRef, fetched_at: datetime | None, *, news: bool) -> None:
        """Draw what follows from a change of the app's objects."""
        app = self.apps[ref]
        app.look(fetched_at, news=news)
        if app.empty:
            del self.apps[ref]

    def warnings_of(self, ref: AppRef, app: AppMemory) -> tuple[str, ...]:
        """What went wrong with the wanted version; an old pod's trouble is not its own."""
        if app.deployment is None:
            return ()
        intent = app.deployment.workload.intent
        pods = [pod.name for pod in app.pods.values() if pod.intent == intent]
        said = self.warnings.of(namespace_of(ref.user_id), pods)
        return (app.deployment.failure, *said) if app.deployment.failure else said


def shard_seen(source: SeenSource | None, applied: SeenKustomization | None) -> Shard:
    """What Flux reports of a shard, from its two objects."""
    fetched, error = (source.fetched, source.error) if source else (None, None)
    if source is None:
        error = "Flux has no GitRepository for this shard."
    if applied is None:
        return Shard(fetched, fetch_error=error, suspended=bool(source and source.suspended))
    return Shard(
        fetched=fetched,
        attempted=applied.attempted,
        applied=applied.applied,
        fetch_error=error or applied.source_error,
        apply_error=applied.error,
        suspended=applied.suspended or bool(source and source.suspended),
    )


def times_of(app: AppMemory | None, fetched_at: datetime | None) -> Mapping[str, datetime]:
    """When each stage of the wanted version was first seen."""
    if app is None or app.deployment is None:
        return {"fetched": fetched_at} if fetched_at else {}
    return dict(app.times)


def _began(pod: SeenPod) -> float:
    return pod.started_at.timestamp() if pod.started_at else 0.0
