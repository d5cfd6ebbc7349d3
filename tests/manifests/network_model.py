"""What NetworkPolicies let through, as a pure model of their specification.

https://kubernetes.io/docs/concepts/services-networking/network-policies/: a pod that a policy
selects for a direction is isolated in it, and then what any of its policies allows goes through; a
connection needs the leave of both ends. Whether a pod's address also counts for an ipBlock is left
to the engine, so here it does: nothing may rest on that it does not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Policy = Mapping[str, Any]


@dataclass(frozen=True)
class End:
    """One end of a connection: a pod, or without a namespace an address outside of the cluster."""

    address: str
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def namespace_labels(self) -> Mapping[str, str]:
        return {"kubernetes.io/metadata.name": self.namespace or ""}


def allowed(
    policies: Iterable[Policy], source: End, target: End, port: int, protocol: str = "TCP"
) -> bool:
    """Whether a connection from `source` to a port of `target` is let through."""
    known = list(policies)
    wanted = (port, protocol)
    return _passes(known, "Egress", source, target, wanted) and _passes(
        known, "Ingress", target, source, wanted
    )


def _passes(
    policies: list[Policy], direction: str, own: End, other: End, wanted: tuple[int, str]
) -> bool:
    if own.namespace is None:
        return True  # no pod: no policy speaks of it
    selecting = [
        policy["spec"]
        for policy in policies
        if policy["metadata"]["namespace"] == own.namespace
        and direction in policy["spec"]["policyTypes"]
        and _selects(policy["spec"]["podSelector"], own.labels)
    ]
    rules, peers = direction.lower(), "from" if direction == "Ingress" else "to"
    return not selecting or any(
        _port_matches(rule.get("ports"), *wanted)
        and (not rule.get(peers) or any(_is(peer, own, other) for peer in rule[peers]))
        for spec in selecting
        for rule in spec.get(rules) or []
    )


def _is(peer: Mapping[str, Any], own: End, other: End) -> bool:
    if block := peer.get("ipBlock"):
        address = ip_address(other.address)
        inside = [ip_network(cidr) for cidr in (block["cidr"], *block.get("except", ()))]
        return address in inside[0] and not any(address in one for one in inside[1:])
    if other.namespace is None:
        return False
    if "namespaceSelector" in peer:
        there = _selects(peer["namespaceSelector"], other.namespace_labels)
    else:
        there = other.namespace == own.namespace
    return there and _selects(peer.get("podSelector", {}), other.labels)


def _port_matches(ports: list[Mapping[str, Any]] | None, port: int, protocol: str) -> bool:
    return not ports or any(
        entry.get("protocol", "TCP") == protocol
        and entry.get("port", port) <= port <= entry.get("endPort", entry.get("port", port))
        for entry in ports
    )


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _fulfils(expression, labels) for expression in selector.get("matchExpressions") or []
    )


def _fulfils(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    return {
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
        "In": labels.get(key) in values,
        "NotIn": labels.get(key) not in values,
    }[expression["operator"]]
