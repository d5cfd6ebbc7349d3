"""How a deploy fails or waits: the stage, a reason, and what to do next."""

from dataclasses import replace

import pytest

from api.domain.progress import Hold, Reached
from api.domain.rollout import STAGES, Observation, Shard
from tests.rollout.scenes import (
    APPLIED,
    DELETED,
    INTENT,
    LIVE,
    SERVING_OLD,
    UPDATE_CRASHED,
    WRITTEN,
    at,
    crashed,
    look,
    pod,
    states,
    workload,
)

ADMISSION = (
    'Deployment/user-u/shop1 dry-run failed (Forbidden): deployments.apps "shop1" is forbidden: '
    "ValidatingAdmissionPolicy 'platform-pods' denied request: host networks are not allowed"
)
INSIDE = "10.96.0.1:443"
REFUSED_SCENES = {
    "fetched": (Observation(shard=Shard(fetch_error=f"dial tcp {INSIDE}")), Reached()),
    "applied": (
        Observation(shard=Shard(apply_error=f"Deployment/shop1 failed: dial tcp {INSIDE}")),
        Reached(fetched=True, attempted=True),
    ),
    "starting": (
        Observation(workload=workload(ready=0), warnings=(f"exceeded quota at {INSIDE}",)),
        APPLIED,
    ),
    "not started": (
        Observation(workload=workload(ready=0, stalled=f"no answer of {INSIDE}")),
        APPLIED,
    ),
    "admission": (
        Observation(workload=workload(ready=0), warnings=(f"admission webhook at {INSIDE}",)),
        APPLIED,
    ),
}
FAILURES = {
    "held": (
        replace(WRITTEN, hold=Hold("import", "`os` is not available.", "Use …", "a.py", 2)),
        Observation(),
        Reached(),
        3,
        "committed",
        "import",
    ),
    "suspended": (
        replace(INTENT, blocked="Suspended by ann: spam"),
        LIVE,
        APPLIED,
        3,
        "committed",
        "suspended",
    ),
    "not published in time": (WRITTEN, Observation(), Reached(), 40, "committed", "not_published"),
    "not fetched in time": (INTENT, Observation(), Reached(), 70, "fetched", "fetch"),
    "cannot be fetched": (
        INTENT,
        Observation(shard=Shard(fetch_error="auth failed")),
        Reached(),
        70,
        "fetched",
        "fetch",
    ),
    "refused by the cluster": (
        INTENT,
        Observation(shard=Shard(apply_error="IngressRoute/shop1 denied")),
        Reached(fetched=True, attempted=True),
        3,
        "applied",
        "refused",
    ),
    "held up by somebody": (
        INTENT,
        Observation(shard=Shard(apply_error="Service/other denied")),
        Reached(fetched=True, attempted=True),
        200,
        "applied",
        "shard_held_up",
    ),
    "not applied in time": (INTENT, Observation(), Reached(fetched=True), 200, "applied", "apply"),
    "crashed": (INTENT, replace(LIVE, pods=(crashed(),)), APPLIED, 3, "starting", "import_failed"),
    "crashed again": (
        INTENT,
        replace(LIVE, pods=(crashed(phase="starting", restarts=1),)),
        APPLIED,
        3,
        "starting",
        "import_failed",
    ),
    "out of memory": (
        INTENT,
        replace(LIVE, pods=(pod(phase="failed", reason="OOMKilled"),)),
        APPLIED,
        3,
        "starting",
        "out_of_memory",
    ),
    "no image": (
        INTENT,
        replace(LIVE, pods=(pod(phase="pending", reason="ImagePullBackOff"),)),
        APPLIED,
        3,
        "starting",
        "image",
    ),
    "no room": (
        INTENT,
        replace(LIVE, pods=(pod(phase="pending", reason="Unschedulable", started_at=None),)),
        APPLIED,
        200,
        "starting",
        "no_room",
    ),
    "quota": (
        INTENT,
        Observation(workload=workload(updated=0), warnings=("exceeded quota: compute",)),
        APPLIED,
        200,
        "starting",
        "quota",
    ),
    "no pod": (
        INTENT,
        Observation(workload=workload(updated=0)),
        APPLIED,
        200,
        "starting",
        "not_started",
    ),
    "never ready": (
        INTENT,
        replace(LIVE, pods=(pod(phase="starting"),)),
        APPLIED,
        200,
        "starting",
        "not_answering",
    ),
    "killed by the startup probe": (
        INTENT,
        replace(
            LIVE,
            pods=(pod(phase="failed", exit_code=137),),
            warnings=("Startup probe failed: timeout",),
        ),
        APPLIED,
        3,
        "starting",
        "not_answering",
    ),
    "asked to end by the startup probe": (
        INTENT,
        replace(
            LIVE,
            pods=(pod(phase="failed", exit_code=0, reason="Completed"),),
            warnings=("Startup probe failed",),
        ),
        APPLIED,
        3,
        "starting",
        "not_answering",
    ),
    "refused by an admission policy": (
        INTENT,
        Observation(shard=Shard(apply_error=ADMISSION)),
        Reached(fetched=True, attempted=True),
        3,
        "applied",
        "admission",
    ),
    "manifests that cannot be built": (
        INTENT,
        Observation(shard=Shard(apply_error="kustomize build failed: u/shop1: no such file")),
        Reached(fetched=True, attempted=True),
        3,
        "applied",
        "build",
    ),
    "a namespace that stays terminating": (
        INTENT,
        Observation(terminating=True),
        Reached(fetched=True),
        200,
        "applied",
        "namespace_terminating",
    ),
    "a pod that may not be made": (
        INTENT,
        replace(LIVE, pods=(), warnings=('pods "x" is forbidden: violates PodSecurity "r": y',)),
        APPLIED,
        200,
        "starting",
        "admission",
    ),
    "no room in a namespace that is being removed": (
        INTENT,
        replace(LIVE, pods=(), terminating=True),
        APPLIED,
        200,
        "starting",
        "namespace_terminating",
    ),
    "a source that the controller cannot read": (
        INTENT,
        Observation(shard=Shard(fetch_error="path not found")),
        Reached(fetched=True),
        200,
        "applied",
        "apply",
    ),
    "progress deadline": (
        INTENT,
        replace(
            LIVE,
            workload=workload(stalled="ProgressDeadlineExceeded"),
            pods=(pod(phase="starting"),),
        ),
        APPLIED,
        3,
        "starting",
        "not_answering",
    ),
    "no answer": (INTENT, replace(LIVE, routed_intent=None), APPLIED, 200, "live", "not_routed"),
    "will not go": (DELETED, SERVING_OLD, APPLIED, 200, "live", "not_stopped"),
}


