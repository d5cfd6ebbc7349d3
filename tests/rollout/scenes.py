"""Moments of a deploy, for the tests of its progress."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from api.domain.progress import Intent, Progress, Reached, progress
from api.domain.rollout import Observation, Pod, Workload

MINE, OLD = "a" * 64, "b" * 64
START = datetime(2026, 1, 1, 12, tzinfo=UTC)
APPLIED = Reached(fetched=True, attempted=True, applied=True)
WRITTEN = Intent(commit="1" * 40, committed_at=START, digest=MINE, wanted="running", app_id="shop1")
INTENT = replace(WRITTEN, published="2" * 40, published_at=START + timedelta(seconds=1))
DELETED = replace(INTENT, digest=None, wanted="gone")
ASLEEP = replace(INTENT, wanted="stopped")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def pod(intent: str = MINE, phase: str = "ready", **fields) -> Pod:
    return Pod(f"pod-{intent[:3]}", intent, phase, **({"started_at": at(2)} | fields))


def workload(intent: str = MINE, **fields) -> Workload:
    given = {"observed": True, "replicas": 1, "updated": 1, "ready": 1} | fields
    return Workload(intent=intent, **given)


NOTHING = Observation()
LIVE = Observation(workload=workload(), pods=(pod(),), routed_intent=MINE)
SERVING_OLD = Observation(workload=workload(OLD), pods=(pod(OLD),), routed_intent=OLD)


def look(
    seen: Observation = NOTHING,
    intent: Intent = INTENT,
    reached: Reached = APPLIED,
    now: float = 3,
) -> Progress:
    return progress(intent, reached, seen, at(now))


def states(shown: Progress) -> list[str]:
    return [stage.state for stage in shown.stages]


def crashed(**fields) -> Pod:
    log = (
        "Traceback (most recent call last):",
        '  File "/app/user_code.py", line 3, in <module>',
        "NameError: name 'x' is not defined",
    )
    return pod(**({"phase": "failed", "exit_code": 3, "log_tail": log} | fields))


UPDATE_CRASHED = replace(SERVING_OLD, workload=workload(), pods=(pod(OLD), crashed()))
