"""Checks of who may do what in the cluster: roles, admission policies, Pod Security."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.domain.diagnosis import Check, Part, Problem
from api.domain.flux_objects import NAMESPACE
from api.domain.installation import ClusterSeen, Manifest
from api.domain.manifest_difference import APPLY, differences, objects, pairs, shown

_part: Final = Part[ClusterSeen](lambda seen: seen.cluster)
PLATFORM: Final = "fastapi-platform"
BACKEND: Final = "backend"
_SHARD_ROLE: Final = "fastapi-platform-shard"
_SHARDS: Final = f"system:serviceaccounts:{NAMESPACE}"
#: Everybody who has a credential of the cluster, or none; Kubernetes itself binds these three.
_EVERYBODY: Final = frozenset(
    {"system:authenticated", "system:unauthenticated", "system:anonymous"}
)
_SHIPPED: Final = {f"system:{name}" for name in ("basic-user", "discovery", "public-info-viewer")}
_LABEL: Final = "pod-security.kubernetes.io/enforce"
_APPLY_OWN: Final = "kubectl apply --server-side -f deploy/base/access.yaml"
_READ: Final = ("get", "list", "watch")
#: What the backend uses: (namespace or * for all, API group, resource) → verbs.
NEEDED: Final = {
    ("*", "", "namespaces"): _READ,
    ("*", "", "pods"): _READ,
    ("*", "", "events"): _READ,
    ("*", "", "pods/log"): ("get",),
    ("*", "apps", "deployments"): _READ,
    (NAMESPACE, "source.toolkit.fluxcd.io", "gitrepositories"): _READ,
    (NAMESPACE, "kustomize.toolkit.fluxcd.io", "kustomizations"): _READ,
}


@dataclass(frozen=True)
class _Grant:
    """A binding that gives a role; `namespace` is * for the whole cluster."""

    binding: Manifest
    namespace: str

    @property
    def role(self) -> tuple[str, str]:
        """Kind and name."""
        return str(self.binding.at("roleRef", "kind")), str(self.binding.at("roleRef", "name"))


def _grants(
    seen: ClusterSeen, accounts: Sequence[tuple[str, str]], groups: Sequence[str]
) -> Iterator[_Grant]:
    """Bindings to one of these accounts (namespace, name) or groups; raises NotSeen."""
    users = {f"system:serviceaccount:{namespace}:{name}" for namespace, name in accounts}
    for kind in ("ClusterRoleBinding", "RoleBinding"):
        for binding in objects(seen, kind):
            where = binding.namespace or "*"
            if any(
                (s.get("kind") in ("Group", "User") and s.get("name") in groups)
                or (s.get("kind") == "User" and s.get("name") in users)
                or (
                    s.get("kind") == "ServiceAccount"
                    and (s.get("namespace"), s.get("name")) in accounts
                )
                for s in binding.at("subjects") or ()
            ):
                yield _Grant(binding, where)


def _rules(seen: ClusterSeen, grant: _Grant) -> Iterable[Any]:
    kind, name = grant.role
    where = grant.namespace if kind == "Role" else ""
    found = [m for m in objects(seen, kind) if (m.namespace, m.name) == (where, name)]
    return (found[0].at("rules") or ()) if found else ()


def _rights(seen: ClusterSeen, grant: _Grant) -> set[tuple[str, str, str, str]]:
    return {
        (grant.namespace, group, resource, verb)
        for rule in _rules(seen, grant)
        for group in rule.get("apiGroups") or ()
        for resource in rule.get("resources") or ()
        for verb in rule.get("verbs") or ()
    }


@_part.check(
    "access.shard-accounts",
    "Every shard has a service account of its own.",
    "It is applied with that account's rights; without it nothing of the shard is applied.",
)
def shard_accounts(seen: ClusterSeen) -> Iterator[Problem]:
    """As many as shards, without a token that is mounted."""
    for should, stands in pairs(seen, "ServiceAccount"):
        if stands is None:
            yield Problem(f"{should.title} is missing.", APPLY)


@_part.check(
    "access.shard-role",
    "The role of the shards' accounts allows the rendered kinds, and nothing else.",
    "Flux would apply with it whatever a shard branch says.",
)
def shard_role(seen: ClusterSeen) -> Iterator[Problem]:
    """Rules as the template has them."""
    for should, stands in pairs(seen, "ClusterRole"):
        if stands is None:
            yield Problem(f"{should.title} is missing.", APPLY)
        elif should.at("rules") != stands.at("rules"):
            yield Problem(f"{should.title} has other rules than the template's.", APPLY)
    for should, stands in pairs(seen, "ClusterRoleBinding"):
        if stands is None:
            yield Problem(f"{should.title} is missing.", APPLY)


@_part.check(
    "access.shards-no-more",
    "The shards' accounts have no other role: none is cluster-admin.",
    "An account with more rights applies anything, past the limits of its shard.",
)
def shards_no_more(seen: ClusterSeen) -> Iterator[Problem]:
    """No binding but the template's."""
    names = [
        (NAMESPACE, m.name)
        for m in objects(seen, "ServiceAccount")
        if m.namespace == NAMESPACE and m.name.startswith("shard-")
    ]
    for grant in _grants(seen, names, (_SHARDS, "system:serviceaccounts")):
        kind, name = grant.role
        shipped = grant.binding.labels.get("kubernetes.io/bootstrapping") == "rbac-defaults"
        if (kind, name) != ("ClusterRole", _SHARD_ROLE) and not shipped:
            yield Problem(
                f"{grant.binding.title} gives shards' accounts the {kind} {name}.",
                f"kubectl delete {kind.lower()}binding {grant.binding.name}"
                + (f" -n {grant.binding.namespace}" if grant.binding.namespace else ""),
            )


