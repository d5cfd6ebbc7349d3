"""Who reaches whom, by the rendered NetworkPolicies: a model only, nothing is enforced here."""

import copy
from dataclasses import replace

import pytest
import yaml

from api.domain.manifests import RenderSettings, render_tenant
from api.domain.names import namespace_of
from tests.manifests.folders import TENANT, TEXTS
from tests.manifests.network_model import End, allowed

SETTINGS = RenderSettings("r:1", blocked_cidrs=("203.0.113.0/24", "2001:db8:1::/48", "fd00:1::/64"))
APP, PROBE = 8000, 8001


def policies(*users: str, settings: RenderSettings = SETTINGS) -> list[dict]:
    return [
        policy
        for user in users
        for policy in yaml.safe_load_all(
            render_tenant(TEXTS, TENANT.model_copy(update={"user": user}), settings, "ab")[
                "network.yaml"
            ]
        )
    ]


def app_pod(user: str, app: str, address: str) -> End:
    labels = {"fastapi-platform/app-id": app, "fastapi-platform/user-id": user}
    return End(address, namespace_of(user), labels)


ANN_SHOP, ANN_BLOG = app_pod("uann", "shop", "10.42.0.5"), app_pod("uann", "blog", "10.42.0.6")
BOB_SHOP = app_pod("ubob", "shop", "10.42.0.7")
TRAEFIK = End("10.42.0.2", "traefik", {"app.kubernetes.io/name": "traefik"})
BACKEND = End("10.42.0.3", "fastapi-platform", {"app.kubernetes.io/name": "fastapi-platform"})
DNS = End("10.42.0.4", "kube-system", {"k8s-app": "kube-dns"})
ALL = policies("uann", "ubob")


def test_without_a_policy_everything_goes_through():
    """The positive control: what is refused below is refused by the policies."""
    for target in (ANN_BLOG, BOB_SHOP, End("10.0.0.1"), End("169.254.169.254"), DNS):
        assert allowed([], ANN_SHOP, target, 443)


@pytest.mark.parametrize("target", [ANN_BLOG, BOB_SHOP], ids=["own_other_app", "somebody_elses"])
@pytest.mark.parametrize("port", [APP, PROBE, 22])
def test_apps_do_not_reach_each_other(target, port):
    assert not allowed(ALL, ANN_SHOP, target, port)
    assert not allowed(ALL, target, ANN_SHOP, port)


@pytest.mark.parametrize("target", [ANN_BLOG, BOB_SHOP], ids=["own_other_app", "somebody_elses"])
def test_either_end_alone_would_hold_them_apart(target):
    for direction in ("Ingress", "Egress"):
        half = copy.deepcopy(ALL)
        for policy in half:
            policy["spec"]["policyTypes"] = [direction]
        assert not allowed(half, ANN_SHOP, target, APP)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "10.96.0.1", "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1",
        "127.0.0.1", "100.100.100.200", "0.0.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255",
        "203.0.113.9", "192.0.0.192", "fd00:ec2::254", "fe80::1", "::1", "2001:db8:1::5", "ff02::1",
        "fd00:1::1", "64:ff9b::a9fe:a9fe", "::ffff:10.0.0.1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("port", [80, 443, 6443, 53])
def test_apps_do_not_reach_what_is_not_the_internet(address, port):
    """Among them the metadata address, the API server, nodes and the ranges of the cluster."""
    assert not allowed(ALL, ANN_SHOP, End(address), port)
    assert not allowed(ALL, ANN_SHOP, End(address), port, "UDP")


@pytest.mark.parametrize("address", ["1.1.1.1", "151.101.0.223", "172.32.0.1", "2606:4700::1111"])
def test_apps_reach_the_internet(address):
    assert allowed(ALL, ANN_SHOP, End(address), 443)


def test_apps_reach_the_clusters_dns_for_names_only():
    assert allowed(ALL, ANN_SHOP, DNS, 53, "UDP")
    assert allowed(ALL, ANN_SHOP, DNS, 53)
    assert not allowed(ALL, ANN_SHOP, DNS, 443)
    assert not allowed(ALL, ANN_SHOP, replace(DNS, labels={"k8s-app": "metrics-server"}), 53)
    assert not allowed(ALL, ANN_SHOP, replace(DNS, namespace="user-ubob"), 53)


def test_the_router_reaches_apps_on_their_own_port_only():
    assert allowed(ALL, TRAEFIK, ANN_SHOP, APP)
    assert not allowed(ALL, TRAEFIK, ANN_SHOP, PROBE)
    assert not allowed(ALL, replace(TRAEFIK, labels={}), ANN_SHOP, APP)
    assert not allowed(ALL, replace(TRAEFIK, namespace="user-ubob"), ANN_SHOP, APP)


def test_the_backend_reaches_the_runners_port_only():
    assert allowed(ALL, BACKEND, ANN_SHOP, PROBE)
    assert not allowed(ALL, BACKEND, ANN_SHOP, APP)
    assert not allowed(ALL, replace(BACKEND, labels={"app": "mongodb"}), ANN_SHOP, PROBE)
    assert not allowed(ALL, replace(BACKEND, namespace="user-ubob"), ANN_SHOP, PROBE)


@pytest.mark.parametrize("port", [APP, PROBE])
def test_nobody_else_reaches_an_app(port):
    for source in (
        End("10.42.0.9", "default"),
        End("10.42.0.9", "kube-system", DNS.labels),
        End("203.0.113.7"),
        End("1.1.1.1"),
    ):
        assert not allowed(ALL, source, ANN_SHOP, port)


def test_a_pod_that_is_no_app_reaches_nothing_and_is_reached_by_nobody():
    stray = End("10.42.0.8", "user-uann")
    assert not allowed(ALL, stray, End("1.1.1.1"), 443)
    assert not allowed(ALL, stray, DNS, 53, "UDP")
    for source in (TRAEFIK, BACKEND, ANN_SHOP):
        assert not allowed(ALL, source, stray, APP)


def test_the_router_is_where_the_operator_says():
    settings = replace(SETTINGS, traefik_namespace="kube-system")
    rules = policies("uann", settings=settings)
    assert allowed(rules, replace(TRAEFIK, namespace="kube-system"), ANN_SHOP, APP)
    assert not allowed(rules, TRAEFIK, ANN_SHOP, APP)
