"""The cluster that the other tests stand on: its node, the runner's image, Flux, Traefik."""

import hashlib
import json
from collections.abc import Callable

import httpx2
import pytest
import yaml

from tests.cluster.plane import dockerfile, images
from tests.cluster.plane.cluster import Cluster
from tests.cluster.plane.slot import PlaneFailed
from tests.product import eventually
from tests.remote.git_server import GitServer, bare

HELLO = """\
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def hello():
    return "hello"
"""


def app(image: str) -> str:
    """A learner's app as the platform would run it, reduced to what a pod needs."""
    confined = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    container = {
        "name": "app",
        "image": image,
        "env": [{"name": "FASTAPI_PLATFORM_ENTRYPOINT", "value": "user_code.py"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8001}, "periodSeconds": 1},
        "securityContext": confined,
        "volumeMounts": [
            {"name": "code", "mountPath": "/app", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  (in the pod)
        ],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "hello", "labels": {"app": "hello"}},
        "spec": {
            "automountServiceAccountToken": False,
            # The user is the image's own.
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [
                {"name": "code", "configMap": {"name": "code"}},
                {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            ],
        },
    }
    code = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "code"},
        "data": {"user_code.py": HELLO},
    }
    return yaml.safe_dump_all([code, pod])


@pytest.fixture
def hello(cluster: Cluster, namespace: str) -> str:
    """The namespace of a pod `hello` that is ready."""
    account = ("get", "serviceaccount", "default", "-n", namespace, "-o=name", "--ignore-not-found")
    eventually("the namespace has its service account", lambda: cluster.kubectl(*account))
    cluster.kubectl("apply", "-n", namespace, "-f", "-", given=app(cluster.runner_image))
    try:
        cluster.kubectl(
            "wait", "-n", namespace, "--for=condition=Ready", "pod/hello", "--timeout=60s"
        )
    except PlaneFailed as error:
        pytest.fail(f"{error}\n{cluster.kubectl('describe', 'pods', '-n', namespace)}")
    return namespace


def test_every_node_is_ready(cluster: Cluster):
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o=json"))["items"]
    ready = [
        condition["status"]
        for node in nodes
        for condition in node["status"]["conditions"]
        if condition["type"] == "Ready"
    ]
    assert ready
    assert set(ready) == {"True"}


def test_a_pod_of_the_runner_answers_in_a_restricted_namespace(cluster: Cluster, hello: str):
    pod = f"/api/v1/namespaces/{hello}/pods/hello"
    assert cluster.kubectl("get", "--raw", f"{pod}:8000/proxy/") == '"hello"'
    probe = json.loads(cluster.kubectl("get", "--raw", f"{pod}:8001/proxy/ready"))
    assert probe["loop_silent_seconds"] < 60
    assert cluster.kubectl("logs", "-n", hello, "hello")


def test_the_image_holds_the_files_user_and_folder_of_the_dockerfile(cluster: Cluster, hello: str):
    *_, final = dockerfile.stages(images.RUNNER.dockerfile)
    python = final.command("ENTRYPOINT")[0]
    look = (
        "import hashlib, json, os, pathlib; print(json.dumps({"
        "'files': {p.name: hashlib.sha256(p.read_bytes()).hexdigest()"
        " for p in pathlib.Path('/opt/runner').iterdir() if p.is_file()},"
        " 'user': str(os.getuid()), 'folder': os.getcwd(),"
        " 'environment': dict(os.environ),"
        " 'command': open('/proc/1/cmdline').read().split(chr(0))[:-1]}))"
    )
    seen = json.loads(cluster.kubectl("exec", "-n", hello, "hello", "--", python, "-c", look))
    assert seen["files"] == {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in images.RUNNER.context().items()
    }
    # Kubernetes takes the user of an image, and the group from the pod alone.
    assert seen["user"] == final.last("USER").partition(":")[0]
    assert seen["folder"] == final.last("WORKDIR")
    assert seen["command"] == final.command("ENTRYPOINT")
    assert final.environment().items() <= seen["environment"].items()


