"""What is kept of each object that is watched: pure, a dozen fields of the thousand that come.

Whose an object is, is read from its namespace, which the admission policy ties to its tenant, and
from the label with the app's id.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from api.clients.kubernetes_watch import Resource
from api.domain.flux_objects import NAMESPACE
from api.domain.names import AppRef, is_id
from api.domain.rollout import PodPhase, Workload

MANAGED: Final = "app.kubernetes.io/managed-by=fastapi-platform"
INTENT: Final = "fastapi-platform/intent"
APP_ID: Final = "fastapi-platform/app-id"
_CONTAINER: Final = "app"
_TENANT: Final = "user-"
_MAX_WORDS: Final = 1000
_REVISION: Final = re.compile(r"flux/([0-9a-f]{2,3})@sha1:([0-9a-f]{40})")
#: Reasons of a waiting container that say nothing beyond that it waits, or that it ended.
_WAITS: Final = frozenset({"ContainerCreating", "PodInitializing", "CrashLoopBackOff"})
#: Reasons for Ready=False that are about the source, not about what was attempted.
_NOT_ATTEMPTED: Final = frozenset({"ArtifactFailed", "DependencyNotReady"})
_KILLED_BY: Final = {
    "failed startup probe": "Startup probe failed",
    "failed liveness probe": "Liveness probe failed",
}

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FailedContainer:
    """A container that ended; its log is there until the one after it ends."""

    id: str
    previous: bool  # another one runs, or will, in its place


@dataclass(frozen=True, slots=True)
class SeenPod:
    """A pod of an app, with all that its app's progress needs."""

    ref: AppRef
    name: str
    intent: str
    config_map: str | None  # that it mounts as the app's code
    phase: PodPhase
    started_at: datetime | None
    ready_at: datetime | None
    restarts: int
    reason: str | None
    exit_code: int | None
    failed: FailedContainer | None
    runs: str | None  # id of the container that runs now or ran last: it has a log
    address: str | None = None  # its own in the cluster


@dataclass(frozen=True, slots=True)
class SeenDeployment:
    """An app's Deployment; `failure`: why it could not make a pod."""

    ref: AppRef
    workload: Workload
    failure: str | None


@dataclass(frozen=True, slots=True)
class SeenNamespace:
    """A tenant's namespace."""

    terminating: bool


@dataclass(frozen=True, slots=True)
class SeenWarning:
    """What an event says went wrong with a pod."""

    pod: str
    words: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class SeenSource:
    """The GitRepository of a shard."""

    shard: str
    fetched: str | None
    fetched_at: datetime | None
    error: str | None
    suspended: bool


@dataclass(frozen=True, slots=True)
class SeenKustomization:
    """The Kustomization of a shard."""

    shard: str
    attempted: str | None
    applied: str | None
    error: str | None  # of the attempted revision
    source_error: str | None  # why nothing newer could be attempted
    suspended: bool


def read_pod(raw: Raw) -> SeenPod | None:
    """A pod of a tenant's app."""
    about, status = raw["metadata"], raw.get("status") or {}
    ref = _ref(about, (about.get("labels") or {}).get(APP_ID))
    if ref is None:
        return None
    conditions = _conditions(status)
    container = _container(status.get("containerStatuses") or ())
    state, last = container.get("state") or {}, container.get("lastState") or {}
    ended = state.get("terminated") or last.get("terminated") or {}
    ready = conditions.get("Ready") or {}
    is_ready = ready.get("status") == "True"
    failed = ended and FailedContainer(
        str(ended.get("containerID") or container.get("containerID") or about.get("uid")),
        previous="terminated" not in state,
    )
    running = container.get("containerID") if "waiting" not in state else None
    return SeenPod(
        ref=ref,
        name=about["name"],
        intent=(about.get("annotations") or {}).get(INTENT, ""),
        config_map=_code_map(raw.get("spec") or {}, f"{ref.app_id}-code-"),
        phase="stopping" if about.get("deletionTimestamp") else _phase(status, state, is_ready),
        started_at=_time(status.get("startTime") or about.get("creationTimestamp")),
        ready_at=_time(ready.get("lastTransitionTime")) if is_ready else None,
        restarts=int(container.get("restartCount") or 0),
        reason=_reason(status, state, ended, conditions.get("PodScheduled") or {}),
        exit_code=ended.get("exitCode"),
        failed=failed or None,
        runs=running or (failed.id if failed else None),
        address=status.get("podIP"),
    )


def read_deployment(raw: Raw) -> SeenDeployment | None:
    """A Deployment, named as its app."""
    about, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    ref = _ref(about, about.get("name"))
    if ref is None:
        return None
    template = ((spec.get("template") or {}).get("metadata") or {}).get("annotations") or {}
    conditions = _conditions(status)
    progressing = conditions.get("Progressing") or {}
    failing = conditions.get("ReplicaFailure") or {}
    late = progressing.get("reason") == "ProgressDeadlineExceeded"
    workload = Workload(
        intent=template.get(INTENT, ""),
        observed=(status.get("observedGeneration") or 0) >= (about.get("generation") or 0),
        replicas=int(spec.get("replicas", 1)),
        updated=int(status.get("updatedReplicas") or 0),
        ready=int(status.get("readyReplicas") or 0),
        stalled=_words(progressing) if late and progressing.get("status") == "False" else None,
    )
    return SeenDeployment(
        ref, workload, _words(failing) if failing.get("status") == "True" else None
    )


def read_namespace(raw: Raw) -> SeenNamespace | None:
    """A tenant's namespace."""
    about = raw["metadata"]
    if not about["name"].startswith(_TENANT):
        return None
    return SeenNamespace(terminating=bool(about.get("deletionTimestamp")))


