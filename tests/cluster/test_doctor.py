"""The doctor on a real API server: well when all is as the template says, and each fault is named.

Flux and Traefik are processes of a throwaway plane, so their Deployments here only carry the flags.
"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from api.clients import kubernetes_survey
from api.clients.kubernetes_api import KubernetesApi
from api.domain.checks import CHECKS
from api.domain.diagnosis import Diagnosis, diagnose
from api.domain.flux_objects import NAMESPACE
from tests.cluster.plane.cluster import Cluster
from tests.doctor import healthy
from tests.product import ROOT

KINDS = {
    *("Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"),
    *("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ConfigMap"),
}
#: What needs no shard that Flux has applied.
LOOKED_AT = [
    check
    for check in CHECKS
    if check.name.startswith(("cluster.", "access.", "admission.", "traefik.", "flux.no-"))
    or check.name == "flux.controllers"
]
NOWHERE = {"fastapi-platform.test/node": "none"}
POLICY = ("validatingadmissionpolicy", "fastapi-platform-pods")
BINDING = ("validatingadmissionpolicybinding", "fastapi-platform-pods")
ENFORCE = "pod-security.kubernetes.io/enforce"


def workloads() -> list[dict]:
    flux, traefik = healthy.objects(healthy.installation(), "Flux"), healthy.TRAEFIK_FLAGS
    told = [("flux-system", m.name, healthy.FLUX_FLAGS, "flux") for m in flux]
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {"app.kubernetes.io/part-of": part},
            },
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name, "app.kubernetes.io/name": name}},
                    "spec": {
                        "nodeSelector": NOWHERE,
                        "containers": [{"name": name, "image": f"{name}:v0", "args": flags}],
                    },
                },
            },
        }
        for namespace, name, flags, part in [*told, ("traefik", "traefik", traefik, "router")]
    ]


@pytest.fixture(scope="module")
def prepared(cluster: Cluster) -> Iterator[Cluster]:
    """All that init-repo and deploy/ give, but the shards' sources."""
    if "admission" in cluster.kubectl("get", "configmaps", "-n", NAMESPACE, "-o", "name"):
        pytest.skip("another test's policies are in force on this cluster")
    cluster.apply((ROOT / "deploy/base/namespace.yaml").read_text())
    cluster.apply((ROOT / "deploy/base/access.yaml").read_text())
    wanted = [dict(m.raw) for m in healthy.wanted() if m.kind in KINDS]
    wanted.sort(key=lambda raw: raw["kind"] != "Namespace")
    # As JSON: YAML writes the shard 1e0 as a number.
    cluster.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": wanted}))
    cluster.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": workloads()}))
    yield cluster
    for raw in workloads():
        about = raw["metadata"]
        cluster.kubectl("delete", "deployment", about["name"], "-n", about["namespace"])
    # Without it, the next test installs policies that are its own.
    cluster.kubectl("delete", "configmap", "admission", "-n", NAMESPACE)


def looked(cluster: Cluster) -> Diagnosis:
    async def survey() -> Diagnosis:
        api = await KubernetesApi.open(str(cluster.kubeconfig))
        try:
            seen = replace(
                healthy.cluster(),
                version=await kubernetes_survey.version(api),
                objects=await kubernetes_survey.survey(api, "traefik"),
            )
        finally:
            await api.close()
        return diagnose(LOOKED_AT, replace(healthy.installation(), cluster=seen))

    return asyncio.run(survey())


def test_nothing_is_found_on_a_cluster_that_is_as_the_template_says(prepared: Cluster):
    found = looked(prepared)
    assert (found.findings, found.unlooked) == ((), ())
    assert len(found.passed) == len(LOOKED_AT)


def patch(kind: str, name: str, text: str, *where: str) -> tuple[str, ...]:
    return ("patch", kind, name, *where, "--type=merge", "-p", text)


#: What is done by kubectl, what undoes it, and the check that names it.
FAULTS = {
    "a policy ignores errors": (
        patch(*POLICY, '{"spec": {"failurePolicy": "Ignore"}}'),
        patch(*POLICY, '{"spec": {"failurePolicy": "Fail"}}'),
        "admission.policies",
    ),
    "a binding only warns": (
        patch(*BINDING, '{"spec": {"validationActions": ["Warn"]}}'),
        patch(*BINDING, '{"spec": {"validationActions": ["Deny"]}}'),
        "admission.bindings",
    ),
    "the runner's image is not allowed": (
        patch("configmap", "admission", '{"data": {"images": "other:1"}}', "-n", NAMESPACE),
        patch(
            "configmap", "admission", f'{{"data": {{"images": "{healthy.IMAGE}"}}}}',
            "-n", NAMESPACE,
        ),
        "admission.runner-image",
    ),
    "a shard's account is cluster-admin": (
        (
            "create", "clusterrolebinding", "too-much", "--clusterrole=cluster-admin",
            f"--serviceaccount={NAMESPACE}:shard-a0",
        ),
        ("delete", "clusterrolebinding", "too-much"),
        "access.shards-no-more",
    ),
    "the backend may read Secrets": (
        (
            "create", "clusterrolebinding", "too-much", "--clusterrole=view",
            "--serviceaccount=fastapi-platform:backend",
        ),
        ("delete", "clusterrolebinding", "too-much"),
        "access.backend-no-more",
    ),
    "a namespace enforces less": (
        ("label", "namespace", "fastapi-platform", "--overwrite", f"{ENFORCE}=baseline"),
        ("label", "namespace", "fastapi-platform", "--overwrite", f"{ENFORCE}=restricted"),
        "access.pod-security",
    ),
    "a shard has no account": (
        ("delete", "serviceaccount", "shard-a0", "-n", NAMESPACE),
        ("create", "serviceaccount", "shard-a0", "-n", NAMESPACE),
        "access.shard-accounts",
    ),
    "a controller is scaled to nothing": (
        ("scale", "deployment", "source-controller", "-n", "flux-system", "--replicas=0"),
        ("scale", "deployment", "source-controller", "-n", "flux-system", "--replicas=1"),
        "flux.controllers",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_cluster_is_named(prepared: Cluster, fault: str):
    broken, mended, check = FAULTS[fault]
    prepared.kubectl(*broken)
    try:
        assert check in {finding.check for finding in looked(prepared).findings}
    finally:
        prepared.kubectl(*mended)
