"""Only the rendered shapes may exist in tenants' namespaces, whoever writes them."""

import asyncio
import json

import pytest

from api.domain.flux_objects import NAMESPACE
from tests.cluster.plane.cluster import Cluster
from tests.cluster.plane.slot import PlaneFailed
from tests.cluster.tenants import Object, Tenant, eventually, make_tenant, shard_account
from tests.cluster.variants import ALL, Variant

pytestmark = pytest.mark.usefixtures("policies")


def account_of(tenant: Tenant, who: str) -> str | None:
    """Whom to impersonate: the shard's account, or nobody (kubectl's user is cluster-admin)."""
    return tenant.account if who == "shard" else None


def test_there_are_more_than_enough_variants():
    assert len({variant.name for variant in ALL}) == len(ALL) >= 80


@pytest.mark.parametrize("who", ["shard", "admin"])
@pytest.mark.parametrize("variant", ALL, ids=lambda variant: variant.name)
def test_a_hostile_variant_is_refused_and_its_honest_twin_admitted(
    tenant: Tenant, variant: Variant, who: str
):
    by_role = variant.by_role and who == "shard"
    if not by_role:
        tenant.dry_run(variant.honest(tenant), account_of(tenant, who))
    with pytest.raises(PlaneFailed) as refused:
        tenant.dry_run(variant.hostile(tenant), account_of(tenant, who))
    words = f'User "{tenant.account}" cannot' if by_role else f"rule {variant.rule}: "
    assert words in str(refused.value)


@pytest.mark.parametrize("kind", ["Namespace", "Deployment", "IngressRoute", "ConfigMap", "apps"])
def test_a_shard_writes_to_its_own_namespaces_only(tenant: Tenant, kind: str):
    manifest = {**tenant.app, **tenant.own}[kind]
    other = shard_account("00" if tenant.account.endswith("01") else "01")
    with pytest.raises(PlaneFailed, match="rule shard-namespace: "):
        tenant.dry_run(manifest, other)
    tenant.dry_run(manifest, tenant.account)


@pytest.mark.parametrize("namespace", ["kube-system", NAMESPACE, "default"])
def test_a_shard_writes_nothing_outside_of_tenants_namespaces(tenant: Tenant, namespace: str):
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "admission", "namespace": namespace},
    }
    with pytest.raises(PlaneFailed, match="rule shard-namespace: "):
        tenant.dry_run(manifest, tenant.account)


@pytest.mark.parametrize("account", ["default", "shard-0", "else"])
def test_other_accounts_of_that_namespace_write_nothing(tenant: Tenant, account: str):
    name = f"system:serviceaccount:fastapi-platform-flux:{account}"
    with pytest.raises(PlaneFailed, match="rule shard-namespace: "):
        tenant.dry_run(tenant.app["ConfigMap"], name)


def test_a_shard_deletes_in_its_own_namespaces_only(tenant: Tenant):
    other = shard_account("00" if tenant.account.endswith("01") else "01")
    delete = ("delete", "-n", tenant.namespace, "networkpolicy", "apps", "--dry-run=server")
    with pytest.raises(PlaneFailed, match="rule shard-namespace: "):
        tenant.cluster.kubectl(*delete, f"--as={other}")
    tenant.cluster.kubectl(*delete, f"--as={tenant.account}")
    with pytest.raises(PlaneFailed, match="rule shard-namespace: "):
        tenant.cluster.kubectl(
            "delete",
            "namespace",
            "fastapi-platform-flux",
            "--dry-run=server",
            f"--as={tenant.account}",
        )


@pytest.mark.parametrize("who", ["shard", "admin"])
def test_a_namespace_keeps_its_shard_and_its_user(tenant: Tenant, who: str):
    identity = [f"--as={tenant.account}"] if who == "shard" else []
    for label, rule in (
        ("fastapi-platform/shard=00", "rule (namespace-shard|shard-namespace): "),
        ("fastapi-platform/shard-", "rule (namespace-shard|shard-namespace): "),
        ("fastapi-platform/user-id-", "rule namespace-name: "),
        ("fastapi-platform/user-id=uvictim", "rule namespace-name: "),
    ):
        change = ("label", "namespace", tenant.namespace, label, "--overwrite", "--dry-run=server")
        with pytest.raises(PlaneFailed, match=rule):
            tenant.cluster.kubectl(*change, *identity)
    honest = ("annotate", "namespace", tenant.namespace, "example.org/a=b", "--dry-run=server")
    tenant.cluster.kubectl(*honest, *identity)


def test_a_namespace_that_only_looks_like_a_tenants_is_refused(cluster: Cluster):
    with pytest.raises(PlaneFailed, match="rule namespace-name: "):
        cluster.kubectl("create", "namespace", "user-uvictim", "--dry-run=server")
    cluster.kubectl("create", "namespace", "users-of-something", "--dry-run=server")


