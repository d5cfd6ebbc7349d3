"""Manifests from templates: same input, same bytes, and no value can step out of its place.

`templates/` mirrors the folder it renders, file by file. Every `{{ }}` is written as a quoted
scalar in ASCII by the environment itself, so a template cannot forget it. What stands around the
values is parsed once, with a known text in the place of each: it must read back exactly these, in
order, in exactly the expected objects. One quoted scalar is as good as another there.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml
from jinja2 import DictLoader, Environment, StrictUndefined, TemplateError, pass_context
from jinja2.runtime import Context

from api.domain import names
from api.domain.names import AppRef
from api.domain.networks import blocked_ranges
from api.domain.repo_layout import AppFile, Ceilings, TenantFile, is_plain_path
from api.domain.yaml_text import UnsafeText, compose_all, quote, quoted_scalars, text_at

#: Grows with every change of what is rendered; a publish is never made by an older renderer.
RENDERER_VERSION: Final = 4

#: The templates of this source tree.
TEMPLATES: Final = Path(__file__).parents[2] / "templates"
_IMAGE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}")
_HOST: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_CONFIG_MAP: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_APP_FILES: Final = (
    "kustomization.yaml",
    "generated/deployment.yaml",
    "generated/service.yaml",
    "generated/middleware.yaml",
)
_ROUTE_FILE: Final = "generated/ingressroute.yaml"
_TENANT_FILES: Final = (
    "namespace.yaml",
    "quota.yaml",
    "limit-range.yaml",
    "network.yaml",
    "service-account.yaml",
)
_DIGITS: Final = 16  # tell settings apart, and protect nothing
#: Stands for a value until what is around it was parsed; no template and no value holds it.
_HOLE: Final = "\0"
_SHAPES: Final = 2000  # distinct texts around values that are kept, some 3 kB each
_KEPT_OUT_OF_INTENT: Final = {"name", "pinned", "review"}


class RenderError(ValueError):
    """A value that cannot be rendered, or a template that does not give what it should."""


@dataclass(frozen=True)
class Identity:
    """What a rendered object is; `namespace` is None where kustomize sets it, or has none."""

    kind: str
    name: str | None
    namespace: str | None = None


@dataclass(frozen=True)
class Serving:
    """The version last seen live, while the new one is not: `files` stand under `serving/`."""

    intent: str
    config_map: str  # full name with its hash, as its pods mount it
    files: tuple[str, ...]


@dataclass(frozen=True)
class AppSource:
    """An accepted intent: settings, the paths under `code/`, names of secrets, and its digest."""

    app: AppFile
    files: tuple[str, ...]
    secret_names: tuple[str, ...]
    intent: str


@dataclass(frozen=True)
class RenderSettings:
    """What the operator decides about every manifest."""

    runner_image: str
    apps_host: str | None = None  # None: routes answer on every host
    entry_points: tuple[str, ...] = ("web",)  # Traefik's, on which the apps answer
    max_apps: int = 20  # sizes a tenant's compute quota
    ceilings: Ceilings = field(default_factory=Ceilings)
    #: Whose forwarded scheme and host an app believes: in a cluster nobody but the router gets
    #: through to it, at an address that changes.
    trusted_proxies: str = "*"
    traefik_namespace: str = "traefik"
    platform_namespace: str = "fastapi-platform"
    blocked_cidrs: tuple[str, ...] = ()  # cluster ranges outside the private ones
    image_pull_secret: str | None = None  # its name in every tenant's namespace

    @property
    def digest(self) -> str:
        """The same for the same settings; the image, which has a name, is left out."""
        others = asdict(self) | {"runner_image": None, "ceilings": self.ceilings.model_dump()}
        text = json.dumps(others, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


class Templates:
    """The text of `templates/`, by path below it; read once, then pure."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._environment = Environment(  # noqa: S701  (HTML escaping; here `finalize` quotes)
            loader=DictLoader(texts),
            undefined=StrictUndefined,
            finalize=_write,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._environment.filters["config_key"] = names.config_key
        self._environment.filters["env_value"] = env_value

    @classmethod
    def load(cls, folder: Path = TEMPLATES) -> "Templates":
        """Read every `.yaml` file below `folder`, at the start of a process."""
        return cls(
            {
                path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
                for path in sorted(folder.rglob("*.yaml"))
            }
        )

    def render(
        self, template: str, values: Mapping[str, Any], expected: Sequence[Identity]
    ) -> bytes:
        """One file with exactly the objects `expected`, and every value as it was put in.

        Raises RenderError.
        """
        written: list[str] = []
        try:
            shape = self._environment.get_template(template).render(values, written=written)
            objects = _objects(shape)
            text = _filled(shape, written)
        except (
            TemplateError,
            UnsafeText,
            TypeError,
            LookupError,
            ValueError,
            yaml.YAMLError,
        ) as error:
            raise RenderError(f"{template}: {error}") from error
        told: dict[str | None, str] = dict(zip(_probes(len(written)), written, strict=True))
        found = [
            Identity(o.kind, told.get(o.name) or o.name, told.get(o.namespace) or o.namespace)
            for o in objects
        ]
        if found != list(expected):
            raise RenderError(f"{template} gives {found}, not {expected}")
        return text.encode("ascii")


