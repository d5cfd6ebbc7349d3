"""What runs, and how an app goes to sleep or away."""

from dataclasses import replace

import pytest

from api.domain.progress import Hold, Reached, run_status
from api.domain.rollout import Observation
from tests.rollout.scenes import (
    APPLIED,
    ASLEEP,
    DELETED,
    INTENT,
    LIVE,
    MINE,
    OLD,
    SERVING_OLD,
    UPDATE_CRASHED,
    WRITTEN,
    crashed,
    look,
    pod,
    states,
    workload,
)


def test_a_deletion_is_live_when_nothing_is_left():
    assert look(SERVING_OLD, DELETED).stage == "applied"
    assert states(look(SERVING_OLD, DELETED))[5] == "active"
    assert look(Observation(), DELETED).stage == "live"
    assert states(look(Observation(), DELETED))[4] == "skipped"


def test_nothing_seen_is_no_deletion_before_it_was_applied():
    assert look(Observation(), DELETED, Reached(fetched=True)).stage == "applied"


def test_an_app_is_asleep_when_its_pods_are_gone():
    stopping = Observation(workload=workload(replicas=0), pods=(pod(OLD, "stopping"),))
    assert look(stopping, ASLEEP).progress == 100
    running = replace(stopping, pods=(pod(OLD),))
    assert look(running, ASLEEP).progress < 100


RUNS = {
    "live": (INTENT, LIVE, APPLIED, "running", True, MINE),
    "the first one is being checked": (
        WRITTEN,
        Observation(),
        Reached(),
        "validating",
        False,
        None,
    ),
    "the first one starts": (INTENT, Observation(), APPLIED, "deploying", False, None),
    "an update starts": (INTENT, SERVING_OLD, APPLIED, "deploying", True, OLD),
    "the first one failed": (
        INTENT,
        Observation(workload=workload(), pods=(crashed(),)),
        APPLIED,
        "failed",
        False,
        None,
    ),
    "an update failed": (INTENT, UPDATE_CRASHED, APPLIED, "running", True, OLD),
    "an update is held": (
        replace(WRITTEN, hold=Hold("x", "y", "z")),
        SERVING_OLD,
        Reached(),
        "running",
        True,
        OLD,
    ),
    "asleep": (
        ASLEEP,
        Observation(workload=workload(replicas=0)),
        APPLIED,
        "hibernated",
        False,
        None,
    ),
    "suspended": (
        replace(INTENT, blocked="Suspended by ann: spam"),
        Observation(),
        APPLIED,
        "suspended",
        False,
        None,
    ),
    "going": (DELETED, SERVING_OLD, APPLIED, "deleting", False, None),
    "gone": (DELETED, Observation(), APPLIED, "removed", False, None),
}


@pytest.mark.parametrize("case", RUNS.values(), ids=RUNS)
def test_the_status_speaks_of_what_runs(case):
    intent, seen, reached, status, ready, serves = case
    runs = run_status(intent, look(seen, intent, reached), seen)
    assert (runs.status, runs.ready, runs.intent) == (status, ready, serves)
    assert runs.message