def read_warning(raw: Raw) -> SeenWarning | None:
    """A warning about a tenant's pod, or a kubelet's word that a failed probe ends it.

    That a probe failed is no warning: the startup probe of every app fails while it starts.
    """
    of = raw.get("involvedObject") or {}
    if of.get("kind") != "Pod" or not str(of.get("namespace", "")).startswith(_TENANT):
        return None
    words = _words(raw)
    if raw.get("reason") == "Killing":
        words = next((said for part, said in _KILLED_BY.items() if part in words), "")
    elif raw.get("type") != "Warning" or raw.get("reason") == "Unhealthy":
        return None
    series = raw.get("series") or {}
    at = series.get("lastObservedTime") or raw.get("lastTimestamp") or raw.get("eventTime")
    return SeenWarning(str(of.get("name")), words, _time(at)) if words else None


def read_source(raw: Raw) -> SeenSource | None:
    """The GitRepository of a shard."""
    shard = _shard(raw)
    if shard is None:
        return None
    status = raw.get("status") or {}
    artifact = status.get("artifact") or {}
    conditions = _conditions(status)
    ready = conditions.get("Ready") or {}
    return SeenSource(
        shard,
        _commit(shard, artifact.get("revision")),
        _time(artifact.get("lastUpdateTime")),
        _stalled(conditions) or (_words(ready) if ready.get("status") == "False" else None),
        suspended=_suspended(raw),
    )


def read_kustomization(raw: Raw) -> SeenKustomization | None:
    """The Kustomization of a shard."""
    shard = _shard(raw)
    if shard is None:
        return None
    status = raw.get("status") or {}
    conditions = _conditions(status)
    ready = conditions.get("Ready") or {}
    words = _words(ready) if ready.get("status") == "False" else None
    before = ready.get("reason") in _NOT_ATTEMPTED
    return SeenKustomization(
        shard,
        _commit(shard, status.get("lastAttemptedRevision")),
        _commit(shard, status.get("lastAppliedRevision")),
        _stalled(conditions) or (None if before else words),
        source_error=words if before else None,
        suspended=_suspended(raw),
    )


PODS: Final = Resource("pods", "/api/v1/pods", read_pod, labels=f"{MANAGED},{APP_ID}")
DEPLOYMENTS: Final = Resource(
    "Deployments", "/apis/apps/v1/deployments", read_deployment, labels=f"{MANAGED},{APP_ID}"
)
NAMESPACES: Final = Resource("namespaces", "/api/v1/namespaces", read_namespace, labels=MANAGED)
WARNINGS: Final = Resource(
    "events", "/api/v1/events", read_warning, fields="involvedObject.kind=Pod"
)
SOURCES: Final = Resource(
    "GitRepositories",
    f"/apis/source.toolkit.fluxcd.io/v1/namespaces/{NAMESPACE}/gitrepositories",
    read_source,
)
KUSTOMIZATIONS: Final = Resource(
    "Kustomizations",
    f"/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{NAMESPACE}/kustomizations",
    read_kustomization,
)


def _ref(about: Raw, app_id: Any) -> AppRef | None:
    namespace = str(about.get("namespace", ""))
    user_id = namespace.removeprefix(_TENANT)
    if user_id == namespace or not isinstance(app_id, str):
        return None
    return AppRef(user_id, app_id) if is_id(user_id) and is_id(app_id) else None


def _shard(raw: Raw) -> str | None:
    name = str(raw["metadata"]["name"])
    shard = name.removeprefix("shard-")
    return shard if shard != name and re.fullmatch(r"[0-9a-f]{2,3}", shard) else None


def _commit(shard: str, revision: Any) -> str | None:
    """The commit of `flux/<shard>@sha1:<40 hex>`; None for any other branch or form."""
    match = _REVISION.fullmatch(str(revision))
    return match[2] if match and match[1] == shard else None


def _container(statuses: Sequence[Raw]) -> Raw:
    """The app's container; its id is in the status once it was made."""
    return next((status for status in statuses if status.get("name") == _CONTAINER), {})


def _phase(status: Raw, state: Raw, ready: bool) -> PodPhase:  # noqa: FBT001  (one condition)
    if status.get("phase") in ("Failed", "Succeeded"):
        return "failed"
    if ready:
        return "ready"
    if "running" in state:
        return "starting"
    waiting = (state.get("waiting") or {}).get("reason")
    return "failed" if "terminated" in state or waiting == "CrashLoopBackOff" else "pending"


def _reason(status: Raw, state: Raw, ended: Raw, scheduled: Raw) -> str | None:
    """Kubernetes' own word for why a pod does not serve, the most telling one."""
    waiting = (state.get("waiting") or {}).get("reason")
    said = status.get("reason") or (None if waiting in _WAITS else waiting)
    if said or ended:
        return said or ended.get("reason") or waiting
    return (scheduled.get("reason") if scheduled.get("status") == "False" else None) or waiting


def _code_map(spec: Raw, prefix: str) -> str | None:
    for volume in spec.get("volumes") or ():
        name = (volume.get("configMap") or {}).get("name", "")
        if volume.get("name") == "code" and name.startswith(prefix):
            return str(name)
    return None


def _conditions(status: Raw) -> dict[str, Raw]:
    return {str(c.get("type")): c for c in status.get("conditions") or ()}


def _stalled(conditions: Mapping[str, Raw]) -> str | None:
    stalled = conditions.get("Stalled") or {}
    return _words(stalled) if stalled.get("status") == "True" else None


def _suspended(raw: Raw) -> bool:
    return bool((raw.get("spec") or {}).get("suspend"))


def _words(condition: Raw) -> str:
    return str(condition.get("message") or condition.get("reason") or "")[:_MAX_WORDS]


def _time(text: Any) -> datetime | None:
    """A moment as Kubernetes writes it; None for none."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None
