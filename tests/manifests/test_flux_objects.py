"""`clusters/<name>/`: what Flux is told, for 256 shards and for 4,096."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from api.domain.flux_objects import NAMESPACE, RECEIVER, ClusterOptions, render_cluster, shard_names
from api.domain.manifests import RenderSettings, render_tenant
from api.domain.networks import NOT_PUBLIC, blocked_ranges
from api.domain.repo_layout import Ceilings, PlatformFile
from api.init_repo import TEMPLATE, read_folder
from api.settings import Settings
from tests.manifests.folders import TENANT, TEXTS, app, render

FILES = {path: data.decode() for path, data in read_folder(TEMPLATE / "cluster").items()}
OPTIONS = ClusterOptions(
    "prod", "https://git.example/apps.git", "git-auth", ("ssh-ed25519 AAAA",), ()
)
SETTINGS = RenderSettings(
    "r:1", apps_host="apps.example.org", blocked_cidrs=("203.0.113.0/24", "fd00::/8")
)


def rendered(shards: int = 256, options: ClusterOptions = OPTIONS) -> dict[str, list[dict]]:
    platform = PlatformFile(shards=shards, ceilings=Ceilings(cpu="1"))
    files = render_cluster(FILES, platform, SETTINGS, options)
    return {
        path: list(yaml.load_all(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        for path, data in files.items()
        if path.endswith(".yaml")
    }


def by_name(objects: list[dict]) -> dict[str, dict]:
    found = {entry["metadata"]["name"]: entry for entry in objects}
    assert len(found) == len(objects)
    assert {entry["metadata"]["namespace"] for entry in objects} == {NAMESPACE}
    return found


@pytest.mark.parametrize(("shards", "digits"), [(256, 2), (4096, 3)])
def test_every_shard_has_its_source_its_kustomization_and_its_account(shards, digits):
    files = rendered(shards)
    names = {f"shard-{number:0{digits}x}" for number in range(shards)}
    sources = by_name(files["git-repositories.yaml"])
    kustomizations = by_name(files["kustomizations.yaml"])
    assert sources.keys() == kustomizations.keys() == names | {"clusters"}
    assert by_name(files["service-accounts.yaml"]).keys() == names
    for name in names:
        shard = name.removeprefix("shard-")
        assert sources[name]["spec"]["ref"] == {"branch": f"flux/{shard}"}
        assert kustomizations[name]["spec"]["serviceAccountName"] == name
        for entry in (sources[name], kustomizations[name]):
            assert entry["metadata"]["labels"]["fastapi-platform/shard"] == shard


def test_flux_is_told_what_its_facts_ask_for():
    files = rendered()
    source = by_name(files["git-repositories.yaml"])["shard-3f"]
    assert source["spec"] == {
        "interval": "10m",
        "url": "https://git.example/apps.git",
        "ref": {"branch": "flux/3f"},
        "secretRef": {"name": "git-auth"},
        "verify": {"mode": "HEAD", "secretRef": {"name": "publish-keys"}},
        "ignore": "/.none",
    }
    kustomization = by_name(files["kustomizations.yaml"])["shard-3f"]
    assert kustomization["spec"] == {
        "interval": "4h",
        "retryInterval": "30s",
        "timeout": "2m",
        "path": "./",
        "prune": True,
        "wait": False,
        "deletionPolicy": "Orphan",
        "serviceAccountName": "shard-3f",
        "sourceRef": {"kind": "GitRepository", "name": "shard-3f"},
    }


def test_the_operators_branch_is_applied_by_an_account_of_its_own():
    files = rendered()
    source = by_name(files["git-repositories.yaml"])["clusters"]
    assert source["spec"]["ref"] == {"branch": "flux/clusters"}
    kustomization = by_name(files["kustomizations.yaml"])["clusters"]
    assert kustomization["spec"]["path"] == "./prod"
    assert kustomization["spec"]["serviceAccountName"] == "clusters"
    bindings = [o for o in files["access.yaml"] if o["kind"] == "ClusterRoleBinding"]
    assert [
        binding["subjects"] for binding in bindings if binding["roleRef"]["name"] == "cluster-admin"
    ] == [[{"kind": "ServiceAccount", "name": "clusters", "namespace": NAMESPACE}]]


def test_one_receiver_pokes_only_the_sources_that_a_call_names():
    files = rendered()
    (receiver,) = files["receiver.yaml"]
    assert (receiver["metadata"]["name"], receiver["metadata"]["namespace"]) == (
        RECEIVER,
        NAMESPACE,
    )
    spec = receiver["spec"]
    assert (spec["type"], spec["secretRef"]) == ("generic-hmac", {"name": "receiver-token"})
    assert spec["resourceFilter"] == "has(req.sources) && res.metadata.name in req.sources"
    ((key, value),) = spec["resources"][0]["matchLabels"].items()
    for source in files["git-repositories.yaml"]:
        assert source["metadata"]["labels"][key] == value


def test_the_shards_accounts_handle_rendered_kinds_and_no_rights():
    roles = [o for o in rendered()["access.yaml"] if o["kind"] == "ClusterRole"]
    (role,) = roles
    resources = {r for rule in role["rules"] for r in rule["resources"]}
    assert resources == {
        "namespaces", "configmaps", "services", "serviceaccounts", "resourcequotas", "limitranges",
        "deployments", "networkpolicies", "middlewares", "ingressroutes",
    }  # fmt: skip
    assert not {verb for rule in role["rules"] for verb in rule["verbs"]} & {
        "*",
        "escalate",
        "bind",
    }


def test_the_policies_learn_what_is_rendered():
    options = ClusterOptions("prod", "ssh://git@git.example/a.git", None, (), ("viewer:1",))
    files = rendered(options=options)
    (settings,) = files["admission/settings.yaml"]
    assert settings["data"]["images"] == "r:1\nviewer:1"
    assert settings["data"]["hostRule"] == "Host(`apps.example.org`) && "
    assert settings["data"]["cpu"] == "1"
    blocked = settings["data"]["blockedCidrs"].split("\n")
    assert blocked == [*NOT_PUBLIC, "203.0.113.0/24"], "fd00::/8 is no part of 2000::/3"
    source = by_name(files["git-repositories.yaml"])["shard-00"]
    assert {"secretRef", "verify"}.isdisjoint(source["spec"])
    assert "publish-keys.yaml" not in files


def test_the_policies_let_in_the_pull_secret_that_tenants_accounts_name():
    settings = replace(SETTINGS, image_pull_secret="ghcr-auth")
    files = render_cluster(FILES, PlatformFile(), settings, OPTIONS)
    allowed = yaml.safe_load(files["admission/settings.yaml"])["data"]["pullSecret"]
    own = render_tenant(TEXTS, TENANT, settings, "3f")
    account = yaml.safe_load(own["service-account.yaml"])
    assert account["imagePullSecrets"] == [{"name": allowed}]
    pod = yaml.safe_load(render(app(), settings=settings)["generated/deployment.yaml"])
    spec = pod["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == account["metadata"]["name"], "it gets it from there"
    (without,) = rendered()["admission/settings.yaml"]
    assert without["data"]["pullSecret"] == ""


def test_every_policy_is_bound_denies_and_fails_closed():
    objects = [o for p, found in rendered().items() if p.startswith("admission/") for o in found]
    policies = {
        o["metadata"]["name"]: o for o in objects if o["kind"] == "ValidatingAdmissionPolicy"
    }
    bindings = {
        o["spec"]["policyName"]: o["spec"]
        for o in objects
        if o["kind"] == "ValidatingAdmissionPolicyBinding"
    }
    assert policies.keys() == bindings.keys()
    assert len(policies) >= 8
    for name, policy in policies.items():
        assert policy["spec"]["failurePolicy"] == "Fail"
        assert bindings[name]["validationActions"] == ["Deny"]
        if "paramKind" in policy["spec"]:
            assert bindings[name]["paramRef"]["parameterNotFoundAction"] == "Deny"
        for validation in policy["spec"]["validations"]:
            assert validation["message"].startswith("rule "), name
            if "messageExpression" in validation:
                assert validation["messageExpression"].startswith("'rule ")


def test_shards_are_named_as_user_ids_are_hashed():
    assert shard_names(PlatformFile(shards=256))[255] == "ff"
    assert shard_names(PlatformFile(shards=4096))[10] == "00a"


@pytest.mark.parametrize("cidr", ["10.0.0.1/8", "not a range", "10.0.0.0/33"])
def test_a_range_that_is_none_is_refused_at_start(cidr):
    with pytest.raises(ValueError, match="BLOCKED_CIDRS"):
        Settings(blocked_cidrs=cidr)
    with pytest.raises(ValueError, match=r"network|address|host bits"):
        blocked_ranges([cidr])


def test_the_branch_rules_let_nobody_but_one_actor_write():
    for path in sorted(Path(TEMPLATE / "main/protection").glob("flux-*.json")):
        ruleset = json.loads(path.read_text())
        assert {"creation", "update", "deletion", "non_fast_forward"} <= {
            rule["type"] for rule in ruleset["rules"]
        }
        assert len(ruleset["bypass_actors"]) == 1
