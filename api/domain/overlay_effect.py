"""What an overlay makes of an app's objects, from a build without it and one with it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from api.domain.quantity import quantity
from api.domain.repo_layout import Ceilings
from api.domain.safe_text import unsafe_character
from api.domain.source_check import Diagnostic

RULE_HINT: Final = (
    "An overlay may set the container's resources up to the ceilings of platform.yaml, "
    "terminationGracePeriodSeconds (0 to 120) and annotations of your own; take the rest out."
)
MAX_GRACE_SECONDS: Final = 120
MAX_ANNOTATION_BYTES: Final = 16 * 1024
_FINDINGS: Final = 10
_MISSING: Final = object()
_POD: Final = ("spec", "template", "spec")
_CONTAINER: Final = (*_POD, "containers")
_GRACE: Final = (*_POD, "terminationGracePeriodSeconds")
_TEMPLATE_ANNOTATIONS: Final = ("spec", "template", "metadata", "annotations")
#: Names only select the object and the container; `compare` sees when they change.
_SELECTORS: Final = (("metadata", "name"), (*_CONTAINER, "*", "name"))
_FIELDS: Final = (
    ("metadata", "annotations"),
    ("metadata", "annotations", "*"),
)
_DEPLOYMENT_FIELDS: Final = (
    _GRACE,
    (*_TEMPLATE_ANNOTATIONS, "*"),
    (*_CONTAINER, "*", "resources"),
    (*_CONTAINER, "*", "resources", "*"),
    (*_CONTAINER, "*", "resources", "*", "*"),
)
#: Domains, with all below them, of annotations by which others do what a tenant may not: Flux'
#: prune, an autoscaler's evict, AppArmor and seccomp, a router's or a DNS controller's settings,
#: another network interface, a sidecar or an agent that is injected. The admission policies hold
#: objects to the same list, which they have from here.
RESERVED_ANNOTATIONS: Final = (
    *("kubernetes.io", "k8s.io", "x-k8s.io", "fluxcd.io", "argoproj.io", "helm.sh", "keel.sh"),
    *("traefik.io", "containo.us", "projectcontour.io", "nginx.org", "konghq.com"),
    *("cncf.io", "projectcalico.org", "cilium.io", "ovn.org", "antrea.io", "kube-ovn.io"),
    *("istio.io", "linkerd.io", "kuma.io", "dapr.io", "openservicemesh.io", "jaegertracing.io"),
    *("hashicorp.com", "banzaicloud.io", "infisical.com", "external-secrets.io", "stakater.com"),
    *("opentelemetry.io", "datadoghq.com", "newrelic.com", "dynatrace.com", "elastic.co"),
    *("karpenter.sh", "karpenter.k8s.aws", "keda.sh", "knative.dev", "velero.io", "kyverno.io"),
    *("gatekeeper.sh", "cert-manager.io", "openshift.io", "kubevirt.io", "nvidia.com", "intel.com"),
    *("amazonaws.com", "gke.io", "google.com", "azure.com", "workload.identity", "metallb.io"),
    *("universe.tf",),
)
_KEY_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_KEY_DOMAIN: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"
)
#: Below these a container does not even start.
_FLOORS: Final = {"cpu": "10m", "memory": "32Mi", "ephemeral-storage": "16Mi"}


def may_mention(kind: str, path: Sequence[Any]) -> bool:
    """Whether a patch may write a field; `path` has keys and list positions."""
    return _may_change(kind, path) or any(_matches(field, path) for field in _SELECTORS)


def _may_change(kind: str, path: Sequence[Any]) -> bool:
    fields = _FIELDS + _DEPLOYMENT_FIELDS if kind == "Deployment" else _FIELDS
    if not any(_matches(field, path) for field in fields):
        return False
    return "annotations" not in path[:-1] or _is_own(str(path[-1]))


def _matches(field: Sequence[str], path: Sequence[Any]) -> bool:
    return len(field) == len(path) and all(
        wanted in ("*", part) for wanted, part in zip(field, path, strict=True)
    )


def compare(
    without: Sequence[Mapping[str, Any]],
    patched: Sequence[Mapping[str, Any]],
    ceilings: Ceilings,
) -> list[Diagnostic]:
    """What the overlay changes and may not; empty when the build may be published."""
    before, after = _by_identity(without), _by_identity(patched)
    if before.keys() != after.keys() or len(patched) != len(without):
        changed = sorted(before.keys() ^ after.keys())[:3] or sorted(after)[:1]
        which = ", ".join(" ".join(filter(None, identity)) for identity in changed)
        return [_refused(f"It adds, removes or renames objects: {which}.")]
    found: list[Diagnostic] = []
    for identity, old in before.items():
        found += _changes(identity[1], identity[3], old, after[identity])
        if identity[1] == "Deployment":
            found += _values(after[identity], ceilings)
        for path in (("metadata", "annotations"), _TEMPLATE_ANNOTATIONS):
            found += _annotations(identity[1], _at(after[identity], path))
    return found[:_FINDINGS]


def _by_identity(
    objects: Sequence[Mapping[str, Any]],
) -> dict[tuple[str, str, str, str], Mapping[str, Any]]:
    return {
        (
            str(entry.get("apiVersion")),
            str(entry.get("kind")),
            str(_at(entry, ("metadata", "namespace"))),
            str(_at(entry, ("metadata", "name"))),
        ): entry
        for entry in objects
    }


def _changes(kind: str, name: str, old: object, new: object) -> Iterator[Diagnostic]:
    for path in _differences(old, new, ()):
        if not _may_change(kind, path):
            field = ".".join(map(str, path))
            yield _refused(f"It changes {field} of {kind} {name}, which is the platform's.")


def _differences(old: object, new: object, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Paths at which the two differ; types count (1 is neither true nor "1")."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys(), key=str):
            yield from _differences(old.get(key, _MISSING), new.get(key, _MISSING), (*path, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from _differences(left, right, (*path, index))
    elif old is _MISSING and isinstance(new, dict) and new:
        for key in sorted(new, key=str):
            yield from _differences(_MISSING, new[key], (*path, key))
    elif type(old) is not type(new) or old != new:
        yield path


def _values(deployment: Mapping[str, Any], ceilings: Ceilings) -> Iterator[Diagnostic]:
    grace = _at(deployment, _GRACE)
    if type(grace) is not int or not 0 <= grace <= MAX_GRACE_SECONDS:
        yield _refused(f"terminationGracePeriodSeconds must be 0 to {MAX_GRACE_SECONDS}.")
    most = {
        "cpu": ceilings.cpu,
        "memory": ceilings.memory,
        "ephemeral-storage": ceilings.ephemeral_storage,
    }
    containers = _at(deployment, _CONTAINER)
    for container in containers if isinstance(containers, list) else ():
        yield from _resources(_at(container, ("resources",)), most)


def _resources(resources: Any, most: Mapping[str, str]) -> Iterator[Diagnostic]:
    if not isinstance(resources, dict) or resources.keys() - {"limits", "requests"}:
        yield _refused("resources has limits and requests, and nothing else.")
        return
    try:
        limits = _amounts(resources.get("limits", {}), most)
        requests = _amounts(resources.get("requests", {}), most)
    except ValueError as error:
        yield _refused(f"resources: {error}.")
        return
    for name, floor in _FLOORS.items():
        limit = limits.get(name)
        if limit is None:
            yield _refused(f"resources.limits.{name} is missing.")
        elif limit > quantity(most[name]):
            yield _refused(f"resources.limits.{name} is above the ceiling {most[name]}.")
        elif limit < quantity(floor):
            yield _refused(f"resources.limits.{name} is below {floor}; no app starts with that.")
        elif requests.get(name, limit) > limit:
            yield _refused(f"resources.requests.{name} is larger than its limit.")


def _amounts(amounts: Any, most: Mapping[str, str]) -> dict[str, Decimal]:
    if not isinstance(amounts, dict) or amounts.keys() - most.keys():
        raise ValueError(f"limits and requests have {', '.join(most)}, and nothing else")
    return {name: quantity(str(value)) for name, value in amounts.items()}


def _annotations(kind: str, annotations: Any) -> Iterator[Diagnostic]:
    if not isinstance(annotations, dict):
        if annotations is not None:
            yield _refused(f"The annotations of the {kind} are not a mapping.")
        return
    size = 0
    for key, value in annotations.items():
        if not isinstance(key, str) or not isinstance(value, str):
            yield _refused(f"Annotation {key!r} of the {kind} must be text; put it in quotes.")
        elif unsafe_character(value) is not None or not _is_key(key):
            yield _refused(
                f"Annotation {key[:80]!r} of the {kind} has characters not allowed there."
            )
        else:
            size += len(key) + len(value.encode())
    if size > MAX_ANNOTATION_BYTES:
        yield _refused(f"The annotations of the {kind} are larger than 16 KiB.")


def _is_own(key: str) -> bool:
    domain, slash, _ = key.partition("/")
    if not slash:
        return "." not in key  # container runtimes read keys such as io.kubernetes.cri-o.Devices
    return not any(
        domain.lower() == reserved or domain.lower().endswith(f".{reserved}")
        for reserved in ("fastapi-platform", *RESERVED_ANNOTATIONS)
    )


def _is_key(key: str) -> bool:
    # https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/
    domain, slash, name = key.rpartition("/")
    return _KEY_NAME.fullmatch(name) is not None and (
        not slash or _KEY_DOMAIN.fullmatch(domain) is not None
    )


def _at(value: Any, path: Sequence[str]) -> Any:
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def _refused(message: str) -> Diagnostic:
    return Diagnostic(
        "overlay/kustomization.yaml", 1, 1, 1, 1, "error", "overlay", message, RULE_HINT
    )
