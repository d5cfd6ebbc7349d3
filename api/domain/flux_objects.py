"""A cluster's folder on `main`, `clusters/<name>/`: how Flux gets at the shards, and its rights.

Most files are the template's, byte for byte; those in `_RENDERED` are made from what an operator
decided. There is one file per kind and not one per shard: an upgrade changes a few files instead
of thousands, Flux pays by the file, and forges slow down at 3,000 entries in one folder.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from api.domain.manifests import Identity, RenderError, RenderSettings, Templates
from api.domain.networks import blocked_ranges
from api.domain.overlay_effect import RESERVED_ANNOTATIONS
from api.domain.repo_layout import CLUSTERS_BRANCH, InvalidFile, PlatformFile, shard_branch

#: Where all objects of Flux live: Flux itself may stand anywhere.
NAMESPACE: Final = "fastapi-platform-flux"
RECEIVER: Final = "shards"
#: Resources of other controllers that stand in every namespace, as `group/resource`.
_OTHER_KINDS: Final = (
    "cilium.io/ciliumendpoints",
    "crd.projectcalico.org/networkpolicies",
    "wgpolicyk8s.io/policyreports",
)
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
#: A password in it would be committed: Flux has its credential from a Secret.
_URL: Final = re.compile(r"https?://[^\s@]+|ssh://(?:[^\s@:/]+@)?[^\s@]+")
_KEY: Final = re.compile(r"ssh-ed25519 [A-Za-z0-9+/]+=*")
_SETTINGS: Final = "admission/settings.yaml"
_PUBLISH_KEYS: Final = "publish-keys.yaml"
#: The files in which an operator's decisions stand.
STANDING_IN: Final = ("git-repositories.yaml", _SETTINGS, _PUBLISH_KEYS)
#: All keys under one name, as Flux reads them line by line: one that was taken out is gone.
_KEYS_IN: Final = "platform.sshpub"
_RENDERED: Final = (
    "git-repositories.yaml",
    "kustomizations.yaml",
    "service-accounts.yaml",
    _PUBLISH_KEYS,
    _SETTINGS,
)
#: Many objects take their time: 256 shards need seconds, 4,096 some minutes.
_MANY_SHARDS: Final = 256


@dataclass(frozen=True)
class ClusterOptions:
    """What an operator decides about one cluster, beside what is rendered for every app."""

    name: str
    url: str  # where Flux fetches the branches flux/* from
    git_secret: str | None  # its credential, in NAMESPACE
    publish_keys: tuple[str, ...]  # public keys of the platform, in OpenSSH's form
    images: tuple[str, ...]  # that may run beside the runner's


@dataclass(frozen=True)
class Standing:
    """What an operator decided about a cluster before, as its objects say."""

    url: str | None = None
    git_secret: str | None = None
    images: tuple[str, ...] = ()
    publish_keys: tuple[str, ...] = ()

    def with_keys(self, own: str | None, others: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """The keys that may sign: our own, and the others, else those that may already."""
        beside = self.publish_keys if others is None else others
        return tuple(dict.fromkeys([own, *beside] if own else beside))


@dataclass(frozen=True)
class _Source:
    """One branch, and what applies it."""

    name: str
    branch: str
    path: str
    timeout: str
    shard: str | None


def shard_names(platform: PlatformFile) -> list[str]:
    """Every shard of the installation, in order."""
    return [f"{number:0{platform.shard_digits}x}" for number in range(platform.shards)]


def render_cluster(
    files: Mapping[str, str],
    platform: PlatformFile,
    settings: RenderSettings,
    options: ClusterOptions,
) -> dict[str, bytes]:
    """The files of `clusters/<name>/` by path below it, from the template's; raise RenderError."""
    _check(options)
    v4, v6 = blocked_ranges(settings.blocked_cidrs)
    sources = [_clusters(options, platform), *map(_shard, shard_names(platform))]
    host = settings.apps_host
    values: dict[str, Any] = {
        "blocked": _lines([*v4, *v6]),
        "ceilings": platform.ceilings,
        "entry_points": _lines(settings.entry_points),
        "host_rule": f"Host(`{host}`) && " if host else "",
        "keys": {_KEYS_IN: _lines(options.publish_keys)},
        "images": _lines(dict.fromkeys([settings.runner_image, *options.images])),
        "namespace": NAMESPACE,
        "options": options,
        "other_kinds": _lines(_OTHER_KINDS),
        "reserved_annotations": _lines(RESERVED_ANNOTATIONS),
        "pull_secret": settings.image_pull_secret or "",
        "settings": settings,
        "sources": sources,
    }
    expected: dict[str, Sequence[Identity]] = {
        "git-repositories.yaml": [Identity("GitRepository", s.name, NAMESPACE) for s in sources],
        "kustomizations.yaml": [Identity("Kustomization", s.name, NAMESPACE) for s in sources],
        "service-accounts.yaml": [
            Identity("ServiceAccount", s.name, NAMESPACE) for s in sources if s.shard
        ],
        _SETTINGS: [Identity("ConfigMap", "admission", NAMESPACE)],
        _PUBLISH_KEYS: [Identity("Secret", "publish-keys", NAMESPACE)],
    }
    templates = Templates({path: files[path] for path in _RENDERED})
    rendered = {
        path: templates.render(path, values, expected[path])
        for path in _RENDERED
        if path != _PUBLISH_KEYS or options.publish_keys
    }
    copied = {path: text.encode() for path, text in files.items() if path not in _RENDERED}
    return dict(sorted((copied | rendered).items()))


def standing(folder: Mapping[str, bytes | None]) -> Standing:
    """Read back what was rendered, from the files of STANDING_IN; raise InvalidFile."""
    spec = _part(folder, STANDING_IN[0], "spec")
    secret = spec.get("secretRef") or {}
    images = _part(folder, STANDING_IN[1], "data").get("images") or ""
    keys = _part(folder, _PUBLISH_KEYS, "stringData").get(_KEYS_IN) or ""
    return Standing(
        spec.get("url"),
        secret.get("name"),
        tuple(str(images).split()),
        tuple(str(keys).splitlines()),
    )


def _part(folder: Mapping[str, bytes | None], path: str, name: str) -> Mapping[str, Any]:
    """A part of the first object in a file; empty where there is no file."""
    data = folder.get(path)
    if data is None:
        return {}
    try:
        part = next(iter(yaml.safe_load_all(data)))[name]
    except (yaml.YAMLError, StopIteration, LookupError, TypeError):
        part = None
    if not isinstance(part, dict):
        raise InvalidFile(path, f"it does not begin with an object that has {name}")
    return part


def _check(options: ClusterOptions) -> None:
    for what, value, shape in (
        ("cluster name", options.name, _NAME),
        ("address for Flux", options.url, _URL),
        ("name of the git credential", options.git_secret, _NAME),
        *(("public key", key, _KEY) for key in options.publish_keys),
    ):
        if value is not None and not shape.fullmatch(value):
            raise RenderError(f"the {what} {value!r} cannot stand in a manifest")


def _clusters(options: ClusterOptions, platform: PlatformFile) -> _Source:
    timeout = "2m" if platform.shards <= _MANY_SHARDS else "15m"
    return _Source("clusters", CLUSTERS_BRANCH, f"./{options.name}", timeout, None)


def _shard(shard: str) -> _Source:
    return _Source(f"shard-{shard}", shard_branch(shard), "./", "2m", shard)


def _lines(values: Sequence[str] | Mapping[str, None]) -> str:
    return "\n".join(values)
