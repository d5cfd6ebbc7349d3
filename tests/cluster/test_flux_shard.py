"""One shard as `init-repo --cluster` describes it, applied by Flux from signed commits only."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.domain.flux_objects import NAMESPACE, ClusterOptions, render_cluster
from api.domain.manifests import RenderSettings
from api.domain.repo_layout import PlatformFile
from api.init_repo import TEMPLATE, read_folder
from tests.cluster.plane.cluster import Cluster
from tests.cluster.plane.slot import PlaneFailed
from tests.cluster.tenants import Tenant, render_one
from tests.remote.git_server import GitServer, bare

#: Not one of 256 shards: whatever else is installed in the cluster stays as it is.
SHARD = "fff"
NAME = f"shard-{SHARD}"
SECONDS = 90.0
FLUX = {
    "GitRepository": "gitrepositories.source.toolkit.fluxcd.io",
    "Kustomization": "kustomizations.kustomize.toolkit.fluxcd.io",
}


class Shard:
    """The branch of one shard, and Flux' objects for it."""

    def __init__(self, cluster: Cluster, work: Path, key: Path, older: Path) -> None:
        self.cluster = cluster
        self.older = older  # a key that Flux knows as well, while one takes the other's place
        self._work = work
        self._key = key

    def commit(
        self,
        files: dict[str, list[dict[str, Any]]],
        *,
        signed: bool = True,
        key: Path | None = None,
    ) -> str:
        """Push exactly these manifests, and have Flux look; the revision."""
        for old in self._git("ls-files").splitlines():
            (self._work / old).unlink()
        (self._work / "README.md").write_text("What runs\n")
        for path, objects in files.items():
            (self._work / path).parent.mkdir(parents=True, exist_ok=True)
            (self._work / path).write_text(yaml.safe_dump_all(objects))
        self._git("add", "-A")
        signing = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={key or self._key}")
        self._git(*signing, "commit", "-q", "--allow-empty", "-m", "x", *(["-S"] if signed else []))
        self._git("push", "-q", "origin", f"HEAD:refs/heads/flux/{SHARD}")
        now = f"reconcile.fluxcd.io/requestedAt={time.time_ns()}"
        self.cluster.kubectl(
            "annotate", "--overwrite", FLUX["GitRepository"], NAME, "-n", NAMESPACE, now
        )
        return f"flux/{SHARD}@sha1:{self._git('rev-parse', 'HEAD')}"

    def ready(self, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """An object's status and its condition Ready."""
        get = ("get", FLUX[kind], NAME, "-n", NAMESPACE, "-o=json")
        status = json.loads(self.cluster.kubectl(*get)).get("status", {})
        conditions = {c["type"]: c for c in status.get("conditions", [])}
        return status, conditions.get("Ready", {})

    def applied(self, revision: str) -> bool:
        status, ready = self.ready("Kustomization")
        return status.get("lastAppliedRevision") == revision and ready["status"] == "True"

    def _git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        done = subprocess.run(
            ["git", "-C", self._work, *identity, *arguments],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
        )
        return done.stdout.strip()


def until(what: str, holds: Callable[[], object], told: Callable[[], object]) -> None:
    """Wait for it, bounded; `told` is shown when it never comes."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, f"{what}: {told()}"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def shard(cluster: Cluster, policies: None, git_server: GitServer, tmp_path_factory):
    """Source, Kustomization and account as rendered, for a repository of the test's own."""
    folder = tmp_path_factory.mktemp("shard")
    key, work = folder / "key", folder / "work"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    bare(git_server.root, "shard.git")
    subprocess.run(["git", "init", "-q", "-b", "x", work], check=True)
    url = git_server.url("shard.git")
    subprocess.run(["git", "-C", work, "remote", "add", "origin", url], check=True)
    older = folder / "older"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", older], check=True)
    other, public = (
        " ".join(path.with_suffix(".pub").read_text().split()[:2]) for path in (older, key)
    )
    files = {path: data.decode() for path, data in read_folder(TEMPLATE / "cluster").items()}
    options = ClusterOptions("test", url, None, (other, public), ())
    rendered = render_cluster(files, PlatformFile(shards=4096), RenderSettings("r:1"), options)
    kinds = ("service-accounts.yaml", "git-repositories.yaml", "kustomizations.yaml")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    objects = [
        entry
        for path in kinds
        for entry in yaml.load_all(rendered[path], Loader=loader)
        if entry["metadata"]["name"] == NAME
    ]
    keys = yaml.safe_load(rendered["publish-keys.yaml"])
    keys["metadata"]["name"] = objects[1]["spec"]["verify"]["secretRef"]["name"] = "keys-of-a-test"
    made = Shard(cluster, work, key, older)
    cluster.apply(yaml.safe_dump_all([keys, *objects]))
    yield made
    for entry in (*objects[::-1], keys):
        cluster.kubectl("delete", entry["kind"], entry["metadata"]["name"], "-n", NAMESPACE)


@pytest.fixture
def tenant(cluster: Cluster, shard: Shard):
    """A tenant of the shard, with an app that sleeps."""
    made = asyncio.run(render_one(cluster, shard=SHARD, running=False))
    yield made
    cluster.kubectl("delete", "namespace", made.namespace, "--ignore-not-found", "--wait=false")


def folder(tenant: Tenant, **changed: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    app = {**tenant.app, **changed}
    return {
        f"{tenant.user}/own.yaml": list(tenant.own.values()),
        f"{tenant.user}/shop1/app.yaml": list(app.values()),
    }


def annotation(tenant: Tenant) -> str:
    get = ("get", "deployment", "shop1", "-n", tenant.namespace)
    return tenant.cluster.kubectl(*get, "-o=jsonpath={.metadata.annotations.example\\.org/v}")


def marked(tenant: Tenant, mark: str) -> dict[str, Any]:
    deployment = json.loads(json.dumps(tenant.app["Deployment"]))
    deployment["metadata"].setdefault("annotations", {})["example.org/v"] = mark
    return deployment


def test_signed_commits_are_applied_by_the_shards_account_and_others_are_not(shard, tenant):
    first = shard.commit(folder(tenant, Deployment=marked(tenant, "1")))
    until("applied", lambda: shard.applied(first), lambda: shard.ready("Kustomization"))
    assert annotation(tenant) == "1"

    shard.commit(folder(tenant, Deployment=marked(tenant, "2")), signed=False)
    until(
        "an unsigned commit is told",
        lambda: "signature" in shard.ready("GitRepository")[1].get("message", ""),
        lambda: shard.ready("GitRepository"),
    )
    assert shard.ready("GitRepository")[1]["status"] == "False"
    assert shard.applied(first), "what was applied stays"

    third = shard.commit(folder(tenant, Deployment=marked(tenant, "3")))
    until("applied", lambda: shard.applied(third), lambda: shard.ready("Kustomization"))
    assert annotation(tenant) == "3"

    fourth = shard.commit(folder(tenant, Deployment=marked(tenant, "4")), key=shard.older)
    until("applied", lambda: shard.applied(fourth), lambda: shard.ready("Kustomization"))
    assert annotation(tenant) == "4", "either key of the platform"


def test_what_a_shard_may_not_write_is_refused_with_the_rule_and_the_object(shard, tenant):
    good = shard.commit(folder(tenant))
    until("applied", lambda: shard.applied(good), lambda: shard.ready("Kustomization"))
    bad = marked(tenant, "bad")
    bad["spec"]["template"]["spec"]["hostNetwork"] = True
    revision = shard.commit(folder(tenant, Deployment=bad))

    def refused() -> bool:
        status, ready = shard.ready("Kustomization")
        return status.get("lastAttemptedRevision") == revision and ready["status"] == "False"

    until("refused", refused, lambda: shard.ready("Kustomization"))
    status, ready = shard.ready("Kustomization")
    assert "rule pod-host: " in ready["message"]
    assert f"Deployment/{tenant.namespace}/shop1" in ready["message"]
    assert status["lastAppliedRevision"] == good
    assert annotation(tenant) == "", "nothing of it was applied"


def test_another_shards_tenant_is_out_of_reach(shard, tenant, cluster: Cluster):
    other = asyncio.run(render_one(cluster, shard="ffe", running=False))
    cluster.apply(yaml.safe_dump_all([other.own["Namespace"]]))
    try:
        revision = shard.commit({**folder(tenant), **folder(other)})

        def refused() -> bool:
            status, ready = shard.ready("Kustomization")
            return status.get("lastAttemptedRevision") == revision and ready["status"] == "False"

        until("refused", refused, lambda: shard.ready("Kustomization"))
        assert "rule shard-namespace: " in shard.ready("Kustomization")[1]["message"]
        with pytest.raises(PlaneFailed, match="NotFound"):
            cluster.kubectl("get", "service", "shop1", "-n", other.namespace)
    finally:
        cluster.kubectl("delete", "namespace", other.namespace, "--wait=false")


def test_what_leaves_the_branch_leaves_the_cluster(shard, tenant, cluster: Cluster):
    first = shard.commit(folder(tenant))
    until("applied", lambda: shard.applied(first), lambda: shard.ready("Kustomization"))
    second = shard.commit({f"{tenant.user}/own.yaml": list(tenant.own.values())})
    until("applied", lambda: shard.applied(second), lambda: shard.ready("Kustomization"))
    with pytest.raises(PlaneFailed, match="NotFound"):
        cluster.kubectl("get", "deployment", "shop1", "-n", tenant.namespace)
    cluster.kubectl("get", "networkpolicy", "apps", "-n", tenant.namespace)
