"""What is kept of objects in the shapes that controllers, kubelets and Flux write."""

import copy

import pytest

from api.clients.kubernetes_objects import (
    read_deployment,
    read_kustomization,
    read_namespace,
    read_pod,
    read_source,
    read_warning,
)
from api.domain.names import AppRef
from tests.observing.api_objects import (
    APP,
    LABELS,
    MINE,
    USER,
    condition,
    container,
    crash_loop,
    deployment,
    ended,
    event,
    kustomization,
    namespace,
    not_ready,
    pod,
    source,
)

REF = AppRef(USER, APP)
TIP, BEFORE = "1" * 40, "2" * 40


def waiting(reason: str) -> dict:
    return not_ready(waiting={"reason": reason, "message": "…"})


UNSCHEDULED = {
    "phase": "Pending",
    "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}
    ],
    "containerStatuses": None,
    "startTime": None,
}


@pytest.mark.parametrize(
    ("status", "phase", "reason", "code"),
    [
        ({}, "ready", None, None),
        (UNSCHEDULED, "pending", "Unschedulable", None),
        (waiting("ContainerCreating"), "pending", "ContainerCreating", None),
        (waiting("ErrImagePull"), "pending", "ErrImagePull", None),
        (waiting("ImagePullBackOff"), "pending", "ImagePullBackOff", None),
        (waiting("CreateContainerConfigError"), "pending", "CreateContainerConfigError", None),
        (not_ready(running={"startedAt": "2026-01-01T12:00:02Z"}), "starting", None, None),
        (crash_loop(3), "failed", "Error", 3),
        (crash_loop(137, "OOMKilled"), "failed", "OOMKilled", 137),
        (not_ready(terminated=ended(1)), "failed", "Error", 1),
        (not_ready(restarts=1, last=ended(5), running={}), "starting", "Error", 5),
        ({"phase": "Failed", "reason": "Evicted", "conditions": []}, "failed", "Evicted", None),
        ({"phase": "Succeeded", "conditions": []}, "failed", None, None),
    ],
)
def test_a_pods_state_becomes_a_phase_and_kubernetes_own_word(status, phase, reason, code):
    seen = read_pod(pod(**status))
    assert (seen.phase, seen.reason, seen.exit_code) == (phase, reason, code)
    assert seen.ref == REF
    assert seen.intent == MINE
    assert seen.started_at is not None
    assert (seen.ready_at is not None) == (phase == "ready")


def test_a_pod_that_is_asked_to_end_is_not_ready_any_more():
    raw = pod()
    raw["metadata"]["deletionTimestamp"] = "2026-01-01T12:01:00Z"
    assert read_pod(raw).phase == "stopping"


def test_the_config_map_is_the_one_that_the_code_is_mounted_from():
    assert read_pod(pod()).config_map == f"{APP}-code-{MINE[:10]}"
    raw = pod()
    raw["spec"]["volumes"] = [{"name": "code", "configMap": {"name": "other"}}]
    assert read_pod(raw).config_map is None


def test_the_failed_container_is_the_one_whose_log_is_still_there():
    crashed = read_pod(pod(**crash_loop())).failed
    assert (crashed.id, crashed.previous) == ("containerd://c0", True)
    last = ended(1, id_="containerd://c9")
    now = read_pod(pod(**not_ready(terminated=last, id_="containerd://c9"))).failed
    assert (now.id, now.previous) == ("containerd://c9", False)
    assert read_pod(pod()).failed is None


@pytest.mark.parametrize("where", ["kube-system", "user-", "user-Bad_Name", "default"])
def test_what_lies_outside_a_tenants_namespace_is_nobodys(where):
    raw = pod()
    raw["metadata"]["namespace"] = where
    assert read_pod(raw) is None


def test_whose_a_pod_is_its_namespace_says_and_not_its_label():
    raw = pod()
    raw["metadata"]["labels"] = LABELS | {"fastapi-platform/user-id": "somebody-else"}
    assert read_pod(raw).ref.user_id == USER
    raw["metadata"]["labels"] = {}
    assert read_pod(raw) is None


def test_objects_without_any_status_are_read():
    for raw, read in (
        (pod(), read_pod),
        (deployment(), read_deployment),
        (source("ab", TIP), read_source),
        (kustomization("ab", TIP, TIP), read_kustomization),
    ):
        bare = copy.deepcopy(raw)
        del bare["status"]
        assert read(bare) is not None


