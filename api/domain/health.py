"""Whether an app stands as well after a change of its manifests as it did before."""

from api.domain.failures import explain
from api.domain.rollout import Observation


def is_ready(seen: Observation) -> bool:
    """Whether every pod of the app is one that is wanted now, and ready.

    While a rollout is under way, or stuck, there are others too. An app that shall not run is not
    ready.
    """
    work = seen.workload
    if work is None or not work.observed or work.replicas == 0:
        return False
    phases = [pod.phase for pod in seen.pods if pod.phase != "stopping"]
    return work.replicas == work.updated == work.ready and phases == ["ready"] * work.replicas


def why_not_ready(seen: Observation) -> str:
    """What is known about an app that does not get ready, in one line."""
    if seen.shard.apply_error:
        return f"the cluster refuses it: {seen.shard.apply_error}"
    if seen.shard.fetch_error:
        return f"its branch cannot be fetched: {seen.shard.fetch_error}"
    work = seen.workload
    if work is None:
        return "it has no Deployment any more"
    failed = next((pod for pod in seen.pods if pod.phase == "failed" or pod.log_tail), None)
    if failed:
        return explain(failed).message
    if seen.warnings:
        return seen.warnings[0]
    return work.stalled or f"{work.ready} pods of {work.replicas} are ready"
