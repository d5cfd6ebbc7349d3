"""The backend reads what it needs, and nobody's account can do more than its work."""

import re
from pathlib import Path

import pytest

from tests.cluster.plane.cluster import Cluster
from tests.cluster.plane.slot import PlaneFailed
from tests.cluster.tenants import shard_account

pytestmark = pytest.mark.usefixtures("policies")
DEPLOY = Path(__file__).resolve().parents[2] / "deploy/base"
BACKEND = "system:serviceaccount:fastapi-platform:backend"
READING = {"get", "list", "watch"}
#: What every account may ask about itself, and what everybody may know of the API server.
OF_EVERYBODY = re.compile(
    r"selfsubject(?:access|rules)?reviews\.auth(?:entication|orization)\.k8s\.io"
)


@pytest.fixture(scope="module")
def backend(cluster: Cluster, policies: None) -> str:
    for name in ("namespace.yaml", "access.yaml"):
        cluster.kubectl("apply", "--server-side", "-f", str(DEPLOY / name))
    return BACKEND


def rules(cluster: Cluster, account: str, namespace: str) -> dict[str, set[str]]:
    """Resources (or URLs) and verbs, as `kubectl auth can-i --list` prints them."""
    options = ("auth", "can-i", "--list", "--no-headers", "-n", namespace, f"--as={account}")
    found: dict[str, set[str]] = {}
    for line in cluster.kubectl(*options).splitlines():
        resource = line.split()[0] if not line.startswith(" ") else line.split("]")[0].strip(" [")
        verbs = re.findall(r"\[([^\]]*)\]\s*$", line)[0].split()
        found.setdefault(resource, set()).update(verbs)
    return found


def can(cluster: Cluster, account: str, verb: str, what: str, *options: str) -> bool:
    """Whether the API server would let the account do it."""
    asked = ("auth", "can-i", verb, what, f"--as={account}", *options)
    try:
        return cluster.kubectl(*asked).strip() == "yes"
    except PlaneFailed:
        return False


@pytest.mark.parametrize("namespace", ["user-uabc", "kube-system", "fastapi-platform-flux"])
def test_the_backend_can_read_and_nothing_else(cluster: Cluster, backend: str, namespace: str):
    found = rules(cluster, backend, namespace)
    beyond = {
        resource: verbs
        for resource, verbs in found.items()
        if not verbs <= READING and not OF_EVERYBODY.fullmatch(resource)
    }
    assert beyond == {}
    assert {"pods", "events", "namespaces", "pods/log", "deployments.apps"} <= found.keys()
    assert {"secrets", "configmaps", "*", "*.*", "pods/exec"}.isdisjoint(found)


@pytest.mark.parametrize("what", ["namespaces", "pods", "events", "deployments.apps"])
@pytest.mark.parametrize("verb", sorted(READING))
def test_the_backend_watches_the_whole_cluster(cluster: Cluster, backend: str, verb, what):
    assert can(cluster, backend, verb, what, "--all-namespaces")


@pytest.mark.parametrize(
    "what",
    ["gitrepositories.source.toolkit.fluxcd.io", "kustomizations.kustomize.toolkit.fluxcd.io"],
)
def test_the_backend_reads_what_flux_says_in_its_namespace_only(cluster: Cluster, backend, what):
    for verb in READING:
        assert can(cluster, backend, verb, what, "-n", "fastapi-platform-flux")
        assert not can(cluster, backend, verb, what, "-n", "flux-system")


def test_the_backend_reads_logs(cluster: Cluster, backend: str):
    assert can(cluster, backend, "get", "pods/log", "-n", "user-uabc")


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        ("create", "pods"), ("delete", "pods"), ("patch", "deployments.apps"), ("get", "secrets"),
        ("get", "configmaps"), ("create", "pods/exec"), ("create", "pods/portforward"),
        ("impersonate", "users"), ("create", "serviceaccounts/token"), ("get", "nodes"),
        ("patch", "gitrepositories.source.toolkit.fluxcd.io"),
        ("patch", "kustomizations.kustomize.toolkit.fluxcd.io"),
        ("bind", "clusterroles.rbac.authorization.k8s.io"),
    ],
)  # fmt: skip
def test_the_backend_writes_nothing_and_sees_no_secrets(cluster: Cluster, backend: str, verb, what):
    for namespace in ("user-uabc", "fastapi-platform", "fastapi-platform-flux"):
        assert not can(cluster, backend, verb, what, "-n", namespace)


def test_a_shard_handles_what_is_rendered_and_no_rights(cluster: Cluster):
    found = rules(cluster, shard_account("3f"), "user-uabc")
    handled = {
        resource
        for resource, verbs in found.items()
        if not verbs <= READING and not OF_EVERYBODY.fullmatch(resource)
    }
    assert handled == {
        "namespaces", "configmaps", "services", "serviceaccounts", "resourcequotas", "limitranges",
        "deployments.apps", "networkpolicies.networking.k8s.io", "middlewares.traefik.io",
        "ingressroutes.traefik.io",
    }  # fmt: skip
    assert {"secrets", "pods", "*", "*.*"}.isdisjoint(found)
