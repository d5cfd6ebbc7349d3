"""An installation on which nothing is found, as plain values; tests break one thing of it each."""

import copy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from api.domain.access_checks import NEEDED
from api.domain.flux_checks import CONTROLLERS, DEFINITIONS
from api.domain.flux_objects import NAMESPACE, ClusterOptions, render_cluster, shard_names
from api.domain.installation import (
    BranchRules,
    ClusterSeen,
    DatabaseSeen,
    ForgeSeen,
    Installation,
    Manifest,
    RepositorySeen,
    SettingsSeen,
    Trial,
    Unseen,
)
from api.domain.manifests import RenderSettings
from api.domain.repo_layout import PlatformFile, shard_branch
from api.init_repo import TEMPLATE, read_folder
from api.settings import Settings

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0kSbPzlUYVG8bTZ5dXbZk0y1cxP5vY2cQ2mJb8Jx1T"
IMAGE = "ghcr.io/me/fastapi-platform-runner:ts-1700000000-abcdef0"
PATH = "/hook/0123"
ROOT = Path(__file__).resolve().parents[2]
SECRETS = ("backend", "backend-files", "platform-tls")
FLUX_FLAGS = ["--no-cross-namespace-refs=true", "--no-remote-bases=true"]
TRAEFIK_FLAGS = [
    "--entryPoints.web.address=:8000",
    "--providers.kubernetescrd",
    "--providers.kubernetescrd.safeNaming=true",
    "--metrics.prometheus=true",
    *(
        f"--entryPoints.web.http.encodedCharacters.allowEncoded{name}=false"
        for name in (
            *("Slash", "BackSlash", "NullCharacter", "Semicolon"),
            *("Percent", "QuestionMark", "Hash"),
        )
    ),
]


def settings(**changed: Any) -> Settings:
    values: dict[str, Any] = {
        "mode": "cluster",
        "base_domain": "platform.example.org",
        "secret_key": "k" * 32,
        "mongo_uri": "mongodb://mongodb",
        "git_remote": "https://git.example.org/me/apps.git",
        "git_signing_key_file": Path("/keys/signing"),
        "flux_receiver_token_file": Path("/keys/receiver"),
        "trusted_proxies": "10.42.0.0/16",
        "blocked_cidrs": "",
        "runner_image": IMAGE,
    }
    return Settings(**values | changed)


def wanted() -> tuple[Manifest, ...]:
    """What `init-repo --cluster` would write."""
    files = {path: data.decode() for path, data in read_folder(TEMPLATE / "cluster").items()}
    options = ClusterOptions("one", "https://git.example.org/me/apps.git", "git", (KEY,), ())
    rendering = RenderSettings(IMAGE, apps_host="apps.example.org")
    rendered = render_cluster(files, PlatformFile(), rendering, options)
    return tuple(
        Manifest.of(document)
        for path, data in rendered.items()
        if path.endswith(".yaml")
        for document in yaml.load_all(data, Loader=yaml.CSafeLoader)
        if document
    )


_WANTED = wanted()


def workload(kind: str, namespace: str, name: str, image: str, flags: list[str]) -> Manifest:
    container = {"name": name, "image": image, "args": list(flags)}
    return Manifest.of(
        {
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace, "labels": {}},
            "spec": {
                "replicas": 1,
                "template": {
                    "metadata": {"labels": {"app.kubernetes.io/name": name}},
                    "spec": {"containers": [container]},
                },
            },
        }
    )


def namespace(name: str, **labels: str) -> Manifest:
    labels = {"pod-security.kubernetes.io/enforce": "restricted", **labels}
    return Manifest.of({"kind": "Namespace", "metadata": {"name": name, "labels": labels}})


def platform() -> dict[str, tuple[Manifest, ...] | Unseen]:
    """What deploy/ gives, as far as it is looked at, on a node with a private address."""
    files = ("backend", "frontend", "routes")
    there = [
        Manifest.of({**raw, "status": {"readyReplicas": 1}})
        for file in files
        for raw in yaml.safe_load_all((ROOT / f"deploy/base/{file}.yaml").read_text())
        if raw["kind"] in ("Deployment", "IngressRoute")
    ]
    secrets = [Manifest("Secret", "fastapi-platform", name, {}) for name in SECRETS]
    address = {"type": "InternalIP", "address": "10.0.0.4"}
    named = {"type": "Hostname", "address": "one"}
    node = {"metadata": {"name": "one"}, "status": {"addresses": [address, named]}}
    part = {"metadata": {"name": "kubernetes"}, "endpoints": [{"addresses": ["10.0.0.2"]}]}
    return {
        "Platform": tuple(there),
        "PlatformSecret": tuple(secrets),
        "Node": (Manifest.of(node, "Node"),),
        "EndpointSlice": (Manifest.of(part, "EndpointSlice"),),
    }


