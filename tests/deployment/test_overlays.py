"""The overlays build, and what an operator reads in one place is true everywhere."""

import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from pydantic import SecretStr

from api.domain import router_checks
from api.settings import Settings
from tests.deployment.built import (
    DEPLOY,
    OVERLAYS,
    built,
    environment,
    overlay,
    pod_templates,
)

SECRETS = {"backend", "backend-files", "mongodb", "platform-tls", "ghcr-auth"}


def composed(tmp_path: Path, components: list[str]) -> dict:
    """The production overlay with other components, as an operator writes it."""
    work = tmp_path / "deploy"
    subprocess.run(["cp", "-r", DEPLOY, work], check=True)
    path = work / "overlays/production/kustomization.yaml"
    content = yaml.safe_load(path.read_text())
    content["components"] = [f"../../components/{name}" for name in components]
    path.write_text(yaml.safe_dump(content))
    return built(path.parent)


@pytest.mark.parametrize("name", OVERLAYS)
def test_everything_is_in_one_namespace_and_belongs_to_the_platform(name: str):
    for (kind, _), each in overlay(name).items():
        cluster_wide = kind in {"Namespace", "ClusterRole", "ClusterRoleBinding"}
        assert each["metadata"].get("namespace") == (None if cluster_wide else "fastapi-platform")
        assert each["metadata"]["labels"]["app.kubernetes.io/part-of"] == "fastapi-platform"


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_pod_is_restricted_bounded_and_writes_only_where_it_may(name: str):
    templates = pod_templates(overlay(name))
    assert len(templates) == 5
    for pod in templates.values():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["enableServiceLinks"] is False
        for container in spec["containers"]:
            rights = container["securityContext"]
            assert rights["readOnlyRootFilesystem"] is True
            assert rights["allowPrivilegeEscalation"] is False
            assert rights["capabilities"] == {"drop": ["ALL"]}
            assert {"memory", "ephemeral-storage"} <= container["resources"]["limits"].keys()
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        for volume in spec.get("volumes", ()):
            assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": ""})


@pytest.mark.parametrize("name", OVERLAYS)
def test_only_the_backend_and_its_cleanup_have_a_way_to_the_api_server(name: str):
    for what, pod in pod_templates(overlay(name)).items():
        mounted = pod["spec"].get("automountServiceAccountToken", True)
        assert mounted is (what in {"Deployment backend", "CronJob cleanup"})


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_cleanup_publishes_with_the_settings_of_the_backend(name: str):
    pods = pod_templates(overlay(name))
    [backend], [cleanup] = (
        pods[each]["spec"]["containers"] for each in ("Deployment backend", "CronJob cleanup")
    )
    assert "RUNNER_IMAGE" in {each["name"] for each in backend["env"]}
    for part in ("image", "envFrom", "env"):
        told, same = (
            sorted(each[part], key=str) if part != "image" else each[part]
            for each in (backend, cleanup)
        )
        assert told == same


@pytest.mark.parametrize("name", OVERLAYS)
def test_budgets_services_and_policies_select_pods_that_exist(name: str):
    objects = overlay(name)
    labels = [pod["metadata"]["labels"] for pod in pod_templates(objects).values()]
    for (kind, _), each in objects.items():
        selector = {
            "Service": lambda spec: spec["selector"],
            "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
            "NetworkPolicy": lambda spec: spec["podSelector"].get("matchLabels", {}),
        }.get(kind)
        if selector and each["metadata"]["name"] != "acme-solver":  # cert-manager makes its pod
            wanted = selector(each["spec"])
            assert [pod for pod in labels if wanted.items() <= pod.items()]


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_hosts_follow_from_one_file_as_the_backend_derives_them(name: str):
    objects = overlay(name)
    values = environment(objects)
    settings = Settings.model_validate(
        {key.lower(): value for key, value in values.items()}
        | {"mode": "cluster", "secret_key": SecretStr("k" * 32)}
        | {"mongo_uri": SecretStr("mongodb://mongodb")}
    )
    hosts = [
        urlsplit(settings.platform_origin).hostname,
        urlsplit(settings.apps_origin).hostname,
        f"mongo.{settings.base_domain.partition('.')[2]}",
    ]
    rules = {
        route: [rule["match"] for rule in objects["IngressRoute", route]["spec"]["routes"]]
        for route in ("platform", "no-app", "to-https")
        if ("IngressRoute", route) in objects
    }
    found = {route: re.findall(r"Host\(`([^`]+)`\)", " ".join(rules[route])) for route in rules}
    expected = {"platform": [hosts[0]] * 2, "no-app": [*hosts[1:], hosts[1]], "to-https": hosts}
    assert found == {route: expected[route] for route in rules}
    assert ("to-https" in rules) is (name == "production")
    if ("Certificate", "platform") in objects:
        assert objects["Certificate", "platform"]["spec"]["dnsNames"] == hosts
    for policy in ("backend", "frontend"):
        peer = objects["NetworkPolicy", policy]["spec"]["ingress"][0]["from"][0]
        labels = peer["namespaceSelector"]["matchLabels"]
        assert labels == {"kubernetes.io/metadata.name": settings.traefik_namespace}
    entry_points = set(settings.traefik_entry_points.split(","))
    assert set(objects["IngressRoute", "platform"]["spec"]["entryPoints"]) <= entry_points