@pytest.mark.parametrize("case", FAILURES.values(), ids=FAILURES)
def test_it_fails_at_its_stage_with_a_reason_and_a_hint(case):
    intent, seen, reached, now, stage, reason = case
    shown = look(seen, intent, reached, now)
    assert shown.stage == "failed"
    assert (shown.error.stage, shown.error.reason) == (stage, reason)
    assert shown.error.message
    assert shown.error.hint
    assert shown.message.startswith(shown.error.message)
    place = STAGES.index(stage)
    assert states(shown)[place] == "failed"
    assert set(states(shown)[place + 1 :]) <= {"pending"}


def test_a_crash_names_the_exception_the_file_and_the_line_while_the_old_version_serves():
    shown = look(UPDATE_CRASHED)
    assert (shown.error.path, shown.error.line) == ("user_code.py", 3)
    assert shown.error.message == "NameError: name 'x' is not defined"
    assert shown.message.endswith("The version before keeps serving.")


WAITING = {
    "a shard held up by somebody": (
        INTENT,
        Observation(shard=Shard(apply_error="Service/other bad")),
        Reached(fetched=True, attempted=True),
        "applied",
        "somebody",
    ),
    "another app whose id begins alike": (
        INTENT,
        Observation(shard=Shard(apply_error="Service/shop12 bad")),
        Reached(fetched=True, attempted=True),
        "applied",
        "somebody",
    ),
    "publishing": (
        replace(WRITTEN, waiting="main was rewound"),
        Observation(),
        Reached(),
        "committed",
        "rewound",
    ),
    "an unfinished check": (
        replace(WRITTEN, hold=Hold("x", "not finished", "", unknown=True)),
        Observation(),
        Reached(),
        "committed",
        "not finished",
    ),
    "suspended Flux": (
        INTENT,
        Observation(shard=Shard(suspended=True)),
        Reached(),
        "fetched",
        "paused",
    ),
    "no room": (
        INTENT,
        replace(LIVE, pods=(pod(phase="pending", reason="Unschedulable"),)),
        APPLIED,
        "starting",
        "no room",
    ),
    "a namespace that is still being removed": (
        INTENT,
        Observation(terminating=True),
        Reached(fetched=True),
        "applied",
        "still being removed",
    ),
    "a refusal that time may cure": (
        INTENT,
        Observation(shard=Shard(apply_error="Service/shop1 in user-u: it is being terminated")),
        Reached(fetched=True, attempted=True),
        "applied",
        "still being removed",
    ),
    "a used-up quota": (
        INTENT,
        replace(LIVE, pods=(), warnings=('pods "x" is forbidden: exceeded quota: compute',)),
        APPLIED,
        "starting",
        "all the compute",
    ),
    "a container being made": (
        INTENT,
        replace(LIVE, pods=(pod(phase="pending", reason="ContainerCreating"),)),
        APPLIED,
        "starting",
        "Starting",
    ),
}


@pytest.mark.parametrize(
    ("intent", "seen", "reached", "stage", "words"), WAITING.values(), ids=WAITING
)
def test_while_it_waits_the_detail_says_for_what(intent, seen, reached, stage, words):
    shown = look(seen, intent, reached)
    assert shown.stage == stage
    assert words in shown.message


def test_a_refusal_by_a_rule_carries_the_rules_words():
    seen = Observation(shard=Shard(apply_error=ADMISSION))
    shown = look(seen, INTENT, Reached(fetched=True, attempted=True))
    assert "host networks are not allowed" in shown.error.message
    assert "overlay" in shown.error.hint


def test_waiting_for_an_operator_does_not_become_a_failure():
    waiting = replace(WRITTEN, waiting="main was rewound")
    assert look(intent=waiting, reached=Reached(), now=99_999).stage == "committed"


def test_a_hold_does_not_fail_what_is_published_already():
    held = replace(INTENT, hold=Hold("tenant", "tenant.yaml is wrong", "…"))
    assert look(LIVE, held).progress == 100


def test_a_pod_that_was_replaced_much_later_has_its_own_time_to_start():
    seen = replace(LIVE, pods=(pod(phase="starting", started_at=at(5000)),))
    assert look(seen, now=5010).stage == "starting"
    assert look(seen, now=5200).stage == "failed"


@pytest.mark.parametrize(("seen", "reached"), REFUSED_SCENES.values(), ids=REFUSED_SCENES.keys())
@pytest.mark.parametrize("now", [3, 200])
def test_a_learner_is_told_no_address_of_the_inside(seen, reached, now):
    shown = look(seen, INTENT, reached, now)
    assert INSIDE not in repr(shown)
    waits = look(Observation(), replace(WRITTEN, waiting=f"no route to {INSIDE}"), Reached(), now)
    assert "no route to [address]" in repr(waits)