def intent_digest(app: AppFile, code: str | None, overlay: str | None, secrets: str | None) -> str:
    """SHA-256 (hex) of what a pod runs: object ids (hex) of the entries, and the settings.

    `name`, `pinned` and `review` are left out: changing them restarts nothing. Settings count as
    values, so that key order, comments and spelled-out defaults change nothing either.
    """
    settings = app.model_dump(mode="json", exclude=_KEPT_OUT_OF_INTENT)
    if app.restarted_at:
        settings["restartedAt"] = _utc(app)
    content = {"app": settings, "code": code, "overlay": overlay, "secrets": secrets}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def env_value(text: str) -> str:
    """A variable's value for a manifest: the kubelet expands `$(NAME)` and reads `$$` as `$`."""
    return text.replace("$", "$$")


def render_app(
    templates: Templates,
    source: AppSource,
    settings: RenderSettings,
    *,
    running: bool,
    serving: Serving | None,
) -> dict[str, bytes]:
    """The app's rendered files, by path in its folder; raise RenderError.

    Not running means no pods and no route, so its address falls to the platform's waker.
    `serving` must hold other code than `source`, or both ConfigMaps get the same name.
    """
    app = source.app
    ref = AppRef(app.user, app.id)
    code_map = f"{app.id}-code"
    _require(_DIGEST.fullmatch(source.intent), "intent", source.intent)
    _require(_IMAGE.fullmatch(settings.runner_image), "runner image", settings.runner_image)
    host = settings.apps_host
    _require(host is None or _HOST.fullmatch(host), "apps host", host)
    _require_paths(source.files, app.entrypoint)
    if serving:
        _require(_DIGEST.fullmatch(serving.intent), "intent", serving.intent)
        _require_paths(serving.files, None)
        _require(_CONFIG_MAP.fullmatch(serving.config_map), "ConfigMap", serving.config_map)
        _require(serving.config_map.startswith(f"{code_map}-"), "ConfigMap", serving.config_map)
    paths = (*_APP_FILES, _ROUTE_FILE) if running else _APP_FILES
    values = {
        "app": app,
        "app_path": names.app_path(ref),
        "code_map": code_map,
        "files": sorted(source.files),
        "host_rule": f"Host(`{host}`) && " if host else "",
        "intent": source.intent,
        "namespace": names.namespace_of(app.user),
        "renderer_version": str(RENDERER_VERSION),
        "replicas": 1 if running else 0,
        "resources": [
            *(path for path in paths if path.startswith("generated/")),
            *(f"secrets/{name}.sops.yaml" for name in sorted(source.secret_names)),
        ],
        "restarted_at": _utc(app),
        "serving": serving,
        "settings": settings,
    }
    expected = {
        "kustomization.yaml": [Identity("Kustomization", None)],
        "generated/deployment.yaml": [Identity("Deployment", app.id)],
        "generated/service.yaml": [Identity("Service", app.id)],
        "generated/middleware.yaml": [
            Identity("Middleware", f"{app.id}-strip"),
            Identity("Middleware", f"{app.id}-slash"),
        ],
        _ROUTE_FILE: [Identity("IngressRoute", app.id)],
    }
    return {path: templates.render(f"app/{path}", values, expected[path]) for path in paths}