@_part.check(
    "access.backend-enough",
    "The backend's service account may read what the platform observes.",
    "What it cannot see it cannot tell: deploys would never end as live.",
)
def backend_enough(seen: ClusterSeen) -> Iterator[Problem]:
    """Every resource that is watched."""
    has = _backends_rights(seen)
    for (namespace, group, resource), verbs in NEEDED.items():
        for verb in verbs:
            if not _allows(has, (namespace, group, resource, verb)):
                where = "every namespace" if namespace == "*" else namespace
                yield Problem(
                    f"The account {BACKEND} may not {verb} {resource} in {where}.",
                    APPLY if namespace == NAMESPACE else _APPLY_OWN,
                )


@_part.check(
    "access.backend-no-more",
    "The backend's service account may do nothing else: it writes git, never the cluster.",
    "Whoever takes over the backend has its rights: with Secrets or writing, the whole cluster.",
)
def backend_no_more(seen: ClusterSeen) -> Iterator[Problem]:
    """No right beyond those."""
    for grant in _backends(seen):
        more = [right for right in _rights(seen, grant) if not _needed(right)]
        if more:
            _, group, resource, verb = min(more)
            what = f"{verb} {resource}{f'.{group}' if group else ''}"
            yield Problem(
                f"{grant.binding.title} lets the account {BACKEND} {what}"
                + (f", and {len(more) - 1} more" if len(more) > 1 else "")
                + ".",
                f"Take it out of {grant.role[0]} {grant.role[1]}, or delete the binding.",
            )


def _backends(seen: ClusterSeen) -> Iterator[_Grant]:
    groups = (f"system:serviceaccounts:{PLATFORM}", "system:serviceaccounts")
    for grant in _grants(seen, [(PLATFORM, BACKEND)], groups):
        if grant.binding.labels.get("kubernetes.io/bootstrapping") != "rbac-defaults":
            yield grant


def _backends_rights(seen: ClusterSeen) -> set[tuple[str, str, str, str]]:
    return {right for grant in _backends(seen) for right in _rights(seen, grant)}


@_part.check(
    "access.everybody",
    "Nobody has rights by being anybody: `system:authenticated` has Kubernetes' own roles only.",
    "Every service account is authenticated, those of shards and of the backend among them.",
)
def everybody(seen: ClusterSeen) -> Iterator[Problem]:
    """Whether the binding's label says that it came with Kubernetes or not: labels can be set."""
    for grant in _grants(seen, (), tuple(_EVERYBODY)):
        kind, name = grant.role
        if (kind, name) != ("ClusterRole", grant.binding.name) or name not in _SHIPPED:
            yield Problem(
                f"{grant.binding.title} gives everybody the {kind} {name}.",
                f"kubectl delete {grant.binding.kind.lower()} {grant.binding.name}"
                + (f" -n {grant.binding.namespace}" if grant.binding.namespace else ""),
            )


