"""What can be broken of an installation that is up, one thing at a time, and mended again."""

import json
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from api.domain.flux_objects import NAMESPACE, RECEIVER
from tests.cluster.consulting import Told, consult
from tests.cluster.plane.cluster import Cluster
from tests.doctor import healthy
from tests.product import eventually
from tests.remote.git_server import GitServer

PLATFORM = "fastapi-platform"
SYSTEM = "flux-system"
_STATUS = ("resourceVersion", "uid", "creationTimestamp", "managedFields", "generation")
_READY_SECONDS = 90
#: Who may push where, as protection/README.md has it; without a name it is the pods' own server.
RULES = """\
#!/bin/sh
case "$1:$REMOTE_USER" in
  refs/heads/flux/clusters:platform | refs/heads/flux/*:person | refs/heads/main:person)
    echo "a rule keeps $REMOTE_USER from $1" >&2
    exit 1 ;;
esac
"""


@dataclass(frozen=True)
class Installation:
    """A whole installation, and what an operator gives doctor to look at it."""

    cluster: Cluster
    git: GitServer  # of the same repository as the cluster's, which asks who somebody is
    repository: Path
    settings: Mapping[str, str]

    def doctor(self, **changed: str | None) -> Told:
        """With other settings, or without those that are None."""
        settings = {**self.settings, **changed}
        kept = {name: value for name, value in settings.items() if value is not None}
        return consult(kept, "--kubeconfig", str(self.cluster.kubeconfig))

    def get(self, *what: str) -> Any:
        return json.loads(self.cluster.kubectl("get", *what, "-o", "json"))

    def run_git(self, *arguments: str) -> str:
        done = subprocess.run(
            ("git", "-C", self.repository, *arguments), check=True, capture_output=True, text=True
        )
        return done.stdout.strip()


def protect(repository: Path) -> None:
    """Set the host's rules of branches."""
    hook = repository / "hooks/update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(RULES)
    hook.chmod(0o755)


@contextmanager
def operated(
    cluster: Cluster, git: GitServer, keys: Path, overlay: Path, mongo_uri: str
) -> Iterator[Installation]:
    """What an operator gives doctor, with a way to the repository on which tokens may travel."""
    person = keys / "person-token"
    person.write_text(secrets.token_hex(20))
    known = {(keys / "git-token").read_text(): "platform", person.read_text(): "person"}
    [image] = re.findall(
        r"^ *value: (\S+)", (overlay / "runner-image.yaml").read_text(), re.MULTILINE
    )
    with GitServer(git.root, known=known).running() as asking:
        settings = {
            **_settings(overlay / "hosts.env"),
            **_settings(overlay / "settings.env"),
            **_settings(keys / "backend.env"),
            "MODE": "cluster",
            "MONGO_URI": mongo_uri,
            "RUNNER_IMAGE": str(image),
            "GIT_REMOTE": asking.url("apps.git"),
            "GIT_TOKEN_FILE": str(keys / "git-token"),
            "GIT_SIGNING_KEY_FILE": str(keys / "git-signing-key"),
            "FLUX_RECEIVER_TOKEN_FILE": str(keys / "flux-receiver-token"),
            "DOCTOR_PERSON_TOKEN_FILE": str(person),
        }
        yield Installation(cluster, asking, git.root / "apps.git", settings)


