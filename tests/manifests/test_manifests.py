"""Rendered folders: what they hold, and that no value steps out of its place."""

import re
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from api.domain.manifests import (
    RenderError,
    RenderSettings,
    Serving,
    Templates,
    render_app,
    render_tenant,
)
from api.domain.names import config_key
from api.domain.safe_text import unsafe_character
from api.domain.source_limits import decode
from tests.manifests.folders import (
    FILES,
    LONG_ID,
    SETTINGS,
    TENANT,
    TEXTS,
    app,
    build,
    container,
    render,
    source,
)
from tests.manifests.hostile import VALUES


async def test_a_running_app_is_these_objects_in_its_tenants_namespace():
    objects = await build(render())
    kinds = sorted(kind for kind, _ in objects)
    assert kinds == [
        "ConfigMap", "Deployment", "IngressRoute", "Middleware", "Middleware", "Service",
    ]  # fmt: skip
    for entry in objects.values():
        assert entry["metadata"]["namespace"] == "user-uabc"
        assert entry["metadata"]["labels"] == {
            "app.kubernetes.io/name": "fastapi-app",
            "app.kubernetes.io/instance": "shop1",
            "app.kubernetes.io/managed-by": "fastapi-platform",
            "app.kubernetes.io/part-of": "fastapi-platform",
            "fastapi-platform/user-id": "uabc",
            "fastapi-platform/app-id": "shop1",
        }


async def test_the_pod_is_restricted_and_mounts_the_code_under_its_paths():
    objects = await build(render())
    pod = objects["Deployment", "shop1"]["spec"]["template"]["spec"]
    only = container(objects["Deployment", "shop1"])
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert only["image"] == SETTINGS.runner_image
    code, tmp = pod["volumes"]
    assert {item["path"]: item["key"] for item in code["configMap"]["items"]} == {
        path: config_key(path) for path in FILES
    }
    config_map = objects["ConfigMap", code["configMap"]["name"]]
    assert config_map["immutable"] is True
    assert config_map["data"] == {config_key(path): f"# {path}\n" for path in FILES}
    assert tmp["emptyDir"]["sizeLimit"]
    assert {m["name"]: m.get("readOnly", False) for m in only["volumeMounts"]} == {
        "code": True,
        "tmp": False,
    }


async def test_an_app_that_does_not_run_has_no_route_and_no_pods():
    files = render(running=False)
    assert "generated/ingressroute.yaml" not in files
    objects = await build(files)
    assert objects["Deployment", "shop1"]["spec"]["replicas"] == 0
    assert not [kind for kind, _ in objects if kind == "IngressRoute"]


async def test_the_version_that_still_serves_keeps_its_config_map_under_its_full_name():
    serving = Serving("3" * 64, "shop1-code-abcdefghij", ("user_code.py",))
    objects = await build(
        render(serving=serving), **{"serving/user_code.py": b"# the version before\n"}
    )
    assert objects["ConfigMap", "shop1-code-abcdefghij"]["data"] == {
        "user_code.py": "# the version before\n"
    }
    assert len([kind for kind, _ in objects if kind == "ConfigMap"]) == 2


async def test_changed_code_changes_the_config_maps_name_and_the_same_code_does_not():
    names = []
    for code in (b"# 1\n", b"# 2\n", b"# 1\n"):
        objects = await build(render(), **{"code/user_code.py": code})
        names += [name for kind, name in objects if kind == "ConfigMap"]
    assert names[0] == names[2] != names[1]


async def test_what_the_source_check_lets_through_is_kept_by_kustomize():
    """One character that kustomize refuses would stop the build of a whole shard."""
    odd = [chr(n) for n in (*range(0x300), *range(0x2000, 0x2070), 0xFDD0, *range(0xFFF0, 0x10002))]
    passed = [c for c in odd if not decode("a.txt", f"<{c}>\n".encode())[1]]
    assert len(passed) > 0x300
    text = "".join(f"<{c}>\n" for c in passed)
    objects = await build(render(), **{"code/static/style.css": text.encode()})
    (code,) = (entry for (kind, _), entry in objects.items() if kind == "ConfigMap")
    assert code["data"]["static..style.css"] == text


def test_the_route_matches_the_apps_own_path_and_nothing_that_begins_like_it():
    document = yaml.safe_load(render()["generated/ingressroute.yaml"])
    assert [route["match"] for route in document["spec"]["routes"]] == [
        "Path(`/user/uabc/app/shop1`)",
        "PathPrefix(`/user/uabc/app/shop1/`)",
    ]
    assert {route["priority"] for route in document["spec"]["routes"]} == {10}


def test_a_host_of_the_apps_stands_in_every_rule():
    settings = RenderSettings("r:1", apps_host="apps.example.org")
    document = yaml.safe_load(render(settings=settings)["generated/ingressroute.yaml"])
    for route in document["spec"]["routes"]:
        assert route["match"].startswith("Host(`apps.example.org`) && Path")