def _allows(has: set[tuple[str, str, str, str]], right: tuple[str, str, str, str]) -> bool:
    namespace, group, resource, verb = right
    return any(
        where in ("*", namespace)
        and groups in ("*", group)
        and what in ("*", resource)
        and verbs in ("*", verb)
        for where, groups, what, verbs in has
    )


def _needed(right: tuple[str, str, str, str]) -> bool:
    namespace, group, resource, verb = right
    return any(
        where in ("*", namespace) and (group, resource) == (g, r) and verb in verbs
        for (where, g, r), verbs in NEEDED.items()
    )


@_part.check(
    "admission.policies",
    "Every admission policy is there and as the template has it, and fails closed.",
    "They keep tenants apart whatever a shard branch says; with failurePolicy Ignore an error "
    "lets everything through.",
)
def policies(seen: ClusterSeen) -> Iterator[Problem]:
    """Rule by rule."""
    yield from _as_rendered(seen, "ValidatingAdmissionPolicy")


@_part.check(
    "admission.bindings",
    "Every admission policy is bound, denies, and denies also without its settings.",
    "A policy without a binding, or one that only warns, holds nobody back.",
)
def bindings(seen: ClusterSeen) -> Iterator[Problem]:
    """One for each."""
    yield from _as_rendered(seen, "ValidatingAdmissionPolicyBinding")


def _as_rendered(seen: ClusterSeen, kind: str) -> Iterator[Problem]:
    for should, stands in pairs(seen, kind):
        if stands is None:
            yield Problem(f"{should.title} is missing.", APPLY)
            continue
        found = next(differences(should.at("spec"), stands.at("spec")), None)
        if found:
            path, right, is_ = found
            yield Problem(f"{should.title}: {path} is {shown(is_)}, not {shown(right)}.", APPLY)


@_part.check(
    "admission.settings",
    "The policies' ConfigMap `admission` says what these settings say.",
    "What the platform renders and what the policies let pass would not fit: deploys are refused.",
)
def settings(seen: ClusterSeen) -> Iterator[Problem]:
    """All but the images."""
    for should, stands in pairs(seen, "ConfigMap"):
        if stands is None:
            yield Problem(f"{should.title} is missing: every object of a tenant is denied.", APPLY)
            continue
        data = {k: v for k, v in should.at("data").items() if k != "images"}
        for path, right, found in differences(data, stands.at("data")):
            yield Problem(
                f"{should.title}: {path} is {shown(found)}, not {shown(right)}.",
                "python -m api init-repo --cluster NAME with these settings",
            )


@_part.check(
    "admission.runner-image",
    "The policies let the image of `RUNNER_IMAGE` run.",
    "Every deploy would be refused with `rule pod-image`.",
)
def runner_image(seen: ClusterSeen) -> Iterator[Problem]:
    """It is in the list."""
    image = seen.settings.runner_image
    for _, stands in pairs(seen, "ConfigMap"):
        allowed = str(stands.at("data", "images") or "").split("\n") if stands else [image]
        if image not in allowed:
            yield Problem(
                f"RUNNER_IMAGE {image} is not in images of {stands.title if stands else ''}.",
                "python -m api init-repo --cluster NAME (it lets RUNNER_IMAGE run beside others)",
            )


@_part.check(
    "access.pod-security",
    "The platform's, Flux' objects' and every tenant's namespace enforce `restricted`.",
    "Pods could otherwise be made there with the node's rights.",
)
def pod_security(seen: ClusterSeen) -> Iterator[Problem]:
    """By label."""
    for namespace in objects(seen, "Namespace"):
        ours = namespace.name in (PLATFORM, NAMESPACE)
        if not ours and "fastapi-platform/user-id" not in namespace.labels:
            continue
        level = namespace.labels.get(_LABEL)
        if level != "restricted":
            yield Problem(
                f"{namespace.title} enforces {level or 'no Pod Security level'}.",
                f"kubectl label namespace {namespace.name} --overwrite {_LABEL}=restricted",
            )
    there = {namespace.name for namespace in objects(seen, "Namespace")}
    for name in (PLATFORM, NAMESPACE):
        if name not in there:
            yield Problem(f"Namespace {name} is missing.", f"kubectl create namespace {name}")


CHECKS: Final[tuple[Check, ...]] = (
    *(shard_accounts, shard_role, shards_no_more, backend_enough, backend_no_more, everybody),
    *(policies, bindings, settings, runner_image, pod_security),
)
