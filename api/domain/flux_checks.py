"""Checks of Flux: its kinds, its flags, and the objects through which it serves the shards."""

import re
from collections.abc import Iterator
from typing import Final

from api.domain.diagnosis import Check, NotSeen, Part, Problem
from api.domain.flux_objects import NAMESPACE, RECEIVER
from api.domain.installation import ClusterSeen, Manifest
from api.domain.manifest_difference import APPLY, differences, objects, pairs, shown

_part: Final = Part[ClusterSeen](lambda seen: seen.cluster)
#: ValidatingAdmissionPolicy is served as v1 from here on.
_OLDEST: Final = (1, 30)
#: Definitions that the platform's objects need, and the version it writes.
DEFINITIONS: Final = {
    "gitrepositories.source.toolkit.fluxcd.io": "v1",
    "kustomizations.kustomize.toolkit.fluxcd.io": "v1",
    "receivers.notification.toolkit.fluxcd.io": "v1",
    "ingressroutes.traefik.io": "v1alpha1",
    "middlewares.traefik.io": "v1alpha1",
}
CONTROLLERS: Final = ("source-controller", "kustomize-controller", "notification-controller")
_INSTALL: Final = (
    "flux install --components=source-controller,kustomize-controller,notification-controller"
)
_WHY_FIELDS: Final = {
    "wait": "with true, one app that crashes holds up its shard",
    "prune": "what was deleted would go on",
    "deletionPolicy": "deleting the Kustomization would delete its tenants",
    "serviceAccountName": "it would be applied with other rights",
    "targetNamespace": "it would be applied elsewhere",
}


@_part.check(
    "cluster.version",
    "The API server is Kubernetes 1.30 or newer.",
    "Older ones do not enforce the admission policies that keep tenants apart.",
)
def version(seen: ClusterSeen) -> Iterator[Problem]:
    """As it says itself."""
    numbers = re.match(r"v?(\d+)\.(\d+)", seen.version)
    if not numbers:
        raise NotSeen(f"the API server calls its version {seen.version!r}")
    if (int(numbers[1]), int(numbers[2])) < _OLDEST:
        yield Problem(f"The API server is {seen.version}.", "Upgrade the cluster.")


@_part.check(
    "cluster.definitions",
    "Flux' and Traefik's kinds are served in the versions that the platform writes.",
    "Without them no shard is applied, or no app has an address.",
)
def definitions(seen: ClusterSeen) -> Iterator[Problem]:
    """Each definition, and its version."""
    there = {m.name: m for m in objects(seen, "CustomResourceDefinition")}
    for name, wanted in DEFINITIONS.items():
        flux = name.endswith("fluxcd.io")
        mend = (
            _INSTALL
            if flux
            else "Install Traefik's CRDs: helm upgrade --install traefik-crds traefik/traefik-crds"
        )
        found = there.get(name)
        if found is None:
            yield Problem(f"CustomResourceDefinition {name} is missing.", mend)
            continue
        served = [v.get("name") for v in found.at("spec", "versions") or () if v.get("served")]
        if wanted not in served:
            yield Problem(f"{name} serves {', '.join(served) or 'nothing'}, not {wanted}.", mend)


def controllers(seen: ClusterSeen) -> dict[str, Manifest]:
    """Flux' Deployments by name; raises NotSeen."""
    return {m.name: m for m in objects(seen, "Flux")}


def flags(workload: Manifest) -> list[str]:
    """The arguments of every container."""
    containers = workload.at("spec", "template", "spec", "containers") or ()
    return [str(a) for c in containers for a in [*(c.get("command") or ()), *(c.get("args") or ())]]


def switched_on(arguments: list[str], name: str) -> bool:
    """Whether a boolean flag is on; the last one counts, as everywhere."""
    said = [a.removeprefix(name) for a in arguments if a == name or a.startswith(f"{name}=")]
    return bool(said) and said[-1].lower() in ("", "=true", "=1", "=t")