@pytest.fixture
def pod(tenant: Tenant):
    """A pod of the tenant that exists."""
    manifest = variant_pod(tenant)
    tenant.cluster.apply(json.dumps(manifest))
    name = manifest["metadata"]["name"]
    get = ("get", "pod", name, "-n", tenant.namespace, "-o", "json")
    yield json.loads(tenant.cluster.kubectl(*get))
    tenant.cluster.kubectl("delete", "pod", name, "-n", tenant.namespace, "--wait=false")


def test_nobody_attaches_a_container_to_a_pod_that_runs(tenant: Tenant, pod):
    path = f"/api/v1/namespaces/{tenant.namespace}/pods/{pod['metadata']['name']}"
    raw = ("replace", "--raw", f"{path}/ephemeralcontainers?dryRun=All", "-f", "-")
    more = {"name": "debug", "image": "busybox:1", "securityContext": {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
    }}  # fmt: skip
    hostile = {**pod, "spec": {**pod["spec"], "ephemeralContainers": [more]}}
    with pytest.raises(PlaneFailed, match="rule pod-containers: "):
        tenant.cluster.kubectl(*raw, given=json.dumps(hostile))
    with pytest.raises(PlaneFailed, match="cannot update resource"):
        tenant.cluster.kubectl(*raw, f"--as={tenant.account}", given=json.dumps(hostile))
    tenant.cluster.kubectl(*raw, given=json.dumps(pod))


def test_nobody_gets_a_token_of_a_tenants_account(tenant: Tenant):
    path = f"/api/v1/namespaces/{tenant.namespace}/serviceaccounts/apps/token?dryRun=All"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    with pytest.raises(PlaneFailed, match="rule service-account-token: "):
        tenant.cluster.kubectl("create", "--raw", path, "-f", "-", given=json.dumps(asked))


def test_nobody_scales_an_app(tenant: Tenant):
    asleep = json.loads(json.dumps(tenant.app["Deployment"]))
    asleep["spec"]["replicas"] = 0
    apply = ("apply", "--server-side", f"--as={tenant.account}", "-f", "-")
    tenant.cluster.kubectl(*apply, given=json.dumps(asleep))
    scale = ("scale", "deployment", "shop1", "-n", tenant.namespace, "--dry-run=server")
    with pytest.raises(PlaneFailed, match="rule deployment-replicas: "):
        tenant.cluster.kubectl(*scale, "--replicas=5")
    tenant.cluster.kubectl(*scale, "--replicas=1")


def test_a_stricter_rule_stops_nothing_that_runs(tenant: Tenant):
    """Controllers go on to change what they own; only what is new meets the new rule."""
    get = ("get", "configmap", "admission", "-n", NAMESPACE, "-o=jsonpath={.data.images}")
    images = tenant.cluster.kubectl(*get)
    old = json.loads(json.dumps(variant_pod(tenant)))
    old["metadata"]["name"] = "shop1-old"
    old["spec"]["containers"][0]["image"] = "registry.example/old:1"
    allow(tenant, f"{images}\nregistry.example/old:1")
    try:
        eventually(lambda: tenant.dry_run(old))
        tenant.cluster.apply(json.dumps(old))
    finally:
        allow(tenant, images)
    again = {**old, "metadata": {**old["metadata"], "name": "shop1-again"}}
    eventually(lambda: refused(tenant, again))
    annotate = ("annotate", "pod", "shop1-old", "-n", tenant.namespace, "example.org/seen=yes")
    tenant.cluster.kubectl(*annotate)
    tenant.cluster.kubectl("delete", "pod", "shop1-old", "-n", tenant.namespace, "--wait=false")


def allow(tenant: Tenant, images: str) -> None:
    """Name the images in the ConfigMap of the policies."""
    patch = json.dumps({"data": {"images": images}})
    tenant.cluster.kubectl("patch", "configmap", "admission", "-n", NAMESPACE, "--patch", patch)


def refused(tenant: Tenant, manifest: Object) -> None:
    """Raise PlaneFailed, to be asked again, while the manifest is still admitted."""
    words = ""
    try:
        tenant.dry_run(manifest)
    except PlaneFailed as error:
        words = str(error)
    if "rule pod-image: " not in words:
        raise PlaneFailed(f"not refused as it should be: {words}")


def variant_pod(tenant: Tenant) -> Object:
    """A pod as the platform renders it, without its Deployment."""
    return next(variant for variant in ALL if variant.base == "Pod").honest(tenant)


@pytest.fixture(scope="module")
def tenant(cluster: Cluster, policies: None):
    """A tenant whose own objects are applied."""
    made = asyncio.run(make_tenant(cluster))
    eventually(lambda: made.dry_run(made.app["Deployment"], made.account))
    yield made
    cluster.kubectl("delete", "namespace", made.namespace, "--wait=false")
