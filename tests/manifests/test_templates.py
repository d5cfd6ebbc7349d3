"""The digest of an intent, the templates themselves, and what a tenant is given."""

import re
from datetime import UTC, datetime

import pytest
import yaml

from api.clients.kustomize import Kustomize
from api.domain.manifests import (
    TEMPLATES,
    Identity,
    RenderError,
    RenderSettings,
    Templates,
    intent_digest,
    render_tenant,
)
from api.domain.repo_layout import AppFile
from tests.manifests.folders import (
    SETTINGS,
    TENANT,
    TEXTS,
    app,
    render,
)


def digest(file: AppFile, code: str = "1") -> str:
    return intent_digest(file, code, None, None)


@pytest.mark.parametrize(
    "change", [{"name": "other"}, {"pinned": True}, {"review": True}, {"env": {}}]
)
def test_what_restarts_nothing_keeps_the_digest(change):
    assert digest(app(**change)) == digest(app())


@pytest.mark.parametrize(
    "change",
    [
        {"env": {"A": "1"}}, {"entrypoint": "main.py"}, {"state": "hibernated"},
        {"restarted_at": datetime(2026, 1, 1, tzinfo=UTC)}, {"id": "shop2"},
    ],
)  # fmt: skip
def test_what_a_pod_would_notice_changes_the_digest(change):
    assert digest(app(**change)) != digest(app())
    assert digest(app(), "2") != digest(app())


def test_a_moment_is_the_same_in_every_time_zone():
    moments = ("2026-01-01T12:00:00+00:00", "2026-01-01T13:00:00+01:00")
    first, second = (digest(app(restarted_at=datetime.fromisoformat(m))) for m in moments)
    assert first == second


def test_the_tree_of_templates_is_the_tree_of_rendered_files():
    tenant = render_tenant(TEXTS, TENANT, SETTINGS, "ab")
    found = {path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.yaml")}
    assert found == {f"app/{path}" for path in render()} | {f"tenant/{path}" for path in tenant}


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.yaml")), ids=lambda path: path.name)
def test_every_expression_of_a_template_is_a_whole_value(path):
    for line in path.read_text().splitlines():
        if "{{" in line:
            assert re.fullmatch(r" *(?:- )*(?:[\w./-]+: )?\{\{ .+ \}\}", line), line


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("kind: A\nmetadata: {name: x-{{ v }}}\n", "gives|is not|value"),
        ("kind: A\nmetadata: {name: a}\nx: '{{ v }}'\n", "value is not"),
        ("kind: A\nmetadata: {name: {{ v }}}\n", "gives"),
        ("kind: B\nmetadata: {name: a}\n", "gives"),
        ("kind: A\nmetadata: {name: a}\n---\nkind: C\nmetadata: {name: c}\n", "gives"),
        ("kind: A\nmetadata: {name: a}\nx: {{ missing }}\n", "missing"),
        ("kind: A\nmetadata: {name: a}\nx: {{ none }}\n", "NoneType"),
        ("kind: A\nmetadata: [\n", "expected"),
        ("- a\n", "gives"),
    ],
)
def test_a_wrong_template_is_noticed_when_it_is_rendered(text, reason):
    templates = Templates({"t.yaml": text})
    with pytest.raises(RenderError, match=reason):
        templates.render("t.yaml", {"v": 'a", b: "c', "none": None}, [Identity("A", "a")])


async def test_a_tenants_objects_stand_in_their_own_restricted_namespace():
    tenant = TENANT
    files = render_tenant(TEXTS, tenant, SETTINGS, "ab")
    listed = "".join(f"- {path}\n" for path in files)
    objects = await Kustomize().build(
        files | {"kustomization.yaml": f"resources:\n{listed}".encode()}
    )
    (namespace,) = (entry for entry in objects if entry["kind"] == "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert namespace["metadata"]["labels"]["fastapi-platform/shard"] == "ab"
    rest = [entry for entry in objects if entry["kind"] != "Namespace"]
    assert {entry["metadata"]["namespace"] for entry in rest} == {"user-uabc"}
    (account,) = (entry for entry in objects if entry["kind"] == "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    (quota,) = (entry for entry in objects if entry["kind"] == "ResourceQuota")
    assert not [name for name in quota["spec"]["hard"] if name.startswith("count/")]


def test_nothing_goes_in_or_out_but_what_a_policy_names():
    files = render_tenant(
        TEXTS,
        TENANT,
        RenderSettings("r:1", blocked_cidrs=("203.0.113.0/24", "2001:db8::/32")),
        "ab",
    )
    deny, apps = yaml.safe_load_all(files["network.yaml"])
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert [port["port"] for rule in apps["spec"]["ingress"] for port in rule["ports"]] == [
        8000,
        8001,
    ]
    v4, v6 = (entry["ipBlock"] for entry in apps["spec"]["egress"][1]["to"])
    assert {"10.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16", "203.0.113.0/24"} <= set(v4["except"])
    assert v6 == {"cidr": "2000::/3", "except": ["2001:db8::/32"]}


def test_an_image_pull_secret_is_the_accounts_and_only_where_there_is_one():
    without = yaml.safe_load(render_tenant(TEXTS, TENANT, SETTINGS, "ab")["service-account.yaml"])
    assert "imagePullSecrets" not in without
    settings = RenderSettings("r:1", image_pull_secret="registry")
    account = yaml.safe_load(render_tenant(TEXTS, TENANT, settings, "ab")["service-account.yaml"])
    assert account["imagePullSecrets"] == [{"name": "registry"}]
    with pytest.raises(RenderError, match="pull secret"):
        render_tenant(TEXTS, TENANT, RenderSettings("r:1", image_pull_secret="a b"), "ab")


def test_a_range_that_is_none_cannot_be_rendered():
    with pytest.raises(RenderError, match="blocked ranges"):
        render_tenant(TEXTS, TENANT, RenderSettings("r:1", blocked_cidrs=("10.0.0.1/8",)), "ab")