def test_a_pod_that_asks_for_more_is_refused(cluster: Cluster, namespace: str):
    with pytest.raises(PlaneFailed, match="violates PodSecurity"):
        cluster.kubectl(
            "run", "greedy", "-n", namespace, "--privileged", f"--image={cluster.runner_image}"
        )


def test_flux_applies_what_is_pushed_and_prunes_what_goes(
    cluster: Cluster, namespace: str, git_server: GitServer, push: Callable
):
    repository = f"{namespace}.git"
    bare(git_server.root, repository)
    first = push(repository, "flux/00", {"u/greeting.yaml": _greeting(namespace, "hello")})
    cluster.apply(_flux_objects(namespace, git_server.url(repository)))
    query = ("get", "kustomization", "shard-00", "-n", namespace)

    def applied() -> str:
        return cluster.kubectl(*query, "-o=jsonpath={.status.lastAppliedRevision}")

    eventually("applied", lambda: applied() == f"flux/00@sha1:{first}", 60)
    text = ("get", "configmap", "greeting", "-n", namespace, "-o=jsonpath={.data.text}")
    assert cluster.kubectl(*text) == "hello"

    second = push(repository, "flux/00", {"u/other.yaml": _greeting(namespace, "hi", "other")})
    annotation = "reconcile.fluxcd.io/requestedAt=now"
    cluster.kubectl("annotate", "gitrepository", "shard-00", "-n", namespace, annotation)
    eventually("applied", lambda: applied() == f"flux/00@sha1:{second}", 60)
    names = cluster.kubectl("get", "configmaps", "-n", namespace, "-o=name").split()
    assert "configmap/other" in names
    assert "configmap/greeting" not in names


def test_traefik_leads_an_address_to_a_pod(cluster: Cluster, hello: str):
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "hello", "namespace": hello},
        "spec": {"selector": {"app": "hello"}, "ports": [{"port": 80, "targetPort": 8000}]},
    }
    route = {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "IngressRoute",
        "metadata": {"name": "hello", "namespace": hello},
        "spec": {
            "entryPoints": ["web"],
            "routes": [
                {
                    "kind": "Rule",
                    "match": f"Header(`x-test`, `{hello}`)",
                    "services": [{"name": "hello", "port": 80}],
                }
            ],
        },
    }
    cluster.apply(yaml.safe_dump_all([service, route]))

    def answer() -> str:
        with httpx2.Client(trust_env=False, timeout=5) as client:
            return client.get(cluster.apps_url, headers={"x-test": hello}).text

    eventually("the pod answers through Traefik", lambda: answer() == '"hello"', 30)


@pytest.mark.parametrize("name", ["kube-apiserver", "kustomize-controller"])
def test_a_program_that_is_killed_is_started_again(plane: Cluster, name: str):
    killed = plane.process(name)
    killed.kill()
    killed.wait(10)

    def answers() -> bool:
        try:
            return bool(plane.process(name)) and "ok" in plane.kubectl("get", "--raw", "/readyz")
        except PlaneFailed:
            return False

    eventually(f"{name} is back", answers, 60)


def _greeting(namespace: str, text: str, name: str = "greeting") -> str:
    metadata = {"name": name, "namespace": namespace}
    content = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    return yaml.safe_dump({**content, "data": {"text": text}})


def _flux_objects(namespace: str, url: str) -> str:
    metadata = {"name": "shard-00", "namespace": namespace}
    source = {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": metadata,
        "spec": {"url": url, "ref": {"branch": "flux/00"}, "interval": "10m"},
    }
    kustomization = {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": metadata,
        "spec": {
            "interval": "1h",
            "retryInterval": "5s",
            "prune": True,
            "wait": False,
            "deletionPolicy": "Orphan",
            "sourceRef": {"kind": "GitRepository", "name": "shard-00"},
        },
    }
    return yaml.safe_dump_all([source, kustomization])
