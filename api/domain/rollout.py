"""Progress of a deploy, from what was observed: tied to a commit, never to "something is ready".

The observations are the same for Flux and Kubernetes and for the embedded stand-in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

StageName = Literal["validated", "committed", "fetched", "applied", "starting", "live"]
STAGES: Final[tuple[StageName, ...]] = (
    "validated",
    "committed",
    "fetched",
    "applied",
    "starting",
    "live",
)
PodPhase = Literal["pending", "starting", "ready", "failed", "stopping"]


@dataclass(frozen=True)
class Shard:
    """What Flux reports of one shard; every revision is a commit id (40 hex) of `flux/<shard>`."""

    fetched: str | None = None  # GitRepository status.artifact.revision
    attempted: str | None = None  # Kustomization status.lastAttemptedRevision
    applied: str | None = None  # Kustomization status.lastAppliedRevision
    fetch_error: str | None = None
    apply_error: str | None = None  # Ready=False, for the attempted revision
    suspended: bool = False


@dataclass(frozen=True)
class Pod:
    """One pod (embedded: one process) of an app."""

    name: str
    intent: str  # annotation fastapi-platform/intent: what this pod runs
    phase: PodPhase
    started_at: datetime | None = None
    restarts: int = 0
    reason: str | None = None  # Kubernetes' word: CrashLoopBackOff, OOMKilled, ErrImagePull …
    exit_code: int | None = None
    log_tail: tuple[str, ...] = ()  # last lines of the container that failed


@dataclass(frozen=True)
class Workload:
    """An app's Deployment (embedded: the record of what should run)."""

    intent: str  # of the pod template
    observed: bool  # status.observedGeneration has reached metadata.generation
    replicas: int  # wanted
    updated: int  # pods of the current template
    ready: int  # ready pods of any template
    stalled: str | None = None  # message of Progressing=False / ProgressDeadlineExceeded


@dataclass(frozen=True)
class Observation:
    """Everything seen of one app at one moment."""

    shard: Shard = Shard()
    workload: Workload | None = None
    pods: tuple[Pod, ...] = ()
    routed_intent: str | None = None  # the intent that answered at the app's own URL
    warnings: tuple[str, ...] = ()  # events of this workload's objects, newest first
    terminating: bool = False  # the tenant's namespace is being removed
    times: Mapping[str, datetime] = field(default_factory=dict)  # StageName → when first seen


@dataclass(frozen=True)
class LiveVersion:
    """A version that was seen serving, and the ConfigMap its pods mount."""

    intent: str
    config_map: str
