"""Single faults of a whole installation, and the checks of doctor that name them.

Those of the forge's own rules are in test_forge.py, on a real Gitea.
"""

from typing import Any, Final

from api.domain.flux_objects import NAMESPACE
from tests.cluster.breaking import (
    PLATFORM,
    SYSTEM,
    Break,
    bound,
    deleted,
    patched,
    with_a_branch_flux_beside,
    with_rules,
    with_settings,
    without_a_shards_branch,
    without_a_unique_index,
    without_flag,
    without_receivers_definition,
)

_POLICY: Final = "validatingadmissionpolicy"
_PODS: Final = "fastapi-platform-pods"
_ENFORCE: Final = "pod-security.kubernetes.io/enforce"
_REFUSE: Final = "#!/bin/sh\necho 'a rule refuses everybody' >&2\nexit 1\n"
_SHARD: Final = "shard-3f"
_NOBODY: Final = "127.0.0.1:9"  # where nothing listens


def _spec(**values: Any) -> dict[str, Any]:
    return {"spec": values}


#: What is broken, how, and the checks that name it.
FAULTS: Final[dict[str, tuple[Break, set[str]]]] = {
    # settings
    "BASE_DOMAIN is an address": (
        with_settings(BASE_DOMAIN="https://platform.localhost"),
        {"settings.base-domain", "settings.hosts"},
    ),
    "a short key": (with_settings(SECRET_KEY="short"), {"settings.valid"}),
    "no signing key": (
        with_settings(GIT_SIGNING_KEY_FILE=None),
        {"settings.signing-key"},
    ),
    "everybody is trusted as a proxy": (
        with_settings(TRUSTED_PROXIES="0.0.0.0/0"),
        {"settings.proxies"},
    ),
    "Flux is not told of a push": (
        with_settings(FLUX_RECEIVER_TOKEN_FILE=None),
        {"settings.receiver"},
    ),
    "a token's file is not there": (
        with_settings(FLUX_RECEIVER_TOKEN_FILE="/nowhere/token"),
        {"settings.files"},
    ),
    "another runner image": (
        with_settings(RUNNER_IMAGE="localhost/another:1"),
        {"admission.runner-image", "repository.template"},
    ),
    "another namespace of the router": (
        with_settings(TRAEFIK_NAMESPACE="elsewhere"),
        {"admission.settings", "repository.template", "traefik.there"},
    ),
    # what is away
    "the database is away": (
        with_settings(MONGO_URI=f"mongodb://platform:none@{_NOBODY}/x?connectTimeoutMS=2000"),
        {"database.reachable"},
    ),
    "usernames are not unique": (without_a_unique_index, {"database.indexes"}),
    "the repository is away": (
        with_settings(GIT_REMOTE=f"http://{_NOBODY}/apps.git"),
        {"repository.reachable"},
    ),
    # the repository
    "a shard has no branch": (without_a_shards_branch, {"repository.shards"}),
    "a branch of no shard": (with_a_branch_flux_beside, {"repository.shards"}),
    "no rule keeps anybody from flux/*": (
        with_rules("#!/bin/sh\nexit 0\n"),
        {"repository.clusters-protected", "repository.shards-protected"},
    ),
    "the platform may not push": (with_rules(_REFUSE), {"repository.credential"}),
    # the cluster and Flux
    "a kind is not defined": (
        without_receivers_definition,
        {"cluster.definitions", "flux.receiver"},
    ),
    "remote bases are allowed": (
        without_flag("kustomize-controller", "no-remote-bases"),
        {"flux.no-remote-bases"},
    ),
    "references across namespaces are allowed": (
        without_flag("notification-controller", "no-cross-namespace-refs"),
        {"flux.no-cross-namespace-refs"},
    ),
    "a controller of Flux is scaled to nothing": (
        patched("deployment", "source-controller", _spec(replicas=0), SYSTEM),
        {"flux.controllers"},
    ),
    "a shard's source leaves files out": (
        patched("gitrepository", _SHARD, _spec(ignore="*.png"), NAMESPACE),
        {"flux.sources"},
    ),
    "a shard's source verifies nothing": (
        patched("gitrepository", _SHARD, _spec(verify=None), NAMESPACE),
        {"flux.verify"},
    ),
    "Flux knows another key": (
        patched("secret", "publish-keys", {"data": None, "stringData": {"a.pub": "x"}}, NAMESPACE),
        {"flux.publish-key"},
    ),
    "a shard waits for its apps": (
        patched("kustomization", _SHARD, _spec(wait=True), NAMESPACE),
        {"flux.kustomizations"},
    ),
    "a shard is suspended": (
        patched("kustomization", _SHARD, _spec(suspend=True), NAMESPACE),
        {"flux.ready"},
    ),
    # who may do what
    "a shard has no account": (
        deleted("serviceaccount", _SHARD, NAMESPACE),
        {"access.shard-accounts"},
    ),
    "a shard's account is cluster-admin": (
        bound("cluster-admin", f"--serviceaccount={NAMESPACE}:{_SHARD}"),
        {"access.shards-no-more"},
    ),
    "the backend may read Secrets": (
        bound("admin", f"--serviceaccount={PLATFORM}:backend"),
        {"access.backend-no-more"},
    ),
    "the backend may not look": (
        deleted("clusterrolebinding", "fastapi-platform-backend"),
        {"access.backend-enough"},
    ),
    "everybody may read": (bound("view", "--group=system:authenticated"), {"access.everybody"}),
    "a namespace enforces less": (
        patched("namespace", PLATFORM, {"metadata": {"labels": {_ENFORCE: "baseline"}}}),
        {"access.pod-security"},
    ),
    "no admission policy": (deleted(_POLICY, _PODS), {"admission.policies"}),
    "an admission policy ignores errors": (
        patched(_POLICY, _PODS, _spec(failurePolicy="Ignore")),
        {"admission.policies"},
    ),
    "an admission policy only warns": (
        patched(f"{_POLICY}binding", _PODS, _spec(validationActions=["Warn"])),
        {"admission.bindings"},
    ),
    "the policies have other settings": (
        patched("configmap", "admission", {"data": {"traefikNamespace": "elsewhere"}}, NAMESPACE),
        {"admission.settings"},
    ),
    # the platform and the router
    "no certificate of the hosts": (
        deleted("secret", "platform-tls", PLATFORM),
        {"platform.secrets"},
    ),
    "Traefik's names are not safe": (
        without_flag("traefik", "safeNaming", "traefik"),
        {"traefik.safe-naming"},
    ),
    "Traefik counts nothing": (
        without_flag("traefik", "metrics", "traefik"),
        {"traefik.metrics"},
    ),
}