def render_tenant(
    templates: Templates, tenant: TenantFile, settings: RenderSettings, shard: str
) -> dict[str, bytes]:
    """The tenant's own objects, by path in their folder; raise RenderError."""
    namespace = names.namespace_of(tenant.user)
    secret = settings.image_pull_secret
    _require(secret is None or _HOST.fullmatch(secret), "image pull secret", secret)
    try:
        blocked_v4, blocked_v6 = blocked_ranges(settings.blocked_cidrs)
    except ValueError as error:
        raise RenderError(f"blocked ranges: {error}") from error
    values = {
        "blocked_v4": blocked_v4,
        "blocked_v6": blocked_v6,
        "namespace": namespace,
        "settings": settings,
        "shard": shard,
        "tenant": tenant,
        # Twice the default limits of every app: a rollout runs the new version beside the old.
        "quota": {
            "requests_cpu": f"{settings.max_apps * 100}m",
            "requests_memory": f"{settings.max_apps * 128}Mi",
            "limits_cpu": f"{settings.max_apps * 500}m",
            "limits_memory": f"{settings.max_apps * 256}Mi",
            "ephemeral_storage": f"{settings.max_apps * 256}Mi",
        },
    }
    expected = {
        "namespace.yaml": [Identity("Namespace", namespace)],
        "quota.yaml": [Identity("ResourceQuota", "compute", namespace)],
        "limit-range.yaml": [Identity("LimitRange", "containers", namespace)],
        "network.yaml": [
            Identity("NetworkPolicy", "default-deny", namespace),
            Identity("NetworkPolicy", "apps", namespace),
        ],
        "service-account.yaml": [Identity("ServiceAccount", "apps", namespace)],
    }
    return {
        path: templates.render(f"tenant/{path}", values, expected[path]) for path in _TENANT_FILES
    }


def _utc(app: AppFile) -> str | None:
    return app.restarted_at.astimezone(UTC).isoformat() if app.restarted_at else None


def _require(holds: object, what: str, value: object) -> None:
    if not holds:
        raise RenderError(f"{what} {value!r} cannot stand in a manifest")


def _require_paths(files: Iterable[str], entrypoint: str | None) -> None:
    paths = set(files)
    for path in paths:
        _require(is_plain_path(path), "path", path)
    _require(paths if entrypoint is None else entrypoint in paths, "entrypoint", entrypoint)


@pass_context
def _write(context: Context, value: object) -> str:
    """What every `{{ }}` becomes; strings are noted for the check that follows."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, StrictUndefined):
        return str(value)  # raises, and names what is missing
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} is not written into a manifest")
    context["written"].append(value)
    return _HOLE


def _filled(shape: str, values: Iterable[str]) -> str:
    pairs = itertools.zip_longest(shape.split(_HOLE), map(quote, values), fillvalue="")
    return "".join(itertools.chain.from_iterable(pairs))


def _probes(count: int) -> list[str]:
    return [f"value {number}" for number in range(count)]


@lru_cache(_SHAPES)
def _objects(shape: str) -> tuple[Identity, ...]:
    """The objects of a rendered text whose values are holes, named by the probes in these.

    Raises ValueError when a hole is no value of its own, or yaml.YAMLError.
    """
    probes = _probes(shape.count(_HOLE))
    documents = compose_all(_filled(shape, probes))
    if probes != [text for node in documents for text in quoted_scalars(node)]:
        raise ValueError("a value is not what was put in")
    return tuple(_identity(document) for document in documents)


def _identity(document: yaml.Node) -> Identity:
    return Identity(
        text_at(document, "kind") or "",
        text_at(document, "metadata", "name"),
        text_at(document, "metadata", "namespace"),
    )
