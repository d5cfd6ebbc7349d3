"""The stages of a deploy, each with its evidence, its deadline and its reasons to fail."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from api.domain.addresses import without_addresses
from api.domain.failures import Failure, explain, explain_refusal, find_error, is_known
from api.domain.quarantine import REFUSED
from api.domain.rollout import Observation, Pod, StageName

#: Reasons of a waiting pod that time does not cure.
_FINAL_REASONS: Final = frozenset(
    {
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerConfigError",
        "CreateContainerError",
    }
)
_WAIT: Final = "It is tried again by itself; if it goes on, tell an administrator."
_MAX_WORDS: Final = 500
#: The API server's words for what cannot be made in a namespace that is being removed.
_TERMINATING: Final = "being terminated"


@dataclass(frozen=True)
class Hold:
    """Why the newest intent is not published: the check's first diagnostic."""

    reason: str
    message: str
    hint: str
    path: str | None = None
    line: int | None = None
    unknown: bool = False  # the check could not be finished: it is tried again


@dataclass(frozen=True)
class Intent:
    """The newest intent of an app on `main`, as git and the publisher say."""

    commit: str
    committed_at: datetime
    digest: str | None  # None: deleted
    wanted: Literal["running", "stopped", "gone"]
    published: str | None = None  # the shard commit that first carries it
    published_at: datetime | None = None
    hold: Hold | None = None
    waiting: str | None = None  # why publishing waits
    blocked: str | None = None  # suspended or taken down: by whom and why
    # Since when each is waited for here, which dates in git do not say; None: as git says.
    seen_at: datetime | None = None
    publication_seen_at: datetime | None = None
    app_id: str = ""  # tells whether Flux' words are about this app


@dataclass(frozen=True)
class Reached:
    """Whether the shard commits that Flux reports carry the intent."""

    fetched: bool = False
    attempted: bool = False
    applied: bool = False


@dataclass(frozen=True)
class Deadlines:
    """After how many seconds a stage that should have ended counts as failed."""

    seconds: Mapping[StageName, float] = field(
        default_factory=lambda: {
            "committed": 30,
            "fetched": 60,  # pokes repeat for 60 s
            "applied": 150,  # a Kustomization's timeout is 120 s
            "starting": 90,  # progressDeadlineSeconds of the Deployment
            "live": 30,
        }
    )


@dataclass(frozen=True)
class Scene:
    """Everything that is known when one stage is judged; `since`: from when its time counts."""

    intent: Intent
    reached: Reached
    seen: Observation
    now: datetime
    since: datetime
    seconds: float

    @property
    def late(self) -> bool:
        """Whether the stage's deadline has passed."""
        return self.now - self.since > timedelta(seconds=self.seconds)

    @property
    def carried(self) -> bool:
        """Whether the Deployment carries the intent: the strongest evidence that it was applied."""
        digest = self.intent.digest
        return digest is not None and digest == (self.seen.workload and self.seen.workload.intent)

    @property
    def pods(self) -> tuple[Pod, ...]:
        """The pods of this intent."""
        return tuple(p for p in self.seen.pods if p.intent == self.intent.digest)

    @property
    def ready(self) -> bool:
        """Whether as many pods of this intent are ready as the Deployment wants."""
        workload = self.seen.workload
        if workload is None or not self.carried or not workload.observed:
            return False
        wanted = max(1, workload.replicas)
        return workload.updated >= wanted <= sum(p.phase == "ready" for p in self.pods)


@dataclass(frozen=True)
class Step:
    """How a stage stands."""

    state: Literal["active", "done", "failed", "skipped"]
    detail: str = ""
    failure: Failure | None = None


def _done(detail: str = "") -> Step:
    return Step("done", detail)


def _active(detail: str) -> Step:
    return Step("active", _short(detail))


def _failed(failure: Failure) -> Step:
    return Step("failed", failure.message, failure)


def _short(text: str) -> str:
    """Words of others, for a learner."""
    return " ".join(without_addresses(text).split())[:_MAX_WORDS]


def _validated(_: Scene) -> Step:
    return _done("Saved on main.")


def _committed(scene: Scene) -> Step:
    intent = scene.intent
    if intent.blocked and intent.wanted != "gone":
        return _failed(Failure("suspended", intent.blocked, "Ask an administrator to lift it."))
    hold = intent.hold
    if intent.published or _is_refused(intent):
        return _done("Published.")
    if hold and not hold.unknown:
        return _failed(Failure(hold.reason, hold.message, hold.hint, hold.path, hold.line))
    if words := hold.message if hold else intent.waiting:
        return _active(f"Saved; publishing waits: {words}")
    if scene.late:
        return _failed(Failure("not_published", "Saved, but not published in time.", _WAIT))
    return _active("Being published.")


def _fetched(scene: Scene) -> Step:
    reached, shard = scene.reached, scene.seen.shard
    if reached.fetched or reached.attempted or reached.applied or scene.carried:
        return _done()
    if _is_refused(scene.intent):
        return _done()
    if shard.suspended:
        return _active("An administrator has paused all deploys; this one goes on after that.")
    words = _short(shard.fetch_error or "")
    if scene.late:
        message = (
            f"The cluster cannot fetch the change: {words}" if words else "Not fetched in time."
        )
        return _failed(Failure("fetch", message, _WAIT))
    return _active(f"Not fetched yet: {words}" if words else "Waiting for the cluster to fetch it.")


def _applied(scene: Scene) -> Step:
    hold = scene.intent.hold
    if hold and _is_refused(scene.intent):
        return _failed(_refusal(hold.message, hold.hint))
    if scene.reached.applied or scene.carried:
        return _done()
    if scene.seen.shard.suspended:
        return _active("An administrator has paused all deploys; this one goes on after that.")
    return _being_applied(scene)


