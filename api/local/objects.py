"""What the built objects of an app's folder ask for, read as the kubelet and Traefik would.

Only what this stand-in honours is accepted where ignoring it would change what runs: a variable
from a Secret, a second container or an unknown Middleware is refused with its name.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

INTENT: Final = "fastapi-platform/intent"
_SOURCE: Final = "/app"  # where the template mounts the code
_REFERENCE: Final = re.compile(r"\$(?:\$|\(([^)]*)\))")
#: Kinds that need no action here: traffic goes straight to the process's port.
_WITHOUT_EFFECT: Final = {"Service"}
#: Middlewares whose options are spelled the same in a CRD and in a configuration file.
_MIDDLEWARES: Final = {
    *("addPrefix", "buffering", "compress", "contentType", "encodedCharacters", "headers"),
    *("inFlightReq", "rateLimit", "redirectRegex", "redirectScheme", "replacePath"),
    *("replacePathRegex", "stripPrefix", "stripPrefixRegex"),
}


class NotUnderstood(ValueError):
    """The objects ask for something that the embedded cluster does not do."""


@dataclass(frozen=True)
class PodTemplate:
    """One version of an app, ready to be run as a process."""

    intent: str
    config_map: str  # full name, with the content's hash
    env: Mapping[str, str]  # expanded, as the process sees it
    files: Mapping[str, bytes]  # by path below the mount
    start_seconds: float  # a process not ready by then is ended, as by the startup probe
    grace_seconds: float  # between the request to stop and the end by force
    digest: str  # of the whole template: another digest means another pod


@dataclass(frozen=True)
class Route:
    """One rule of an IngressRoute."""

    match: str
    priority: int | None
    middlewares: tuple[str, ...]
    service: Mapping[str, Any]  # load balancer options besides its servers


@dataclass(frozen=True)
class AppObjects:
    """What should run of an app, and where it answers; no routes: it should not answer."""

    replicas: int
    template: PodTemplate
    routes: tuple[Route, ...]
    middlewares: Mapping[str, Mapping[str, Any]]  # options by kind, by name

    @property
    def runs(self) -> bool:
        """Whether a process should serve this app."""
        return self.replicas > 0 and bool(self.routes)


class _Lenient(BaseModel):
    model_config = ConfigDict(frozen=True)  # fields that change nothing here are passed over


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Metadata(_Lenient):
    name: str
    annotations: dict[str, str] = {}


class _Variable(_Strict):
    name: str
    value: str = ""


class _Mount(_Lenient):
    name: str
    mount_path: str = Field(alias="mountPath")


class _Probe(_Lenient):
    period: float = Field(10, alias="periodSeconds")
    failures: int = Field(3, alias="failureThreshold")


class _Container(_Lenient):
    env: tuple[_Variable, ...] = ()
    env_from: Annotated[tuple[Any, ...], Field(alias="envFrom", max_length=0)] = ()
    mounts: tuple[_Mount, ...] = Field((), alias="volumeMounts")
    startup: _Probe = Field(_Probe(failureThreshold=60, periodSeconds=1), alias="startupProbe")


class _Item(_Lenient):
    key: str
    path: str


class _ConfigMapVolume(_Lenient):
    name: str
    items: tuple[_Item, ...] | None = None


class _Volume(_Lenient):
    name: str
    config_map: _ConfigMapVolume | None = Field(None, alias="configMap")


class _PodSpec(_Lenient):
    containers: Annotated[tuple[_Container, ...], Field(min_length=1, max_length=1)]
    volumes: tuple[_Volume, ...] = ()
    grace: float = Field(30, alias="terminationGracePeriodSeconds")


class _TemplateMetadata(_Lenient):
    annotations: dict[str, str]


class _Template(_Lenient):
    metadata: _TemplateMetadata
    spec: _PodSpec


class _DeploymentSpec(_Lenient):
    replicas: int = 1
    template: _Template


class _Deployment(_Lenient):
    spec: _DeploymentSpec


class _ConfigMap(_Lenient):
    metadata: _Metadata
    data: dict[str, str] = {}
    binary: dict[str, str] = Field({}, alias="binaryData")


class _Reference(_Strict):
    name: str


class _RuleService(_Strict):
    name: str
    kind: Literal["Service"] = "Service"
    namespace: str | None = None
    port: int | str
    pass_host_header: bool | None = Field(None, alias="passHostHeader")
    response_forwarding: dict[str, Any] | None = Field(None, alias="responseForwarding")


class _Rule(_Strict):
    kind: Literal["Rule"] = "Rule"
    match: str
    priority: int | None = None
    middlewares: tuple[_Reference, ...] = ()
    services: Annotated[tuple[_RuleService, ...], Field(min_length=1, max_length=1)]


class _IngressSpec(_Strict):
    # Named for the cluster's router; here there is one entry point for apps.
    entry_points: tuple[str, ...] = Field((), alias="entryPoints")
    routes: tuple[_Rule, ...]


class _IngressRoute(_Lenient):
    spec: _IngressSpec


class _Middleware(_Lenient):
    metadata: _Metadata
    spec: dict[str, dict[str, Any]]


_Model = TypeVar("_Model", bound=BaseModel)


def read_objects(objects: Sequence[Mapping[str, Any]]) -> AppObjects:
    """The app that a kustomize build describes; raise NotUnderstood with the object's name."""
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for item in objects:
        by_kind.setdefault(str(item.get("kind")), []).append(item)
    known = {"Deployment", "ConfigMap", "IngressRoute", "Middleware"} | _WITHOUT_EFFECT
    if unknown := sorted(by_kind.keys() - known):
        raise NotUnderstood(f"the embedded cluster does not run objects of kind {unknown[0]}")
    deployments = by_kind.get("Deployment", [])
    if len(deployments) != 1:
        raise NotUnderstood(f"expected one Deployment, found {len(deployments)}")
    deployment = _parse(_Deployment, deployments[0])
    maps = {m.metadata.name: m for m in _each(_ConfigMap, by_kind.get("ConfigMap", []))}
    middlewares = _each(_Middleware, by_kind.get("Middleware", []))
    return AppObjects(
        replicas=deployment.spec.replicas,
        template=_template(deployment.spec.template, deployments[0], maps),
        routes=tuple(
            _route(rule)
            for ingress in _each(_IngressRoute, by_kind.get("IngressRoute", []))
            for rule in ingress.spec.routes
        ),
        middlewares={item.metadata.name: _options(item) for item in middlewares},
    )


