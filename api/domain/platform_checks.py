"""Checks of what the platform's own namespace holds, and of the cluster's own addresses."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any, Final

from api.domain.diagnosis import Check, Part, Problem
from api.domain.installation import ClusterSeen, Manifest
from api.domain.manifest_difference import objects
from api.domain.networks import PUBLIC_V6, blocked_ranges
from api.settings import split_list

_part: Final = Part[ClusterSeen](lambda seen: seen.cluster)
_PLATFORM: Final = "fastapi-platform"
_WORKLOADS: Final = ("backend", "frontend")


@_part.check(
    "platform.workloads",
    "The Deployments `backend` and `frontend` are there, with a pod that is ready.",
    "They are the platform: without them nobody reaches the editor.",
)
def workloads(seen: ClusterSeen) -> Iterator[Problem]:
    """By their Deployments' status."""
    there = {m.name: m for m in objects(seen, "Platform") if m.kind == "Deployment"}
    for name in _WORKLOADS:
        if name not in there:
            yield Problem(
                f"Deployment {name} in {_PLATFORM} is missing.",
                "kubectl apply --server-side -k <your overlay of deploy/>",
            )
        elif not there[name].at("status", "readyReplicas"):
            yield Problem(
                f"{there[name].title} has no pod that is ready.",
                f"kubectl -n {_PLATFORM} describe pods -l app.kubernetes.io/component={name}",
            )


@_part.check(
    "platform.secrets",
    "Every Secret that the platform's pods and routes name is there, `platform-tls` among them.",
    "A pod does not start without its Secret; a host without its certificate is not trusted.",
)
def secrets(seen: ClusterSeen) -> Iterator[Problem]:
    """By name alone: none of them is read."""
    there = {m.name for m in objects(seen, "PlatformSecret")}
    wanted = {name: m for m in objects(seen, "Platform") for name in _named(m)}
    for name, manifest in sorted(wanted.items(), key=lambda pair: pair[0]):
        if name not in there:
            yield Problem(
                f"Secret {name} in {_PLATFORM} is missing; {manifest.title} names it.",
                "Make it as docs/DEPLOYMENT.md does in step 5.",
            )


def _named(manifest: Manifest) -> Iterator[str]:
    """The Secrets without which this object does not work."""
    if name := manifest.at("spec", "tls", "secretName"):
        yield str(name)
    pod = manifest.at("spec", "template", "spec") or {}
    for volume in pod.get("volumes") or ():
        yield from _required(volume.get("secret"), "secretName")
    for container in pod.get("containers") or ():
        for source in container.get("envFrom") or ():
            yield from _required(source.get("secretRef"), "name")


def _required(reference: Any, key: str) -> Iterator[str]:
    if reference and not reference.get("optional"):
        yield str(reference[key])


@_part.check(
    "cluster.blocked-ranges",
    "`BLOCKED_CIDRS` holds the public addresses of nodes and API server, where they have any.",
    "Private ranges are blocked in any case; without the others, apps reach the cluster itself.",
)
def blocked(seen: ClusterSeen) -> Iterator[Problem]:
    """Every address that the cluster tells of itself."""
    ranges = [ip_network(r) for rs in blocked_ranges(_given(seen)) for r in rs]
    for what, text in _addresses(seen):
        try:
            address = ip_address(text)
        except ValueError:
            continue  # a host's name
        outside = address.version == PUBLIC_V6.version and address not in PUBLIC_V6
        if not outside and not any(address in network for network in ranges):
            yield Problem(
                f"Apps may reach {what} at {address}.",
                f"Add {address} (or its range) to BLOCKED_CIDRS, then python -m api init-repo "
                "--cluster NAME and python -m api rerender",
            )


def _given(seen: ClusterSeen) -> list[str]:
    return split_list(seen.settings.blocked_cidrs)


def _addresses(seen: ClusterSeen) -> Iterator[tuple[str, str]]:
    for node in objects(seen, "Node"):
        for told in node.at("status", "addresses") or ():
            yield f"the node {node.name}", str(told.get("address", ""))
    for part in objects(seen, "EndpointSlice"):
        for endpoint in part.raw.get("endpoints") or ():
            for address in endpoint.get("addresses") or ():
                yield "the API server", str(address)


CHECKS: Final[tuple[Check, ...]] = (workloads, secrets, blocked)
