"""What `kubectl kustomize` makes of a folder below deploy/."""

import subprocess
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
OVERLAYS = ("local", "production")
KUBECTL = Path(sysconfig.get_path("scripts")) / "kubectl"


@cache
def built(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The objects by kind and name; AssertionError with the words of a build that fails."""
    done = subprocess.run(
        [KUBECTL, "kustomize", folder], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    objects = list(yaml.safe_load_all(done.stdout))
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def overlay(name: str) -> dict[tuple[str, str], dict[str, Any]]:
    return built(DEPLOY / "overlays" / name)


def pod_templates(objects: dict[tuple[str, str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The pods of Deployments, StatefulSets and CronJobs, by kind and name."""
    found = {}
    for (kind, name), each in objects.items():
        if kind in {"Deployment", "StatefulSet"}:
            found[f"{kind} {name}"] = each["spec"]["template"]
        elif kind == "CronJob":
            found[f"{kind} {name}"] = each["spec"]["jobTemplate"]["spec"]["template"]
    return found


def environment(objects: dict[tuple[str, str], dict[str, Any]]) -> dict[str, str]:
    """The backend's variables that are no secret, as its pods get them."""
    maps = {name.rpartition("-")[0]: each["data"] for (kind, name), each in objects.items()
            if kind == "ConfigMap"}  # fmt: skip
    container = objects["Deployment", "backend"]["spec"]["template"]["spec"]["containers"][0]
    values = dict(maps["settings"])
    for entry in container["env"]:
        key = entry.get("valueFrom", {}).get("configMapKeyRef", {}).get("key")
        values[entry["name"]] = maps["hosts"][key] if key else entry["value"]
    return values
