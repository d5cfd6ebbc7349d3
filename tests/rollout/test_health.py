"""Whether an app stands as well as before: every pod is one that is wanted now, and ready."""

from dataclasses import replace

import pytest

from api.domain.health import is_ready, why_not_ready
from api.domain.rollout import Observation, Pod, Shard, Workload

WORK = Workload("i", observed=True, replicas=1, updated=1, ready=1)
READY = Observation(workload=WORK, pods=(Pod("a", "i", "ready"),))
NEW, OLD = Pod("b", "i", "starting"), Pod("a", "i", "stopping")


def work(**changes) -> Observation:
    return replace(READY, workload=replace(WORK, **changes))


def test_one_ready_pod_of_the_wanted_template_is_ready():
    assert is_ready(READY)
    assert is_ready(replace(READY, pods=(*READY.pods, OLD))), "the one before is on its way out"


@pytest.mark.parametrize(
    "seen",
    [
        Observation(),
        replace(READY, pods=()),
        replace(READY, pods=(*READY.pods, NEW)),  # the old one serves, the new one never gets ready
        replace(READY, pods=(*READY.pods, Pod("b", "i", "ready"))),  # both, until the old one ends
        work(observed=False),
        work(updated=0),
        work(ready=2),
        work(replicas=0, updated=0, ready=0),
    ],
)
def test_whatever_else_is_seen_is_not(seen):
    assert not is_ready(seen)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (replace(READY, shard=Shard(apply_error="Quota exceeded")), "refuses it: Quota exceeded"),
        (replace(READY, shard=Shard(fetch_error="no route")), "fetched: no route"),
        (Observation(), "no Deployment"),
        (replace(READY, pods=(Pod("b", "i", "failed", exit_code=137),)), "stopped by force"),
        (replace(READY, warnings=("no node fits",)), "no node fits"),
        (work(stalled="deadline exceeded", ready=0), "deadline exceeded"),
        (work(ready=0), "0 pods of 1 are ready"),
    ],
)
def test_what_is_known_about_it_is_told(seen, words):
    assert words in why_not_ready(seen)
