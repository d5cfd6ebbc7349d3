"""Progress: each stage's evidence, deadline and reasons, and what is no evidence at all."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain.progress import Hold, Intent, Progress, Reached, progress, run_status
from api.domain.rollout import STAGES, Observation, Pod, Shard, Workload

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


# How a deploy goes --------------------------------------------------------------------------

STORY = [
    ("committed", WRITTEN, Reached(), SERVING_OLD),
    ("fetched", INTENT, Reached(), SERVING_OLD),
    ("applied", INTENT, Reached(fetched=True), SERVING_OLD),
    ("starting", INTENT, APPLIED, SERVING_OLD),
    ("starting", INTENT, APPLIED, replace(SERVING_OLD, workload=workload(updated=0))),
    (
        "starting",
        INTENT,
        APPLIED,
        replace(SERVING_OLD, workload=workload(), pods=(pod(OLD), pod(phase="starting"))),
    ),
    (
        "starting",
        INTENT,
        APPLIED,
        replace(SERVING_OLD, workload=workload(), pods=(pod(OLD), pod())),
    ),
    ("live", INTENT, APPLIED, LIVE),
]


def test_a_deploy_goes_through_all_stages_in_order():
    shown = [look(seen, intent, reached) for _, intent, reached, seen in STORY]
    assert [p.stage for p in shown] == [stage for stage, *_ in STORY]
    assert [p.progress for p in shown] == sorted(p.progress for p in shown)
    assert states(shown[2]) == ["done", "done", "done", "active", "pending", "pending"]
    assert states(shown[-1]) == ["done"] * 6
    assert shown[-1].progress == 100
    assert shown[-2].stages[5].state == "active"
    assert all(p.error is None and p.message and p.commit == INTENT.commit for p in shown)


def test_while_it_goes_on_the_message_says_that_the_version_before_serves():
    assert "keeps serving" in look(SERVING_OLD).message
    assert "keeps serving" not in look(LIVE).message


def test_stages_carry_the_times_at_which_they_began_and_ended():
    seen = replace(
        LIVE, times={"fetched": at(2), "applied": at(3), "starting": at(6), "live": at(7)}
    )
    stages = look(seen, now=9).stages
    assert [s.finished_at for s in stages] == [at(0), at(1), at(2), at(3), at(6), at(7)]
    assert [s.started_at for s in stages] == [at(0), at(0), at(1), at(2), at(3), at(6)]


def test_times_of_an_earlier_deploy_do_not_count():
    seen = replace(LIVE, times={"fetched": at(-500), "live": at(-400)})
    assert all(s.finished_at >= at(0) for s in look(seen).stages)


# What is no evidence ------------------------------------------------------------------------

NOT_LIVE = {
    "the old version is ready": SERVING_OLD,
    "the old version answers": replace(LIVE, routed_intent=OLD),
    "nothing answers": replace(LIVE, routed_intent=None),
    "the Deployment is not observed": replace(LIVE, workload=workload(observed=False)),
    "the Deployment is of another intent": replace(LIVE, workload=workload(OLD)),
    "there is no Deployment": replace(LIVE, workload=None),
    "not all pods are updated": replace(LIVE, workload=workload(replicas=2)),
    "a pod is not ready": replace(LIVE, pods=(pod(phase="starting"),)),
    "the ready pod is of another intent": replace(LIVE, pods=(pod(OLD),)),
    "nothing was seen": Observation(),
}


@pytest.mark.parametrize("seen", NOT_LIVE.values(), ids=NOT_LIVE)
def test_it_is_not_live(seen):
    assert look(seen).stage != "live"
    assert look(seen).progress < 100


def test_a_deployment_that_carries_the_intent_outranks_what_flux_says():
    seen = replace(LIVE, shard=Shard(apply_error="shop1 is bad", fetch_error="no route"))
    assert look(seen, reached=Reached(attempted=True)).progress == 100


def test_an_error_of_another_attempt_fails_nothing():
    seen = Observation(shard=Shard(apply_error="Deployment/user-x/shop1 is invalid"))
    assert look(seen, reached=Reached(fetched=True)).stage == "applied"


def test_an_old_warning_fails_nothing():
    seen = Observation(workload=workload(updated=0), warnings=("exceeded quota: compute",))
    assert look(seen).stage == "starting"


def test_a_failed_pod_of_the_old_version_fails_nothing():
    seen = Observation(workload=workload(), pods=(pod(OLD, "failed", exit_code=3),))
    assert look(seen).stage == "starting"


def test_an_evicted_pod_beside_its_ready_replacement_fails_nothing():
    evicted = pod(phase="failed", reason="Evicted", started_at=at(1))
    starting = replace(LIVE, pods=(evicted, pod(phase="starting", started_at=None)))
    assert look(starting).stage == "starting"
    assert look(replace(LIVE, pods=(evicted, pod()))).progress == 100


# How it fails -------------------------------------------------------------------------------


def crashed(**fields) -> Pod:
    log = (
        "Traceback (most recent call last):",
        '  File "/app/user_code.py", line 3, in <module>',
        "NameError: name 'x' is not defined",
    )
    return pod(**({"phase": "failed", "exit_code": 3, "log_tail": log} | fields))


UPDATE_CRASHED = replace(SERVING_OLD, workload=workload(), pods=(pod(OLD), crashed()))
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
        "apply",
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


def test_a_newer_intent_supersedes_what_is_not_live_and_nothing_that_is():
    newer = replace(INTENT, superseded_by="9" * 40)
    shown = look(SERVING_OLD, newer)
    assert shown.stage == "superseded"
    assert set(states(shown)) == {"done", "skipped"}
    assert look(LIVE, newer).stage == "live"


# Deleting and stopping ----------------------------------------------------------------------


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


# What runs ----------------------------------------------------------------------------------

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


# Anything at all ----------------------------------------------------------------------------

digests = st.sampled_from([MINE, OLD])
texts = st.sampled_from([None, "bad", "Deployment/shop1 invalid"])
pods = st.builds(
    Pod,
    name=st.just("p"),
    intent=digests,
    phase=st.sampled_from(["pending", "starting", "ready", "failed", "stopping"]),
    started_at=st.sampled_from([None, at(1), at(50)]),
    restarts=st.integers(0, 2),
    reason=st.sampled_from([None, "Error", "CrashLoopBackOff", "OOMKilled", "ErrImagePull"]),
    exit_code=st.sampled_from([None, 0, 3, 137, -15]),
    log_tail=st.sampled_from([(), ("Traceback (most recent call last):", "E")]),
)
observations = st.builds(
    Observation,
    shard=st.builds(Shard, fetch_error=texts, apply_error=texts, suspended=st.booleans()),
    workload=st.none()
    | st.builds(
        Workload,
        intent=digests,
        observed=st.booleans(),
        replicas=st.integers(0, 2),
        updated=st.integers(0, 2),
        ready=st.integers(0, 2),
        stalled=texts,
    ),
    pods=st.lists(pods, max_size=3).map(tuple),
    routed_intent=st.none() | digests,
    warnings=st.sampled_from([(), ("exceeded quota",)]),
    times=st.dictionaries(st.sampled_from(STAGES), st.integers(-50, 50).map(at), max_size=6),
)
intents = st.sampled_from(
    [
        INTENT,
        WRITTEN,
        DELETED,
        ASLEEP,
        replace(INTENT, blocked="x"),
        replace(INTENT, superseded_by="9"),
    ]
)
reaches = st.builds(Reached, st.booleans(), st.booleans(), st.booleans())


@given(intents, reaches, observations, st.integers(0, 500))
def test_whatever_is_seen_the_answer_is_consistent(intent, reached, seen, now):
    shown = progress(intent, reached, seen, at(now))
    assert [s.name for s in shown.stages] == list(STAGES)
    assert (shown.error is not None) == (shown.stage == "failed")
    order = [s.state for s in shown.stages]
    if shown.progress == 100:
        assert set(order) <= {"done", "skipped"}
    elif shown.stage != "superseded":
        place = next(i for i, state in enumerate(order) if state in ("active", "failed"))
        assert set(order[:place]) <= {"done", "skipped"}
        assert set(order[place + 1 :]) <= {"pending"}
        assert shown.stage in (*STAGES[: place + 1], "failed")
        assert shown.stage != "live"
    run_status(intent, shown, seen)


@given(reaches, observations, st.integers(0, 500))
def test_live_always_means_that_this_intent_is_ready_and_answers(reached, seen, now):
    shown = progress(INTENT, reached, seen, at(now))
    if shown.progress == 100:
        assert seen.routed_intent == MINE == seen.workload.intent
        assert seen.workload.observed
        assert any(p.intent == MINE and p.phase == "ready" for p in seen.pods)


@given(st.lists(st.sampled_from(range(len(STORY))), min_size=2, max_size=6).map(sorted))
def test_what_was_reached_stays_reached(moments):
    shown = [
        look(seen, intent, reached) for _, intent, reached, seen in (STORY[m] for m in moments)
    ]
    assert [p.progress for p in shown] == sorted(p.progress for p in shown)
    for before, after in pairwise(shown):
        done = [s.name for s in before.stages if s.state == "done"]
        assert done == [s.name for s in after.stages if s.state == "done"][: len(done)]
