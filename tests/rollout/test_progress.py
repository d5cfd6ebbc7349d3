"""Progress: what counts as evidence for each stage, and what does not."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain.progress import Reached, progress, run_status
from api.domain.rollout import STAGES, Observation, Pod, Shard, Workload
from tests.rollout.scenes import (
    APPLIED,
    ASLEEP,
    DELETED,
    INTENT,
    LIVE,
    MINE,
    OLD,
    SERVING_OLD,
    WRITTEN,
    at,
    look,
    pod,
    states,
    workload,
)

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
    else:
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