def cluster() -> ClusterSeen:
    objects: dict[str, tuple[Manifest, ...] | Unseen] = {}
    for manifest in _WANTED:
        raw = copy.deepcopy(dict(manifest.raw))
        if manifest.kind in ("GitRepository", "Kustomization", "Receiver"):
            ready = {"type": "Ready", "status": "True", "message": "stored"}
            raw["status"] = {"conditions": [ready], "webhookPath": PATH}
        there = objects.get(manifest.kind, ())
        assert isinstance(there, tuple)
        objects[manifest.kind] = (*there, Manifest.of(raw))
    access = yaml.safe_load_all((ROOT / "deploy/base/access.yaml").read_text())
    for document in access:
        manifest = Manifest.of(document)
        there = objects.get(manifest.kind, ())
        assert isinstance(there, tuple)
        objects[manifest.kind] = (*there, manifest)
    objects["Secret"] = (Manifest("Secret", NAMESPACE, "publish-keys", {"keys": [KEY]}),)
    objects["Namespace"] = (
        namespace("fastapi-platform"),
        namespace(NAMESPACE),
        namespace("user-u1", **{"fastapi-platform/user-id": "u1"}),
        Manifest.of({"kind": "Namespace", "metadata": {"name": "kube-system"}}),
    )
    objects["CustomResourceDefinition"] = tuple(
        Manifest.of(
            {
                "kind": "CustomResourceDefinition",
                "metadata": {"name": name},
                "spec": {"versions": [{"name": version, "served": True}]},
            }
        )
        for name, version in DEFINITIONS.items()
    )
    objects["Flux"] = tuple(
        workload("Deployment", "flux-system", name, f"fluxcd/{name}:v1", FLUX_FLAGS)
        for name in CONTROLLERS
    )
    traefik = workload("Deployment", "traefik", "traefik", "docker.io/traefik:v3.7", TRAEFIK_FLAGS)
    objects["Traefik"] = (traefik,)
    objects |= platform()
    return ClusterSeen("v1.34.1+k3s1", objects, _WANTED, settings(), PATH, KEY)


def repository() -> RepositorySeen:
    names = ["main", "flux/clusters", *map(shard_branch, shard_names(PlatformFile()))]
    return RepositorySeen(
        branches={name: f"{number:040x}" for number, name in enumerate(names, 1)},
        platform=PlatformFile(),
        platform_fault="",
        clusters=("one",),
        waiting=(),
        outdated=(),
        signature_faults={},
        push_refusal=None,
        trials=(
            Trial("platform", "main", "passes", "failed to update ref"),
            Trial("platform", "flux/00", "passes", "failed to update ref"),
            Trial("person", "flux/00", "refused", "protected branch hook declined"),
            Trial("platform", "flux/clusters", "refused", "protected branch hook declined"),
            Trial("person", "flux/clusters", "refused", "protected branch hook declined"),
        ),
        person=True,
    )


@cache
def installation() -> Installation:
    """Made once: whoever breaks something makes another."""
    main = BranchRules(protected=True, no_force=True)
    shards, clusters = (replace(main, pushers=(one,)) for one in ("platform", "team operators"))
    values = settings()
    given = frozenset(name.upper() for name in values.model_fields_set)
    return Installation(
        SettingsSeen(values, given),
        repository(),
        ForgeSeen("GitHub", "main", main, shards, clusters),
        cluster(),
        DatabaseSeen("MongoDB"),
    )


def with_settings(seen: Installation, **changed: Any) -> Installation:
    values = settings(**changed)
    return replace(seen, settings=replace(seen.settings, values=values))


def with_repository(seen: Installation, **changed: Any) -> Installation:
    assert isinstance(seen.repository, RepositorySeen)
    return replace(seen, repository=replace(seen.repository, **changed))


def with_objects(seen: Installation, kind: str, objects: tuple[Manifest, ...]) -> Installation:
    assert isinstance(seen.cluster, ClusterSeen)
    changed = {**seen.cluster.objects, kind: objects}
    return replace(seen, cluster=replace(seen.cluster, objects=changed))


def objects(seen: Installation, kind: str) -> tuple[Manifest, ...]:
    assert isinstance(seen.cluster, ClusterSeen)
    found = seen.cluster.objects[kind]
    assert isinstance(found, tuple)
    return found


def changed(seen: Installation, kind: str, name: str, *path: str, to: Any) -> Installation:
    """The installation with another value at a path of one object."""
    return with_objects(
        seen,
        kind,
        tuple(
            Manifest.of(_set(m.raw, path, to), kind) if m.name == name else m
            for m in objects(seen, kind)
        ),
    )


def without(seen: Installation, kind: str, name: str) -> Installation:
    """The installation without one object."""
    return with_objects(seen, kind, tuple(m for m in objects(seen, kind) if m.name != name))


def added(seen: Installation, raw: dict[str, Any]) -> Installation:
    """The installation with one object more."""
    manifest = Manifest.of(raw)
    return with_objects(seen, manifest.kind, (*objects(seen, manifest.kind), manifest))


def _set(raw: Any, path: tuple[str, ...], value: Any) -> Any:
    raw = copy.deepcopy(dict(raw))
    at = raw
    for key in path[:-1]:
        at = at[int(key)] if isinstance(at, list) else at.setdefault(key, {})
    if value is None:
        at.pop(path[-1], None)
    else:
        at[path[-1]] = value
    return raw


def backend_rules() -> set[tuple[str, str, str]]:
    """What deploy/ and the template give the backend: API group, resource, verb."""
    assert NEEDED
    return {
        (group, resource, verb)
        for kind in ("ClusterRole", "Role")
        for manifest in objects(installation(), kind)
        if manifest.name == "fastapi-platform-backend"
        for rule in manifest.at("rules")
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