def test_a_deployment_is_observed_when_its_status_is_of_its_generation():
    raw = deployment()
    assert read_deployment(raw).workload.observed
    raw["metadata"]["generation"] = 2
    assert not read_deployment(raw).workload.observed
    assert read_deployment(raw).workload.intent == MINE


def test_a_deployment_tells_its_deadline_and_why_it_cannot_make_pods():
    quota = 'pods "x" is forbidden: exceeded quota: compute'
    late = condition("Progressing", "False", "ProgressDeadlineExceeded", "timed out progressing")
    full = condition("ReplicaFailure", "True", "FailedCreate", quota)
    seen = read_deployment(deployment(conditions=[late, full]))
    assert seen.workload.stalled == "timed out progressing"
    assert seen.failure == quota
    going = condition("Progressing", "True", "ReplicaSetUpdated", "progressing")
    assert read_deployment(deployment(conditions=[going])).workload.stalled is None


def test_a_namespace_that_is_being_removed_is_terminating():
    assert not read_namespace(namespace()).terminating
    raw = namespace()
    raw["metadata"]["deletionTimestamp"] = "2026-01-01T12:01:00Z"
    assert read_namespace(raw).terminating
    assert read_namespace(namespace("kube-system")) is None


def test_the_probes_that_fail_while_an_app_starts_are_no_warning():
    assert read_warning(event("Startup probe failed: connection refused", "Unhealthy")) is None
    killed = "Container app failed startup probe, will be restarted"
    assert read_warning(event(killed, "Killing", kind="Normal")).words == "Startup probe failed"
    blocked = "Container app failed liveness probe, will be restarted"
    assert read_warning(event(blocked, "Killing", kind="Normal")).words == "Liveness probe failed"
    assert read_warning(event("Stopping container app", "Killing", kind="Normal")) is None
    assert read_warning(event("Started container app", "Started", kind="Normal")) is None
    assert read_warning(event("Failed to pull image", "Failed")).words == "Failed to pull image"


def test_a_source_says_what_it_fetched_and_why_it_cannot():
    seen = read_source(source("ab", TIP, condition("Ready", "True", "Succeeded", "stored")))
    assert (seen.shard, seen.fetched, seen.error, seen.suspended) == ("ab", TIP, None, False)
    assert seen.fetched_at is not None
    failed = condition("Ready", "False", "GitOperationFailed", "authentication required")
    seen = read_source(source("ab", BEFORE, failed, suspend=True))
    assert (seen.fetched, seen.error, seen.suspended) == (BEFORE, "authentication required", True)


@pytest.mark.parametrize(
    "revision",
    ["main@sha1:" + TIP, "flux/cd@sha1:" + TIP, "flux/ab@sha1:12", "flux/ab", TIP, f" {TIP}\n"],
)
def test_a_revision_of_another_branch_or_form_is_none(revision):
    raw = source("ab", TIP)
    raw["status"]["artifact"]["revision"] = revision
    assert read_source(raw).fetched is None


@pytest.mark.parametrize("name", ["clusters", "shard-", "shard-xyz", "shard-abcd", "shard-AB"])
def test_flux_objects_that_are_no_shards_are_left_out(name):
    raw = kustomization("ab", TIP, TIP)
    raw["metadata"]["name"] = name
    assert read_kustomization(raw) is None


def test_a_refusal_counts_for_the_attempted_revision_only():
    words = "Deployment/user-x/shop dry-run failed (Forbidden)"
    refused = condition("Ready", "False", "ReconciliationFailed", words)
    seen = read_kustomization(kustomization("ab", TIP, BEFORE, refused))
    assert (seen.attempted, seen.applied, seen.error) == (TIP, BEFORE, words)
    missing = condition("Ready", "False", "ArtifactFailed", "path not found")
    seen = read_kustomization(kustomization("ab", BEFORE, BEFORE, missing))
    assert (seen.error, seen.source_error) == (None, "path not found")
    going = condition("Ready", "Unknown", "Progressing", "reconciliation in progress")
    assert read_kustomization(kustomization("ab", TIP, BEFORE, going)).error is None
    stalled = condition("Stalled", "True", "InvalidSpec", "cannot go on")
    assert read_kustomization(kustomization("ab", TIP, BEFORE, stalled)).error == "cannot go on"


def test_a_container_that_waits_for_its_first_start_has_no_log():
    assert read_pod(pod(**waiting("ContainerCreating"))).runs is None
    assert read_pod(pod(**crash_loop())).runs == "containerd://c0"
    running = {"containerStatuses": [container(running={}, id_="containerd://c7")]}
    assert read_pod(pod(**running)).runs == "containerd://c7"
