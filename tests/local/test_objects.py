"""Built objects, read as the kubelet and Traefik would."""

import base64
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain.manifests import env_value
from api.domain.names import AppRef
from api.local.objects import NotUnderstood, expand, read_objects
from api.local.routes import Backend, as_file, check_routes, dynamic_configuration

APP: list[dict[str, Any]] = [
    {
        "kind": "Deployment",
        "metadata": {"name": "shop"},
        "spec": {
            "replicas": 1,
            "template": {
                "metadata": {"annotations": {"fastapi-platform/intent": "abc"}},
                "spec": {
                    "terminationGracePeriodSeconds": 7,
                    "containers": [
                        {
                            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)$$"}],
                            "volumeMounts": [{"name": "code", "mountPath": "/app"}],
                            "startupProbe": {"periodSeconds": 2, "failureThreshold": 5},
                        }
                    ],
                    "volumes": [
                        {"name": "tmp", "emptyDir": {}},
                        {
                            "name": "code",
                            "configMap": {
                                "name": "shop-code-x",
                                "items": [
                                    {"key": "main.py", "path": "main.py"},
                                    {"key": "static..logo", "path": "static/logo"},
                                ],
                            },
                        },
                    ],
                },
            },
        },
    },
    {
        "kind": "ConfigMap",
        "metadata": {"name": "shop-code-x"},
        "data": {"main.py": "x = 1\n"},
        "binaryData": {"static..logo": base64.b64encode(b"\xff\x00").decode()},
    },
    {"kind": "ConfigMap", "metadata": {"name": "shop-code-old"}, "data": {"main.py": "x = 0\n"}},
    {"kind": "Service", "metadata": {"name": "shop"}},
    {
        "kind": "IngressRoute",
        "metadata": {"name": "shop"},
        "spec": {
            "entryPoints": ["websecure"],
            "routes": [
                {
                    "kind": "Rule",
                    "match": "PathPrefix(`/shop/`)",
                    "priority": 10,
                    "middlewares": [{"name": "shop-strip"}],
                    "services": [{"kind": "Service", "name": "shop", "port": 80}],
                }
            ],
        },
    },
    {
        "kind": "Middleware",
        "metadata": {"name": "shop-strip"},
        "spec": {"stripPrefix": {"prefixes": ["/shop"]}},
    },
]


def changed(*path: str | int, to: Any) -> list[dict[str, Any]]:
    """The app with one value replaced."""
    objects = copy.deepcopy(APP)
    at: Any = objects
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = to
    return objects


def test_the_mounted_config_map_gives_the_files_and_the_container_the_variables() -> None:
    template = read_objects(APP).template
    assert template.files == {"main.py": b"x = 1\n", "static/logo": b"\xff\x00"}
    assert template.env == {"A": "1", "B": "1$"}
    assert (template.intent, template.config_map) == ("abc", "shop-code-x")
    assert (template.start_seconds, template.grace_seconds) == (10, 7)


def test_another_pod_template_has_another_digest_and_other_objects_do_not_matter() -> None:
    first = read_objects(APP).template.digest
    annotated = changed(0, "spec", "template", "metadata", "annotations", "x", to="y")
    assert read_objects(annotated).template.digest != first
    assert read_objects(changed(4, "spec", "routes", 0, "priority", to=5)).template.digest == first


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        ((0, "kind"), "StatefulSet", "kind StatefulSet"),
        ((0, "spec", "replicas"), "many", "replicas"),
        ((0, "spec", "template", "metadata", "annotations"), {}, "fastapi-platform/intent"),
        ((0, "spec", "template", "spec", "containers"), [], "containers"),
        (
            (0, "spec", "template", "spec", "containers", 0, "env", 0),
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            "valueFrom",
        ),
        ((0, "spec", "template", "spec", "containers", 0, "envFrom"), [{}], "envFrom"),
        ((0, "spec", "template", "spec", "volumes", 1, "name"), "other", "/app"),
        ((1, "metadata", "name"), "another", "shop-code-x is not among"),
        ((1, "data"), {"other.py": ""}, "no key main.py"),
        ((1, "binaryData", "static..logo"), "!", "ConfigMap shop-code-x"),
        (
            (0, "spec", "template", "spec", "volumes", 1, "configMap", "items", 0, "path"),
            "../main.py",
            "leads out",
        ),
        ((4, "spec", "tls"), {}, "IngressRoute shop: spec.tls"),
        ((4, "spec", "routes", 0, "services"), [], "services"),
        ((4, "spec", "routes", 0, "kind"), "Regex", "kind"),
        ((5, "spec"), {"forwardAuth": {"address": "http://x"}}, "forwardAuth is not known"),
    ],
)
def test_what_would_run_otherwise_than_in_a_cluster_is_refused_by_name(
    path: tuple[str | int, ...], to: Any, message: str
) -> None:
    with pytest.raises(NotUnderstood, match=message):
        read_objects(changed(*path, to=to))


def test_a_route_to_a_middleware_that_is_not_there_is_refused() -> None:
    with pytest.raises(NotUnderstood, match="shop-strip"):
        check_routes(read_objects([o for o in APP if o["kind"] != "Middleware"]))


def test_an_app_without_replicas_or_routes_does_not_run() -> None:
    assert read_objects(APP).runs
    assert not read_objects(changed(0, "spec", "replicas", to=0)).runs
    assert not read_objects([o for o in APP if o["kind"] != "IngressRoute"]).runs


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("$(A)", "1"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(NO)", "$(NO)"),
        ("$(A", "$(A"),
        ("$A $", "$A $"),
        ("$(A)$(A)", "11"),
        ("", ""),
    ],
)
def test_variables_are_expanded_by_the_kubelets_rule(written: str, seen: str) -> None:
    assert expand(written, {"A": "1"}) == seen


@given(st.text(alphabet=st.sampled_from("$()A x{}")))
def test_a_value_written_by_the_renderer_arrives_as_it_was(value: str) -> None:
    assert expand(env_value(value), {"A": "1", "": "2"}) == value


def test_routes_of_different_apps_never_share_a_name() -> None:
    objects = read_objects(APP)
    refs = [AppRef("a", "b-c"), AppRef("a-b", "c"), AppRef("a", "b")]
    written = dynamic_configuration(
        {ref: Backend(objects, 20000 + n) for n, ref in enumerate(refs)},
        ["web"],
        "http://127.0.0.1:1",
    )
    assert written["routers"].pop("waker")["priority"] < 10
    assert written["services"].pop("waker")
    assert len(written["routers"]) == len(written["services"]) == len(written["middlewares"]) == 3
    router = written["routers"]["a_b-c_0"]
    assert router == {
        "entryPoints": ["web"],
        "rule": "PathPrefix(`/shop/`)",
        "priority": 10,
        "middlewares": ["a_b-c_shop-strip"],
        "service": "a_b-c_0",
    }
    server = written["services"]["a_b-c_0"]["loadBalancer"]["servers"]
    assert server == [{"url": "http://127.0.0.1:20000"}]


def test_no_string_in_the_routes_file_opens_a_template() -> None:
    assert b"{{" not in as_file({"http": {"rule": "{{ env `HOME` }}{{{"}})
