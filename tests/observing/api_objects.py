"""Objects as the API server gives them: the shapes that controllers and kubelets write."""

import copy
from typing import Any

USER, APP = "uabc", "shop-x2y3z4"
NAMESPACE = f"user-{USER}"
FLUX = "fastapi-platform-flux"
MINE, OLD = "a" * 64, "b" * 64
LABELS = {
    "app.kubernetes.io/managed-by": "fastapi-platform",
    "app.kubernetes.io/instance": APP,
    "fastapi-platform/user-id": USER,
    "fastapi-platform/app-id": APP,
}
Raw = dict[str, Any]
_IMAGE = "registry.example/runner:1"


def namespace(name: str = NAMESPACE) -> Raw:
    labels = {"app.kubernetes.io/managed-by": "fastapi-platform", "fastapi-platform/user-id": USER}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def deployment(intent: str = MINE, **status: Any) -> Raw:
    given = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
    labels = {"fastapi-platform/app-id": APP}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": APP, "namespace": NAMESPACE, "labels": dict(LABELS), "generation": 1},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {
                    "labels": dict(LABELS),
                    "annotations": {"fastapi-platform/intent": intent},
                },
                "spec": {"containers": [{"name": "app", "image": _IMAGE}]},
            },
        },
        "status": given | status,
    }


def pod(name: str = f"{APP}-6d4b75cb6d-abcde", intent: str = MINE, **status: Any) -> Raw:
    """A pod that is ready, unless `status` says otherwise."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": dict(LABELS),
            "annotations": {"fastapi-platform/intent": intent},
            "creationTimestamp": "2026-01-01T12:00:00Z",
        },
        "spec": {
            "containers": [{"name": "app", "image": _IMAGE}],
            "volumes": [
                {"name": "code", "configMap": {"name": f"{APP}-code-{intent[:10]}"}},
                {"name": "tmp", "emptyDir": {}},
            ],
        },
        "status": ready_status() | status,
    }


def ready_status() -> Raw:
    return {
        "phase": "Running",
        "startTime": "2026-01-01T12:00:01Z",
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T12:00:04Z"},
        ],
        "containerStatuses": [container(running={"startedAt": "2026-01-01T12:00:02Z"})],
    }


def not_ready(**container_status: Any) -> Raw:
    """A status with this container, which does not serve."""
    return {
        "phase": "Running",
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "False", "reason": "ContainersNotReady"},
        ],
        "containerStatuses": [container(**container_status)],
    }


def container(
    restarts: int = 0, last: Raw | None = None, id_: str = "containerd://c1", **state: Raw
) -> Raw:
    return {
        "name": "app",
        "image": _IMAGE,
        "imageID": "sha256:0",
        "ready": "running" in state,
        "restartCount": restarts,
        "state": state,
        "lastState": {"terminated": last} if last else {},
        **({} if "waiting" in state and not last else {"containerID": id_}),
    }


def ended(code: int, reason: str = "Error", id_: str = "containerd://c0") -> Raw:
    return {
        "exitCode": code,
        "reason": reason,
        "startedAt": "2026-01-01T12:00:02Z",
        "finishedAt": "2026-01-01T12:00:03Z",
        "containerID": id_,
    }


def crash_loop(code: int = 3, reason: str = "Error", id_: str = "containerd://c0") -> Raw:
    """As a kubelet reports a container that it starts anew ever later."""
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}
    return not_ready(restarts=2, last=ended(code, reason, id_), waiting=waiting)


def event(
    message: str, reason: str, *, kind: str = "Warning", name: str = f"{APP}-6d4b75cb6d-abcde"
) -> Raw:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{abs(hash(message)):x}", "namespace": NAMESPACE},
        "involvedObject": {"kind": "Pod", "namespace": NAMESPACE, "name": name},
        "type": kind,
        "reason": reason,
        "message": message,
        "firstTimestamp": "2026-01-01T12:00:03Z",
        "lastTimestamp": "2026-01-01T12:00:05Z",
        "count": 1,
    }


def source(shard: str, commit: str | None, *conditions: Raw, **spec: Any) -> Raw:
    status: Raw = {"conditions": list(conditions)}
    if commit:
        status["artifact"] = {
            "revision": f"flux/{shard}@sha1:{commit}",
            "digest": "sha256:" + "0" * 64,
            "lastUpdateTime": "2026-01-01T12:00:00Z",
            "path": f"gitrepository/{FLUX}/shard-{shard}/{commit}.tar.gz",
            "url": "http://127.0.0.1:9090/x.tar.gz",
        }
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": f"shard-{shard}", "namespace": FLUX},
        "spec": {"interval": "10m", "url": "https://git.example/repo.git", **spec},
        "status": status,
    }


def kustomization(
    shard: str, attempted: str | None, applied: str | None, *conditions: Raw, **spec: Any
) -> Raw:
    revisions = {"lastAttemptedRevision": attempted, "lastAppliedRevision": applied}
    named = {key: f"flux/{shard}@sha1:{commit}" for key, commit in revisions.items() if commit}
    reference = {"kind": "GitRepository", "name": f"shard-{shard}"}
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": f"shard-{shard}", "namespace": FLUX},
        "spec": {"interval": "12h", "prune": True, "sourceRef": reference, **spec},
        "status": {"conditions": list(conditions), **named},
    }


def condition(kind: str, status: str, reason: str, message: str) -> Raw:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-01-01T12:00:02Z",
    }


def changed(raw: Raw, **status: Any) -> Raw:
    """The same object with another status."""
    return copy.deepcopy(raw) | {"status": copy.deepcopy(raw["status"]) | status}
