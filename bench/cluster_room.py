"""Room on a small machine for more pods than its cores could promise to serve at once."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from tests.cluster.plane.cluster import Cluster

_NAME: Final = "bench-small-requests"
_REQUEST: Final = "10m"
_IN_FORCE_SECONDS: Final = 3.0  # a new policy is in force a moment later


@contextmanager
def small_requests(cluster: Cluster) -> Iterator[None]:
    """New pods ask the scheduler for little processor time; Deployments and limits stay."""
    cluster.apply("\n---\n".join(json.dumps(each) for each in _policy()))
    time.sleep(_IN_FORCE_SECONDS)
    try:
        yield
    finally:
        kinds = "mutatingadmissionpolicybindings,mutatingadmissionpolicies"
        cluster.kubectl("delete", kinds, _NAME)


def _policy() -> list[dict[str, Any]]:
    group, kind = "admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    path = "/spec/containers/0/resources/requests/cpu"
    patch = f'[JSONPatch{{op: "replace", path: "{path}", value: "{_REQUEST}"}}]'
    tenants = {"matchExpressions": [{"key": "fastapi-platform/user-id", "operator": "Exists"}]}
    policy = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": {
            "resourceRules": [{**rule, "operations": ["CREATE"]}],
            "namespaceSelector": tenants,
        },
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
    }
    head = {"apiVersion": group, "metadata": {"name": _NAME}}
    return [
        {**head, "kind": kind, "spec": policy},
        {**head, "kind": f"{kind}Binding", "spec": {"policyName": _NAME}},
    ]