def expand(value: str, known: Mapping[str, str]) -> str:
    """`$(NAME)` in a variable, as the kubelet expands it: `$$` is `$`, unknown names stay."""

    def replace(match: re.Match[str]) -> str:
        return "$" if match[1] is None else known.get(match[1], match[0])

    return _REFERENCE.sub(replace, value)


def _template(
    template: _Template, deployment: Mapping[str, Any], maps: Mapping[str, _ConfigMap]
) -> PodTemplate:
    container = template.spec.containers[0]
    env: dict[str, str] = {}
    for variable in container.env:
        env[variable.name] = expand(variable.value, env)
    volume = _code_volume(template.spec, container)
    if volume.name not in maps:
        raise NotUnderstood(f"ConfigMap {volume.name} is not among the built objects")
    if INTENT not in template.metadata.annotations:
        raise NotUnderstood(f"Deployment: its pod template has no annotation {INTENT}")
    text = json.dumps(deployment["spec"]["template"], sort_keys=True)
    return PodTemplate(
        intent=template.metadata.annotations[INTENT],
        config_map=volume.name,
        env=env,
        files=_files(maps[volume.name], volume),
        start_seconds=container.startup.period * container.startup.failures,
        grace_seconds=template.spec.grace,
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def _code_volume(spec: _PodSpec, container: _Container) -> _ConfigMapVolume:
    mounted = {mount.name for mount in container.mounts if mount.mount_path == _SOURCE}
    for volume in spec.volumes:
        if volume.name in mounted and volume.config_map:
            return volume.config_map
    raise NotUnderstood(f"Deployment: no ConfigMap is mounted at {_SOURCE}")


def _files(source: _ConfigMap, volume: _ConfigMapVolume) -> dict[str, bytes]:
    name = source.metadata.name
    try:
        content = {key: text.encode() for key, text in source.data.items()}
        content |= {k: base64.b64decode(text, validate=True) for k, text in source.binary.items()}
    except (UnicodeEncodeError, binascii.Error) as error:
        raise NotUnderstood(f"ConfigMap {name}: {error}") from error
    if volume.items is None:
        return content
    files: dict[str, bytes] = {}
    for item in volume.items:
        path = PurePosixPath(item.path)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise NotUnderstood(f"Deployment: {item.path!r} leads out of the volume")
        if item.key not in content:
            raise NotUnderstood(f"ConfigMap {name} has no key {item.key}")
        files[str(path)] = content[item.key]
    return files


def _route(rule: _Rule) -> Route:
    service = rule.services[0].model_dump(
        by_alias=True, exclude_none=True, include={"pass_host_header", "response_forwarding"}
    )
    return Route(
        match=rule.match,
        priority=rule.priority,
        middlewares=tuple(reference.name for reference in rule.middlewares),
        service=service,
    )


def _options(middleware: _Middleware) -> Mapping[str, Any]:
    unknown = sorted(middleware.spec.keys() - _MIDDLEWARES)
    if unknown:
        name = middleware.metadata.name
        raise NotUnderstood(f"Middleware {name}: {unknown[0]} is not known here")
    return middleware.spec


def _each(model: type[_Model], items: Sequence[Mapping[str, Any]]) -> list[_Model]:
    return [_parse(model, item) for item in items]


def _parse(model: type[_Model], item: Mapping[str, Any]) -> _Model:
    try:
        return model.model_validate(item)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        metadata = item.get("metadata")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        raise NotUnderstood(f"{item.get('kind')} {name}: {where}: {first['msg']}") from error