def _being_applied(scene: Scene) -> Step:
    reached, shard = scene.reached, scene.seen.shard
    if scene.seen.terminating:
        return _for_now(scene, _TERMINATING)
    if reached.attempted and shard.apply_error:  # of an attempt that contained this intent
        return _refused(scene, _short(shard.apply_error))
    if scene.late:
        words = _short(shard.fetch_error or "")
        message = f"Not applied in time: {words}" if words else "Not applied in time."
        return _failed(Failure("apply", message, _WAIT))
    return _active("Being applied to the cluster.")


def _for_now(scene: Scene, words: str) -> Step:
    """What time may cure counts as a failure only after the deadline."""
    failure = explain_refusal(words) or Failure("apply", words, _WAIT)
    return _failed(failure) if scene.late else _active(failure.message)


def _refused(scene: Scene, words: str) -> Step:
    if _names(words, scene.intent.app_id):
        if _TERMINATING in words:
            return _for_now(scene, words)
        return _failed(_refusal(words, _WAIT))
    if scene.late:
        message = f"Held up by somebody else's app: {words}"
        return _failed(Failure("shard_held_up", message, _WAIT))
    return _active("Held up for a moment by somebody else's app.")


def _refusal(words: str, hint: str) -> Failure:
    refused = Failure(REFUSED, f"The cluster refused the app: {words}", hint)
    return explain_refusal(words) or refused


def _is_refused(intent: Intent) -> bool:
    """Whether the cluster refused the intent after it was published, and it was taken back."""
    return intent.hold is not None and intent.hold.reason == REFUSED


def _names(words: str, app_id: str) -> bool:
    parts = "".join(c if c.isalnum() or c == "-" else " " for c in words).split()
    return not app_id or any(
        part in (app_id, f"{app_id}-strip", f"{app_id}-slash") for part in parts
    )


def _starting(scene: Scene) -> Step:
    if scene.intent.wanted != "running":
        return Step("skipped")
    if scene.ready:
        return _done()
    # Only the newest pod counts: an evicted one may lie beside its replacement.
    pod = max(scene.pods, key=_age, default=None)
    if failure := _start_failure(scene, pod):
        return _failed(failure)
    if pod and is_known(pod.reason):
        return _active(explain(pod).message)
    if pod:
        return _active("Starting.")
    refusal = explain_refusal(_hindrance(scene))
    return _active(refusal.message if refusal else "Waiting for a place to start.")


def _start_failure(scene: Scene, pod: Pod | None) -> Failure | None:
    if pod and (pod.phase == "failed" or pod.restarts or pod.reason in _FINAL_REASONS):
        return _ended(pod, scene.seen.warnings)
    workload = scene.seen.workload
    if scene.carried and workload and workload.observed and workload.stalled:
        return _too_slow(pod, _hindrance(scene) or workload.stalled)
    start = max(scene.since, pod.started_at) if pod and pod.started_at else scene.since
    if scene.now - start > timedelta(seconds=scene.seconds):
        return _too_slow(pod, _hindrance(scene))
    return None


def _hindrance(scene: Scene) -> str:
    """Why there is no pod, in the cluster's words."""
    warnings = scene.seen.warnings
    return _TERMINATING if scene.seen.terminating else _short(next(iter(warnings), ""))


def _ended(pod: Pod, warnings: Sequence[str]) -> Failure:
    """Why a pod ended; a warning only says more about one that was killed without a word."""
    failure = explain(pod)
    # A runner that is asked to stop ends well, also when a failed probe is why it is asked.
    asked = failure.reason in ("killed", "crashed", "ended")
    if asked and not find_error(pod.log_tail):
        if any("Startup probe failed" in words for words in warnings):
            return explain(replace(pod, reason="Unhealthy"))
        if any("Liveness probe failed" in words for words in warnings):
            return explain(replace(pod, reason="Blocked"))
    return failure


def _age(pod: Pod) -> tuple[bool, float]:
    return (pod.started_at is None, pod.started_at.timestamp() if pod.started_at else 0.0)


def _too_slow(pod: Pod | None, words: str) -> Failure:
    if pod is None and (refusal := explain_refusal(words)):
        return refusal
    if pod is None:
        message = f"The app did not get a place to start: {_short(words)}".removesuffix(": ")
        return Failure("not_started", message, _WAIT)
    return explain(pod if is_known(pod.reason) else replace(pod, reason="Unhealthy"))


def _live(scene: Scene) -> Step:
    intent, seen = scene.intent, scene.seen
    if intent.wanted == "gone":
        left = seen.workload is not None or bool(seen.pods)
        return _leaving(scene, "Being removed.") if left else _done("Deleted.")
    if intent.wanted == "stopped":
        left = any(pod.phase != "stopping" for pod in seen.pods)
        return _leaving(scene, "Being stopped.") if left else _done("Asleep.")
    if seen.routed_intent == intent.digest:
        return _done("Live.")
    if scene.late:
        message = "The app runs, but its address does not answer."
        hint = "Look whether the app answers at all: a request may block it."
        return _failed(Failure("not_routed", message, hint))
    return _active("Waiting for its address to answer.")


def _leaving(scene: Scene, detail: str) -> Step:
    if scene.late:
        return _failed(Failure("not_stopped", "The app still runs.", _WAIT))
    return _active(detail)


STEPS: Final[Mapping[StageName, Callable[[Scene], Step]]] = {
    "validated": _validated,
    "committed": _committed,
    "fetched": _fetched,
    "applied": _applied,
    "starting": _starting,
    "live": _live,
}
