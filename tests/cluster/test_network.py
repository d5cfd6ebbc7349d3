"""Who reaches whom, tried between real pods where the cluster enforces NetworkPolicies."""

import asyncio
import json
import time
from dataclasses import dataclass

import pytest
import yaml

from tests.cluster.plane.cluster import Cluster
from tests.cluster.plane.slot import PlaneFailed
from tests.cluster.tenants import Tenant, make_tenant
from tests.manifests.folders import app, build, render

CODE = b"from fastapi import FastAPI\n\napp = FastAPI()\n"
READY_SECONDS = 120
ENFORCED_SECONDS = 30
#: Exit status 0: connected; 1: not. Bounded, for a packet that is dropped is never answered.
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()
except OSError as error:
    sys.exit(f"no connection: {error}")
"""


@dataclass(frozen=True)
class Pod:
    """A running app."""

    tenant: Tenant
    name: str
    address: str

    def reaches(self, address: str, port: int) -> bool:
        """Whether a TCP connection from inside the pod comes about."""
        command = ("python", "-c", CONNECT, address, str(port))
        try:
            self.tenant.cluster.kubectl(
                "exec", "-n", self.tenant.namespace, self.name, "--", *command
            )
        except PlaneFailed as error:
            if "no connection: " not in str(error):
                raise
            return False
        return True


async def run_app(tenant: Tenant, app_id: str) -> Pod:
    """Apply a rendered app as the shard's account, and wait until its pod is ready."""
    files = render(app(user=tenant.user, id=app_id), settings=tenant.settings)
    objects = await build(files, **{"code/user_code.py": CODE})
    text = yaml.safe_dump_all(list(objects.values()))
    kubectl, space = tenant.cluster.kubectl, ("-n", tenant.namespace)
    kubectl("apply", "--server-side", f"--as={tenant.account}", "-f", "-", given=text)
    kubectl("rollout", "status", f"deployment/{app_id}", *space, f"--timeout={READY_SECONDS}s")
    selector = f"-l=fastapi-platform/app-id={app_id}"
    [pod] = json.loads(kubectl("get", "pods", *space, selector, "-o=json"))["items"]
    return Pod(tenant, pod["metadata"]["name"], pod["status"]["podIP"])


@pytest.fixture(scope="module")
def pods(cluster: Cluster, policies: None):
    """Two apps of one tenant and one of another, without network policies at first."""

    async def make() -> list[Pod]:
        ann, bob = await make_tenant(cluster), await make_tenant(cluster)
        for tenant in (ann, bob):
            names = ("default-deny", "apps")
            cluster.kubectl("delete", "networkpolicy", "-n", tenant.namespace, *names)
        return [
            await run_app(ann, "shop1"), await run_app(ann, "blog1"), await run_app(bob, "shop1"),
        ]  # fmt: skip

    made = asyncio.run(make())
    yield made
    for pod in made[1:]:
        cluster.kubectl("delete", "namespace", pod.tenant.namespace, "--wait=false")


def test_apps_reach_nobody_whom_the_policies_keep_from_them(cluster: Cluster, pods: list[Pod]):
    shop, blog, other = pods
    guarded = [(pod.address, port) for pod in (blog, other) for port in (8000, 8001)]
    if cluster.folder is None:  # a throwaway one's API server listens on loopback only
        guarded += _api_server(cluster)
    unreachable = [where for where in guarded if not shop.reaches(*where)]
    assert unreachable == [], "the positive control: without policies all of them answer"
    for tenant in (shop.tenant, other.tenant):
        for name in ("default-deny", "apps"):
            cluster.apply(yaml.safe_dump(tenant.own[name]))
    end = time.monotonic() + ENFORCED_SECONDS
    while shop.reaches(*guarded[0]) and time.monotonic() < end:
        time.sleep(1)
    reached = [where for where in guarded if shop.reaches(*where)]
    if reached == guarded:
        pytest.skip("model only, not enforced here: this cluster has no NetworkPolicy engine")
    assert reached == []
    assert not shop.reaches("169.254.169.254", 80)
    assert [where for where in guarded[:2] if other.reaches(*where)] == []
    ready = ("rollout", "status", "deployment/shop1", "-n", shop.tenant.namespace, "--timeout=10s")
    assert "successfully" in cluster.kubectl(*ready), "the kubelet still gets through"


def _api_server(cluster: Cluster) -> list[tuple[str, int]]:
    """Addresses of the API server, as pods see it."""
    slices = ("get", "endpointslices", "-n", "default", "-l=kubernetes.io/service-name=kubernetes")
    return [
        (address, port["port"])
        for entry in json.loads(cluster.kubectl(*slices, "-o=json"))["items"]
        for endpoint in entry["endpoints"]
        for address in endpoint["addresses"]
        for port in entry["ports"]
    ]
