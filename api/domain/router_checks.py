"""Checks of Traefik's static settings, where its workload says them."""

from collections.abc import Iterator
from typing import Final

from api.domain.diagnosis import Check, NotSeen, Part, Problem
from api.domain.flux_checks import flags
from api.domain.installation import ClusterSeen, Manifest
from api.domain.manifest_difference import objects

_part: Final = Part[ClusterSeen](lambda seen: seen.cluster)
_NAME: Final = "app.kubernetes.io/name"
_CRD: Final = "providers.kubernetescrd"
_ENCODED: Final = (
    *("slash", "backslash", "nullcharacter", "semicolon"),
    *("percent", "questionmark", "hash"),
)


def _router(seen: ClusterSeen) -> tuple[Manifest, dict[str, str]]:
    """Traefik's workload and its options in lower case, as Traefik reads them; raises NotSeen."""
    found = objects(seen, "Traefik")
    where = seen.settings.traefik_namespace
    if not found:
        raise NotSeen(f"no Deployment or DaemonSet in {where} runs an image of Traefik")
    options = {}
    for flag in flags(found[0]):
        name, _, value = flag.lstrip("-").partition("=")
        options[name.lower()] = value.lower() or "true"
    if "configfile" in options:
        raise NotSeen(f"Traefik's settings are in a file, {options['configfile']}")
    return found[0], options


def _values(option: str) -> str:
    return f"Add it to Traefik's values (additionalArguments: --{option}), then helm upgrade"


@_part.check(
    "traefik.there",
    "Traefik runs in `TRAEFIK_NAMESPACE`.",
    "Tenants' network policies let requests in from that namespace only.",
)
def there(seen: ClusterSeen) -> Iterator[Problem]:
    """A workload with its image."""
    if not objects(seen, "Traefik"):
        where = seen.settings.traefik_namespace
        yield Problem(
            f"No Deployment or DaemonSet in namespace {where} runs an image of Traefik.",
            "Set TRAEFIK_NAMESPACE to the router's (k3s: kube-system), then "
            "python -m api init-repo --cluster NAME",
        )


@_part.check(
    "traefik.pod-label",
    "Traefik's pods have the label `app.kubernetes.io/name: traefik`.",
    "Network policies know the router by it: without it no request reaches an app.",
)
def pod_label(seen: ClusterSeen) -> Iterator[Problem]:
    """In the workload's template."""
    for router in objects(seen, "Traefik"):
        labels = router.at("spec", "template", "metadata", "labels") or {}
        if labels.get(_NAME) != "traefik":
            yield Problem(
                f"The pods of {router.title} have {_NAME}: {labels.get(_NAME, 'nothing')}.",
                f"Set it in Traefik's values (deployment.podLabels: {_NAME}: traefik), then helm "
                "upgrade",
            )


@_part.check(
    "traefik.same-namespace",
    "Routes lead only to services of their own namespace, and to none by an outside name.",
    "Otherwise a route of one tenant reaches another's apps, or any address of the network.",
)
def same_namespace(seen: ClusterSeen) -> Iterator[Problem]:
    """Both options are off, which is their default."""
    router, options = _router(seen)
    for name in ("allowcrossnamespace", "allowexternalnameservices"):
        if options.get(f"{_CRD}.{name}", "false") != "false":
            yield Problem(f"{router.title} runs with {name}.", _values(f"{_CRD}.{name}=false"))


@_part.check(
    "traefik.safe-naming",
    "`safeNaming` of the CRD provider is on.",
    "Without it objects of two namespaces can get one name, and one tenant takes another's route.",
)
def safe_naming(seen: ClusterSeen) -> Iterator[Problem]:
    """It is off by default."""
    router, options = _router(seen)
    if options.get(f"{_CRD}.safenaming", "false") != "true":
        yield Problem(
            f"{router.title} runs without safeNaming.", _values(f"{_CRD}.safeNaming=true")
        )


@_part.check(
    "traefik.encoded-characters",
    "The entry points refuse encoded slashes and their like.",
    "They pass by default: a path can then mean one app to the router and another behind it.",
)
def encoded(seen: ClusterSeen) -> Iterator[Problem]:
    """Every one, on every entry point of the apps."""
    router, options = _router(seen)
    points = seen.settings.traefik_entry_points.split(",")
    for point in filter(None, map(str.strip, points)):
        prefix = f"entrypoints.{point.lower()}.http.encodedcharacters.allowencoded"
        passing = [name for name in _ENCODED if options.get(prefix + name) != "false"]
        if passing:
            yield Problem(
                f"{router.title}, entry point {point}, lets encoded {', '.join(passing)} pass.",
                _values(f"entryPoints.{point}.http.encodedCharacters.allowEncodedSlash=false …"),
            )


@_part.check(
    "traefik.metrics",
    "Traefik counts requests by service for Prometheus.",
    "It is how use of an app is seen: without it, busy apps look idle and are cleaned up.",
)
def metrics(seen: ClusterSeen) -> Iterator[Problem]:
    """Metrics are on, and the service label is not off."""
    router, options = _router(seen)
    on = any(name.startswith("metrics.prometheus") for name in options)
    if not on or options.get("metrics.prometheus") == "false":
        yield Problem(f"{router.title} has no metrics.", _values("metrics.prometheus=true"))
    elif options.get("metrics.prometheus.addserviceslabels", "true") != "true":
        yield Problem(
            f"{router.title} counts without the services' label.",
            _values("metrics.prometheus.addServicesLabels=true"),
        )


CHECKS: Final[tuple[Check, ...]] = (there, pod_label, same_namespace, safe_naming, encoded, metrics)