@_part.check(
    "flux.controllers",
    "Flux' source-, kustomize- and notification-controller are installed, and not scaled to 0.",
    "They fetch the shard branches, apply them, and hear that a branch moved.",
)
def installed(seen: ClusterSeen) -> Iterator[Problem]:
    """Their Deployments, by Flux' own labels."""
    there = controllers(seen)
    for name in CONTROLLERS:
        if name not in there:
            yield Problem(f"No Deployment {name} has the label of Flux.", _INSTALL)
        elif there[name].at("spec", "replicas") == 0:
            where = there[name].namespace
            yield Problem(
                f"{there[name].title} has 0 replicas.",
                f"kubectl -n {where} scale deployment {name} --replicas=1",
            )


@_part.check(
    "flux.no-cross-namespace-refs",
    "Flux' controllers run with `--no-cross-namespace-refs`.",
    "Otherwise an object of one namespace uses the sources and secrets of another.",
)
def cross_namespace(seen: ClusterSeen) -> Iterator[Problem]:
    """All of those that know the flag."""
    yield from _lacking(seen, "--no-cross-namespace-refs", CONTROLLERS[1:])


@_part.check(
    "flux.no-remote-bases",
    "kustomize-controller runs with `--no-remote-bases`.",
    "Otherwise a kustomization may fetch and apply what stands at any address.",
)
def remote_bases(seen: ClusterSeen) -> Iterator[Problem]:
    """The one that builds."""
    yield from _lacking(seen, "--no-remote-bases", CONTROLLERS[1:2])


def _lacking(seen: ClusterSeen, flag: str, names: tuple[str, ...]) -> Iterator[Problem]:
    there = controllers(seen)
    for name in names:
        if name in there and not switched_on(flags(there[name]), flag):
            yield Problem(
                f"{there[name].title} runs without {flag}.",
                f"Add {flag}=true to its args, in the kustomization of your Flux installation "
                "(by hand: kubectl -n "
                f"{there[name].namespace} edit deployment {name})",
            )


@_part.check(
    "flux.sources",
    "Every shard, and `flux/clusters`, has its GitRepository as the template says.",
    "A shard without its source is never fetched; another branch or a filter would apply "
    "something else.",
)
def sources(seen: ClusterSeen) -> Iterator[Problem]:
    """All but signatures, which are a check of their own."""
    for should, stands in pairs(seen, "GitRepository"):
        if stands is None:
            yield Problem(f"{should.title} is missing.", APPLY)
            continue
        spec = {key: value for key, value in should.at("spec").items() if key != "verify"}
        for path, right, found in differences(spec, stands.at("spec")):
            yield Problem(f"{should.title}: {path} is {shown(found)}, not {shown(right)}.", APPLY)


@_part.check(
    "flux.verify",
    "Every shard's GitRepository verifies the platform's signature.",
    "Otherwise whoever gets a push through to flux/* has it applied.",
)
def verify(seen: ClusterSeen) -> Iterator[Problem]:
    """`spec.verify`, with the key that this environment signs with."""
    for should, stands in pairs(seen, "GitRepository"):
        said = should.at("spec", "verify")
        if said and stands and next(differences(said, stands.at("spec", "verify")), None):
            yield Problem(f"{should.title} does not verify signatures (spec.verify).", APPLY)


@_part.check(
    "flux.publish-key",
    "The Secret `publish-keys` holds the platform's public key.",
    "Flux refuses every commit that another key signed.",
)
def publish_key(seen: ClusterSeen) -> Iterator[Problem]:
    """The key of GIT_SIGNING_KEY_FILE."""
    if seen.public_key is None:
        return
    mend = "python -m api init-repo --cluster NAME with the key in use as GIT_SIGNING_KEY_FILE"
    there = {m.name: m for m in objects(seen, "Secret")}
    if "publish-keys" not in there:
        yield Problem(f"Secret publish-keys in {NAMESPACE} is missing.", mend)
    elif seen.public_key not in (there["publish-keys"].at("keys") or ()):
        yield Problem(f"Secret publish-keys in {NAMESPACE} holds another key.", mend)


