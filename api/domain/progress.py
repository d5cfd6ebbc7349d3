"""Progress of a deploy, from what git says and what was observed: tied to one commit's intent.

Nothing counts as evidence that is not about this intent: neither "something is ready", nor a status
of an earlier revision, nor an old event. A Deployment that carries the intent outranks what Flux'
status says, and `live` needs its pods ready and its own answer at the app's address.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from api.domain.rollout import STAGES, Observation, StageName
from api.domain.stages import STEPS, Deadlines, Hold, Intent, Reached, Scene, Step

__all__ = [
    "Deadlines",
    "Hold",
    "Intent",
    "Progress",
    "Reached",
    "RunStatus",
    "progress",
    "run_status",
]

StageState = Literal["pending", "active", "done", "failed", "skipped"]
Ending = Literal["live", "failed", "superseded"]
AppState = Literal[
    "validating", "deploying", "running", "failed", "hibernated", "suspended", "removed", "deleting"
]
#: How far along a deploy is once a stage is done, in percent; starting takes longest.
_PERCENT: Final[dict[StageName, int]] = {
    "validated": 10,
    "committed": 30,
    "fetched": 45,
    "applied": 60,
    "starting": 90,
    "live": 100,
}


@dataclass(frozen=True)
class Stage:
    """One stage as it is shown."""

    name: StageName
    state: StageState
    started_at: datetime | None = None
    finished_at: datetime | None = None
    detail: str = ""


@dataclass(frozen=True)
class DeployError:
    """What failed, in a learner's words; `path` and `line` when it is in their code."""

    stage: StageName
    reason: str
    message: str
    hint: str
    path: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class Progress:
    """How far an intent has come; `stage` is the active one, or how it ended."""

    stage: StageName | Ending
    progress: int  # percent
    message: str
    commit: str
    stages: tuple[Stage, ...]
    error: DeployError | None = None


@dataclass(frozen=True)
class RunStatus:
    """What runs now, whichever version that is; `intent` is its digest."""

    status: AppState
    ready: bool
    intent: str | None
    message: str


def progress(
    intent: Intent,
    reached: Reached,
    observation: Observation,
    now: datetime,
    deadlines: Deadlines | None = None,
) -> Progress:
    """How far `intent` has come, judged stage by stage until one is not done."""
    seconds = (deadlines or Deadlines()).seconds
    stages: list[Stage] = []
    percent = 0
    stopped: tuple[StageName, Step] | None = None
    since = intent.committed_at
    for name in STAGES:
        if stopped:
            stages.append(Stage(name, "pending"))
            continue
        counted = _counted(name, intent, since)
        scene = Scene(intent, reached, observation, now, counted, seconds.get(name, 0.0))
        step = STEPS[name](scene)
        if step.state in ("done", "skipped"):
            finished = _finished(name, intent, observation, since)
            stages.append(Stage(name, step.state, since, finished, step.detail))
            since = finished
            percent = _PERCENT[name]
        else:
            stages.append(Stage(name, step.state, since, None, step.detail))
            stopped = (name, step)
    return _told(intent, observation, tuple(stages), percent, stopped)


def run_status(intent: Intent, shown: Progress, observation: Observation) -> RunStatus:
    """What runs, given the newest intent and its progress."""
    if intent.wanted == "gone":
        return RunStatus(
            "removed" if shown.stage == "live" else "deleting", False, None, shown.message
        )
    if intent.blocked:
        return RunStatus("suspended", False, None, intent.blocked)
    if intent.wanted == "stopped":
        return RunStatus("hibernated", False, None, shown.message)
    if shown.stage == "live":
        return RunStatus("running", True, intent.digest, shown.message)
    older = _older(intent, observation)
    if shown.stage == "failed":
        return RunStatus("running" if older else "failed", older is not None, older, shown.message)
    early = older is None and shown.stage in ("validated", "committed")
    return RunStatus(
        "validating" if early else "deploying", older is not None, older, shown.message
    )


def _counted(name: StageName, intent: Intent, since: datetime) -> datetime:
    """From when a stage's deadline counts: not before its cause was seen here."""
    early = name in ("validated", "committed")
    seen = intent.seen_at if early else intent.publication_seen_at
    return max(seen, since) if seen else since


def _finished(
    name: StageName, intent: Intent, observation: Observation, since: datetime
) -> datetime:
    at = {"committed": intent.published_at}.get(name, observation.times.get(name))
    # A time from before this commit is an earlier deploy's.
    return max(at, since) if at else since


def _told(
    intent: Intent,
    observation: Observation,
    stages: tuple[Stage, ...],
    percent: int,
    stopped: tuple[StageName, Step] | None,
) -> Progress:
    if stopped is None:
        return Progress("live", percent, stages[-1].detail, intent.commit, stages)
    name, step = stopped
    message = step.detail
    if _older(intent, observation):
        stop = "" if message.endswith((".", "!", "?")) else "."
        message = f"{message}{stop} The version before keeps serving."
    if step.failure is None:
        # `live` means that it is over; what still waits for its address, or to be gone, is not.
        before: StageName = "starting" if intent.wanted == "running" else "applied"
        active = before if name == "live" else name
        return Progress(active, percent, message, intent.commit, stages)
    failure = step.failure
    error = DeployError(
        name, failure.reason, failure.message, failure.hint, failure.path, failure.line
    )
    return Progress("failed", percent, message, intent.commit, stages, error)


def _older(intent: Intent, observation: Observation) -> str | None:
    """The intent of another version that is ready; what the router reaches comes first."""
    ready = [p.intent for p in observation.pods if p.phase == "ready" and p.intent != intent.digest]
    if observation.routed_intent in ready:
        return observation.routed_intent
    return ready[0] if ready else None