def test_routes_of_apps_rank_between_the_platform_and_what_nobody_answers():
    app = yaml.safe_load(
        re.sub(
            r"\{[{#%].*?[}#%]\}",
            "",
            (DEPLOY.parent / "templates/app/generated/ingressroute.yaml").read_text(),
            flags=re.DOTALL,
        )
    )
    apps = {route["priority"] for route in app["spec"]["routes"]}
    objects = overlay("production")
    above = [route["priority"] for route in objects["IngressRoute", "platform"]["spec"]["routes"]]
    below = [route["priority"] for route in objects["IngressRoute", "no-app"]["spec"]["routes"]]
    assert max(below) < min(apps)
    assert max(apps) < min(above)


@pytest.mark.parametrize("name", OVERLAYS)
def test_addresses_whose_app_does_not_run_lead_to_the_backend(name: str):
    routes = overlay(name)["IngressRoute", "no-app"]["spec"]["routes"]
    [waker] = [route for route in routes if "PathPrefix(`/user/`)" in route["match"]]
    assert [service["name"] for service in waker["services"]] == ["backend"]
    assert "sticky" not in waker["services"][0]  # no cookie on the origin of learners' pages
    others = [route["priority"] for route in routes if route is not waker]
    assert waker["priority"] > max(others)


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_secret_that_is_used_is_one_that_the_guide_makes(name: str):
    text = yaml.safe_dump(list(overlay(name).values()))
    used = set(re.findall(r"secretName: (\S+)", text))
    for pod in pod_templates(overlay(name)).values():
        for container in pod["spec"]["containers"]:
            used |= {each["secretRef"]["name"] for each in container.get("envFrom", ())
                     if "secretRef" in each}  # fmt: skip
    guide = (DEPLOY.parent / "docs/DEPLOYMENT.md").read_text()
    assert used <= SECRETS
    for secret in used:
        assert re.search(rf"create secret \S+ {secret}\b", guide), secret


def test_behind_a_tunnel_nothing_speaks_of_tls(tmp_path: Path):
    objects = composed(tmp_path, ["tunnel", "hosts"])
    assert ("IngressRoute", "to-https") not in objects
    for route in ("platform", "no-app"):
        spec = objects["IngressRoute", route]["spec"]
        assert spec["entryPoints"] == ["web"]
        assert "tls" not in spec


def test_images_of_a_private_registry_are_fetched_with_its_credential(tmp_path: Path):
    objects = composed(tmp_path, ["private-registry", "hosts"])
    pods = pod_templates(objects)
    for name in ("Deployment backend", "Deployment frontend", "CronJob cleanup"):
        spec = pods[name]["spec"]
        assert spec["imagePullSecrets"] == [{"name": "ghcr-auth"}]


def test_every_policy_for_images_marks_a_place_that_it_writes():
    fleet = built(DEPLOY / "fleet")
    policies = {name for kind, name in fleet if kind == "ImagePolicy"}
    folder = DEPLOY / "overlays/production"
    text = "".join(path.read_text() for path in sorted(folder.glob("*.yaml")))
    marked = re.findall(
        r'^\s*(?:newTag|value): (\S+) # \{"\$imagepolicy": "flux-system:([\w-]+)',
        text,
        re.MULTILINE,
    )
    assert {policy for _, policy in marked} == policies
    [pattern] = {
        each["spec"]["filterTags"]["pattern"]
        for (kind, _), each in fleet.items()
        if kind == "ImagePolicy"
    }
    for value, _ in marked:
        assert re.search(pattern, value.rpartition(":")[2])


def test_new_images_are_proposed_and_never_pushed_before_the_policies_know_them():
    fleet = built(DEPLOY / "fleet")
    [update] = [each for (kind, _), each in fleet.items() if kind == "ImageUpdateAutomation"]
    git = update["spec"]["git"]
    assert git["push"]["branch"] not in {git["checkout"]["ref"]["branch"], "main"}
    wanted = update["spec"]["policySelector"]["matchLabels"].items()
    for (kind, _), each in fleet.items():
        if kind == "ImagePolicy":
            assert wanted <= each["metadata"]["labels"].items()
    guide = (DEPLOY.parent / "docs/operations.md").read_text()
    first, then = guide.index("init-repo --cluster production"), guide.index("Change the tags")
    assert guide.index(git["push"]["branch"]) < first < then


def test_the_values_of_the_router_hold_every_setting_that_the_doctor_looks_for():
    values = yaml.safe_load((DEPLOY / "cluster/traefik-values.yaml").read_text())
    said = {
        name.lower(): value
        for name, _, value in (each[2:].partition("=") for each in values["additionalArguments"])
    }
    assert values["service"]["spec"]["externalTrafficPolicy"] == "Local", "clients' addresses"
    crd = values["providers"]["kubernetesCRD"]
    assert (crd["allowCrossNamespace"], crd["allowExternalNameServices"]) == (False, False)
    assert said["providers.kubernetescrd.safenaming"] == "true"
    assert said["metrics.prometheus.addserviceslabels"] == "true"
    for point in ("web", "websecure"):
        for name in router_checks._ENCODED:
            option = f"entrypoints.{point}.http.encodedcharacters.allowencoded{name}"
            assert said[option] == "false"