@_part.check(
    "flux.kustomizations",
    "Every shard, and `flux/clusters`, has its Kustomization as the template says.",
    "It decides with whose rights a shard is applied, and what becomes of what was deleted.",
)
def kustomizations(seen: ClusterSeen) -> Iterator[Problem]:
    """Field by field."""
    for should, stands in pairs(seen, "Kustomization"):
        if stands is None:
            yield Problem(f"{should.title} is missing.", APPLY)
            continue
        for path, right, found in differences(should.at("spec"), stands.at("spec")):
            why = _WHY_FIELDS.get(path, "")
            yield Problem(
                f"{should.title}: {path} is {shown(found)}, not {shown(right)}"
                f"{': ' if why else ''}{why}.",
                APPLY,
            )
        for field in ("targetNamespace", "postBuild", "patches"):
            if stands.at("spec", field):
                yield Problem(f"{should.title} has {field}, which changes what is applied.", APPLY)


@_part.check(
    "flux.ready",
    "Flux has fetched and applied every shard, and none is suspended.",
    "What Flux does not apply does not run, whatever the branches say.",
)
def ready(seen: ClusterSeen) -> Iterator[Problem]:
    """By what its objects report."""
    for kind in ("GitRepository", "Kustomization"):
        for _, stands in pairs(seen, kind):
            if stands is None:
                continue
            command = f"flux -n {NAMESPACE} resume {_COMMAND[kind]} {stands.name}"
            if stands.at("spec", "suspend"):
                yield Problem(f"{stands.title} is suspended.", command)
                continue
            said = {name: (status, words) for name, status, words in stands.conditions()}
            status, words = said.get("Ready", ("", "Flux has not looked at it yet"))
            if status in ("False", ""):
                logs = f"flux -n {NAMESPACE} reconcile {_COMMAND[kind]} {stands.name}"
                yield Problem(f"{stands.title} is not ready: {shown(words)}", logs)


@_part.check(
    "flux.receiver",
    "The Receiver is there, ready, and its token is that of `FLUX_RECEIVER_TOKEN_FILE`.",
    "Otherwise Flux hears nothing of a push, and looks every ten minutes only.",
)
def receiver(seen: ClusterSeen) -> Iterator[Problem]:
    """By the path that Flux makes from the token, so that no Secret has to be read."""
    for should, stands in pairs(seen, "Receiver"):
        if stands is None:
            yield Problem(f"{should.title} is missing.", APPLY)
            continue
        for path, right, found in differences(should.at("spec"), stands.at("spec")):
            yield Problem(f"{should.title}: {path} is {shown(found)}, not {shown(right)}.", APPLY)
        said = {name: (status, words) for name, status, words in stands.conditions()}
        status, words = said.get("Ready", ("", "Flux has not looked at it yet"))
        if status != "True":
            yield Problem(
                f"{should.title} is not ready: {shown(words)}",
                f"kubectl -n {NAMESPACE} create secret generic receiver-token "
                "--from-file=token=FILE, with the file of FLUX_RECEIVER_TOKEN_FILE",
            )
        elif seen.receiver_path not in (None, stands.at("status", "webhookPath")):
            yield Problem(
                f"{should.title} has another token than FLUX_RECEIVER_TOKEN_FILE.",
                "Mount the Secret receiver-token byte for byte (no line end); after a change: "
                f"kubectl -n {NAMESPACE} annotate receiver {RECEIVER} --overwrite "
                'reconcile.fluxcd.io/requestedAt="$(date +%s)"',
            )


_COMMAND: Final = {"GitRepository": "source git", "Kustomization": "kustomization"}

CHECKS: Final[tuple[Check, ...]] = (
    *(version, definitions, installed, cross_namespace, remote_bases, sources, verify),
    *(publish_key, kustomizations, ready, receiver),
)