def _settings(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def workloads() -> list[dict[str, Any]]:
    """Flux and Traefik as Deployments that carry the flags only: here they are processes."""
    flux = [("flux-system", m.name, healthy.FLUX_FLAGS, "flux") for m in _flux()]
    web = [flag for flag in healthy.TRAEFIK_FLAGS if flag.startswith("--entryPoints.web.")]
    secure = [flag.replace(".web.", ".websecure.") for flag in web]
    router = ("traefik", "traefik", [*healthy.TRAEFIK_FLAGS, *secure], "router")
    return [_workload(*told) for told in [*flux, router]]


def _flux() -> Sequence[Any]:
    return healthy.objects(healthy.installation(), "Flux")


def _workload(namespace: str, name: str, flags: list[str], part: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/part-of": part}
    pod = {"app.kubernetes.io/name": name}
    container = {"name": name, "image": f"{name}:v0", "args": flags}
    nowhere = {"fastapi-platform.test/node": "none"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": pod},
            "template": {
                "metadata": {"labels": pod},
                "spec": {"nodeSelector": nowhere, "containers": [container]},
            },
        },
    }


Break = Callable[[Installation], AbstractContextManager[Mapping[str, str | None] | None]]


def with_settings(**changed: str | None) -> Break:
    """Doctor is run with other settings."""

    @contextmanager
    def broken(_: Installation) -> Iterator[Mapping[str, str | None]]:
        yield changed

    return broken


def patched(kind: str, name: str, values: Any, namespace: str = "") -> Break:
    """An object says something else for a while."""

    @contextmanager
    def broken(there: Installation) -> Iterator[None]:
        with kept(there, kind, name, namespace) as where:
            text = json.dumps(values)
            form = "--type=json" if isinstance(values, list) else "--type=merge"
            there.cluster.kubectl("patch", kind, name, *where, form, "-p", text)
            yield

    return broken


def deleted(kind: str, name: str, namespace: str = "") -> Break:
    """An object is not there for a while."""

    @contextmanager
    def broken(there: Installation) -> Iterator[None]:
        with kept(there, kind, name, namespace) as where:
            there.cluster.kubectl("delete", kind, name, *where, "--timeout=60s")
            yield

    return broken


@contextmanager
def kept(there: Installation, kind: str, name: str, namespace: str) -> Iterator[tuple[str, ...]]:
    """Whatever becomes of an object, in the end it is as it was."""
    where = ("-n", namespace) if namespace else ()
    raw = there.get(kind, name, *where)
    raw.pop("status", None)
    raw["metadata"] = {k: v for k, v in raw["metadata"].items() if k not in _STATUS}
    try:
        yield where
    finally:
        found = there.cluster.kubectl("get", kind, name, *where, "--ignore-not-found", "-o=name")
        verb = "replace" if found.strip() else "create"
        there.cluster.kubectl(verb, "-f", "-", given=json.dumps(raw))


def bound(role: str, *subject: str) -> Break:
    """Somebody has a role more."""

    @contextmanager
    def broken(there: Installation) -> Iterator[None]:
        words = ("clusterrolebinding", "too-much")
        there.cluster.kubectl("create", *words, f"--clusterrole={role}", *subject)
        try:
            yield
        finally:
            there.cluster.kubectl("delete", *words)

    return broken


def without_flag(name: str, flag: str, namespace: str = SYSTEM) -> Break:
    """A controller runs without a flag."""
    [raw] = [raw for raw in workloads() if raw["metadata"]["name"] == name]
    flags = raw["spec"]["template"]["spec"]["containers"][0]["args"]
    left = [given for given in flags if flag not in given]
    assert left != flags
    path = "/spec/template/spec/containers/0/args"
    return patched("deployment", name, [{"op": "replace", "path": path, "value": left}], namespace)


def with_rules(hook: str) -> Break:
    """The host has other rules."""

    @contextmanager
    def broken(there: Installation) -> Iterator[None]:
        path = there.repository / "hooks/update"
        text = path.read_text()
        path.write_text(hook)
        try:
            yield
        finally:
            path.write_text(text)

    return broken


@contextmanager
def without_a_shards_branch(there: Installation) -> Iterator[None]:
    """A branch is gone from the repository."""
    name = "refs/heads/flux/3f"
    tip = there.run_git("rev-parse", name)
    there.run_git("update-ref", "-d", name)
    try:
        yield
    finally:
        there.run_git("update-ref", name, tip)


@contextmanager
def with_a_branch_flux_beside(there: Installation) -> Iterator[None]:
    """A branch in the place of a shard's that is none."""
    there.run_git("update-ref", "refs/heads/flux/zz", "refs/heads/main")
    try:
        yield
    finally:
        there.run_git("update-ref", "-d", "refs/heads/flux/zz")


@contextmanager
def without_a_unique_index(there: Installation) -> Iterator[None]:
    """Two people could take one name."""
    with MongoClient[dict[str, Any]](there.settings["MONGO_URI"], timeoutMS=10_000) as client:
        accounts = client.get_default_database()["accounts"]
        [(name, told)] = [
            (name, told)
            for name, told in accounts.index_information().items()
            if told["key"] == [("username_key", 1)]
        ]
        accounts.drop_index(name)
        try:
            yield
        finally:
            options = {key: value for key, value in told.items() if key in ("unique", "sparse")}
            accounts.create_index(told["key"], name=name, **options)


@contextmanager
def without_receivers_definition(there: Installation) -> Iterator[None]:
    """A kind of Flux' is not defined any more; with it went its objects."""
    name = "receivers.notification.toolkit.fluxcd.io"
    with ExitStack() as stack:
        stack.enter_context(kept(there, "receivers", RECEIVER, NAMESPACE))
        stack.enter_context(kept(there, "crd", name, ""))
        there.cluster.kubectl("delete", "crd", name, "--timeout=60s")
        yield
        # Leaving the stack, the definition is there before the object.
    eventually("the Receiver is ready", lambda: _ready(there), _READY_SECONDS)


def _ready(there: Installation) -> bool:
    status = there.get("receivers", "-n", NAMESPACE)["items"][0].get("status") or {}
    ready = [c for c in status.get("conditions") or () if c["type"] == "Ready"]
    return bool(ready) and ready[0]["status"] == "True" and bool(status.get("webhookPath"))