def test_the_bare_address_is_redirected_to_the_same_address_with_a_slash():
    strip, slash = yaml.safe_load_all(render()["generated/middleware.yaml"])
    assert strip["spec"]["stripPrefix"]["prefixes"] == ["/user/uabc/app/shop1"]
    rule = slash["spec"]["redirectRegex"]
    replacement = rule["replacement"].replace("$", "\\")  # Go's way to name a group
    target = re.sub(rule["regex"], replacement, "http://h:80/user/uabc/app/shop1?a=b")
    assert target == "/user/uabc/app/shop1/?a=b"
    for other in ("http://h/user/uabc/app/shop1/", "http://h/user/uabc/app/shop12"):
        assert not re.search(rule["regex"], other)


def test_the_same_input_gives_the_same_bytes():
    again = Templates.load()
    assert render() == render_app(again, source(), SETTINGS, running=True, serving=None)
    shuffled = app(env={"B": "2", "A": "1"})
    assert render(shuffled) == render(app(env={"A": "1", "B": "2"}))


@pytest.mark.parametrize("start", range(0, len(VALUES), 49))
async def test_every_value_of_a_variable_reaches_the_container(start):
    wanted = {f"V{n}": value[:4096] for n, value in enumerate(VALUES[start : start + 49])}
    objects = await build(render(app(env=wanted)))
    env = {
        entry["name"]: entry["value"] for entry in container(objects["Deployment", "shop1"])["env"]
    }
    # What the kubelet makes of it: https://pkg.go.dev/k8s.io/kubernetes/third_party/forked/golang/expansion
    found = {name: env[name].replace("$$", "$") for name in wanted}
    assert found == wanted
    assert not any(re.search(r"(?<!\$)(?:\$\$)*\$\(", value) for value in env.values())


@given(st.dictionaries(st.from_regex(r"X[A-Z0-9_]{0,8}", fullmatch=True), st.text(), max_size=5))
@settings(max_examples=50, deadline=None)
def test_any_variables_are_rendered_intact_or_refused_before(env):
    if any(unsafe_character(value) is not None for value in env.values()):
        with pytest.raises(ValidationError):
            app(env=env)
        return
    document = yaml.safe_load(render(app(env=env))["generated/deployment.yaml"])
    found = {e["name"]: e["value"].replace("$$", "$") for e in container(document)["env"]}
    assert {name: found[name] for name in env} == env


def test_a_value_that_never_passed_the_schema_is_refused_all_the_same():
    file = app().model_copy(update={"env": {"A": "\x00"}})
    with pytest.raises(RenderError, match=r"U\+0000"):
        render(file)


@pytest.mark.parametrize("value", [v[:60] for v in VALUES], ids=ascii)
def test_the_apps_name_changes_no_manifest(value):
    assert render(app().model_copy(update={"name": value})) == render()


@pytest.mark.parametrize("value", [v[:64] for v in VALUES], ids=ascii)
def test_a_username_is_an_annotation_and_nothing_else(value):
    tenant = TENANT.model_copy(update={"username": value})
    document = yaml.safe_load(render_tenant(TEXTS, tenant, SETTINGS, "ab")["namespace.yaml"])
    assert document["metadata"]["annotations"] == {"fastapi-platform/username": value}
    assert document["metadata"]["name"] == "user-uabc"


@pytest.mark.parametrize("value", ["../x.py", "a b.py", "x\n.py", "/x.py", "x.py\n", "a=b.py", ""])
def test_a_path_that_is_not_plain_is_refused(value):
    for files in ((value, "user_code.py"),):
        with pytest.raises(RenderError, match="path"):
            render_app(TEXTS, source(files=files), SETTINGS, running=True, serving=None)


@pytest.mark.parametrize(
    "change",
    [
        {"settings": RenderSettings("r:1\nx")},
        {"settings": RenderSettings("r:1", apps_host="a`) || Path(`/")},
        {"serving": Serving("3" * 64, "other-code-abc", ("user_code.py",))},
        {"serving": Serving("3" * 64, "shop1-code-a\n", ("user_code.py",))},
        {"serving": Serving("x", "shop1-code-abc", ("user_code.py",))},
        {"serving": Serving("3" * 64, "shop1-code-abc", ())},
    ],
    ids=ascii,
)
def test_what_the_platform_itself_gives_is_held_to_its_shape(change):
    with pytest.raises(RenderError):
        render(**change)


def test_an_entrypoint_that_is_not_among_the_files_is_refused():
    with pytest.raises(RenderError, match="entrypoint"):
        render(app(entrypoint="other.py"))


async def test_ids_of_full_length_keep_within_kubernetes_limits():
    objects = await build(render(app(id=LONG_ID, user=LONG_ID)))
    for kind, name in objects:
        assert len(name) <= (253 if kind == "ConfigMap" else 63)
    assert len(objects["Service", LONG_ID]["metadata"]["namespace"]) <= 63


def test_a_restart_is_written_on_the_pods():
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    document = yaml.safe_load(render(app(restarted_at=when))["generated/deployment.yaml"])
    annotations = document["spec"]["template"]["metadata"]["annotations"]
    assert annotations["fastapi-platform/restarted-at"] == "2026-01-02T03:04:05+00:00"
