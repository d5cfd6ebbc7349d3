"""What deploy/ builds is accepted by a real API server, object by object."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.build import module_folder
from tests.cluster.plane.cluster import Cluster
from tests.cluster.plane.slot import PlaneFailed
from tests.deployment.built import DEPLOY, OVERLAYS, built

#: Its module is not to be had from the Go module proxy, and with it the definition of its kind.
UNKNOWN = {"ImageUpdateAutomation"}


@pytest.fixture(scope="module")
def prepared(cluster: Cluster) -> Cluster:
    """With what an operator's cluster has beside: a namespace, kinds of cert-manager and Flux."""
    cluster.kubectl("apply", "--server-side", "-f", str(DEPLOY / "base/namespace.yaml"))
    files = [
        module_folder("cert-manager", "github.com/cert-manager/cert-manager")
        / "deploy/crds/cert-manager.io_certificates.yaml",
        *sorted(
            module_folder("image-policy", "github.com/fluxcd/image-reflector-controller").glob(
                "config/crd/bases/*.yaml"
            )
        ),
    ]
    named = [argument for path in files for argument in ("-f", str(path))]
    cluster.kubectl("apply", "--server-side", *named)
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    return cluster


def judge(cluster: Cluster, objects: list[dict[str, Any]]) -> list[str]:
    """What the API server says to each, without keeping it; warnings (of Pod Security) raise."""
    told = cluster.kubectl(
        *("apply", "--server-side", "--dry-run=server", "--warnings-as-errors", "-f", "-"),
        given=yaml.safe_dump_all(objects),
    )
    return told.splitlines()


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_is_accepted(prepared: Cluster, name: str):
    objects = list(built(DEPLOY / "overlays" / name).values())
    assert len(judge(prepared, objects)) == len(objects)


@pytest.mark.parametrize(
    "components",
    [["tunnel", "hosts"], ["private-registry", "mongodb", "certificate", "hosts"]],
    ids="+".join,
)
def test_what_an_operator_may_add_is_accepted(
    prepared: Cluster, tmp_path: Path, components: list[str]
):
    work = tmp_path / "deploy"
    subprocess.run(["cp", "-r", DEPLOY, work], check=True)
    path = work / "overlays/production/kustomization.yaml"
    content = yaml.safe_load(path.read_text())
    content["components"] = [f"../../components/{name}" for name in components]
    path.write_text(yaml.safe_dump(content))
    objects = list(built(path.parent).values())
    assert len(judge(prepared, objects)) == len(objects)


def test_pods_of_the_platform_are_accepted_by_its_own_namespace(prepared: Cluster):
    """A Deployment is accepted with pods that are not: their templates are judged as pods too."""
    pods = []
    for (kind, name), each in built(DEPLOY / "overlays/production").items():
        spec = each.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            metadata = {"name": f"{kind}-{name}".lower(), "namespace": "fastapi-platform"}
            pod = {**template["spec"], "serviceAccountName": "default"}
            claims = [claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", ())]
            pod["volumes"] = pod.get("volumes", []) + [
                {"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim in claims
            ]
            pods.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod})
    assert len(judge(prepared, pods)) == len(pods) == 5
    loose = {**pods[0], "spec": {**pods[0]["spec"], "securityContext": {}}}
    with pytest.raises(PlaneFailed, match="violates PodSecurity"):
        judge(prepared, [loose])


def test_the_fleets_objects_are_accepted(prepared: Cluster):
    objects = built(DEPLOY / "fleet")
    known = [each for (kind, _), each in objects.items() if kind not in UNKNOWN]
    assert {kind for kind, _ in objects} > UNKNOWN
    assert len(judge(prepared, known)) == len(known)


def test_a_field_that_does_not_exist_would_be_told(prepared: Cluster):
    policy = next(e for (k, _), e in built(DEPLOY / "fleet").items() if k == "ImagePolicy")
    wrong = yaml.safe_load(re.sub("filterTags", "filterTag", yaml.safe_dump(policy)))
    with pytest.raises(PlaneFailed, match="filterTag"):
        judge(prepared, [wrong])
