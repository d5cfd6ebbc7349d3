"""Flux's controllers as processes of this machine, with the rights that they have in a cluster."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.cluster.build import module_folder
from tests.cluster.plane.certificates import service_account
from tests.cluster.plane.components import Component
from tests.cluster.plane.control_plane import ControlPlane

NAMESPACE: Final = "flux-system"
CONTROLLERS: Final = ("source-controller", "kustomize-controller", "notification-controller")
_WATCHING: Final = ["get", "list", "watch"]
_ALL: Final = [*_WATCHING, "create", "update", "patch", "delete"]


def definitions() -> list[Path]:
    """The files of Flux's CustomResourceDefinitions."""
    return [
        path
        for name in CONTROLLERS
        for path in sorted(
            module_folder(name, f"github.com/fluxcd/{name}").glob("config/crd/bases/*.yaml")
        )
    ]


def objects() -> list[dict[str, Any]]:
    """Namespace, service accounts and roles, as Flux's own installation has them."""
    group = "toolkit.fluxcd.io"
    groups = [f"{name}.{group}" for name in ("source", "kustomize", "notification")]
    rules: list[dict[str, Any]] = [
        {"apiGroups": groups, "resources": ["*"], "verbs": ["*"]},
        {
            "apiGroups": [""],
            "resources": ["namespaces", "secrets", "serviceaccounts"],
            "verbs": _WATCHING,
        },
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
        {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": _ALL},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": _ALL},
    ]
    accounts = [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": NAMESPACE},
        }
        for name in CONTROLLERS
    ]
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        *accounts,
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": f"crd-controller-{NAMESPACE}"},
            "rules": rules,
        },
        _bound("crd-controller", f"crd-controller-{NAMESPACE}", CONTROLLERS),
        # It impersonates the service account that a Kustomization names.
        _bound("cluster-reconciler", "cluster-admin", ("kustomize-controller",)),
    ]


def _bound(name: str, role: str, accounts: tuple[str, ...]) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{name}-{NAMESPACE}"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": role,
        },
        "subjects": [
            {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}
            for account in accounts
        ],
    }


@dataclass(frozen=True)
class Flux:
    """The three controllers that the platform needs."""

    plane: ControlPlane

    def start(self) -> list[Component]:
        """Start them all; the definitions and roles are in the cluster already."""
        ports = self.plane.ports
        events = f"--events-addr=http://127.0.0.1:{ports.events}/"
        return [
            self._started(
                "source-controller",
                ports.source_metrics,
                ports.source_health,
                f"--storage-path={self._folder('artifacts')}",
                f"--storage-addr=127.0.0.1:{ports.artifacts}",
                f"--storage-adv-addr=127.0.0.1:{ports.artifacts}",
                "--concurrent=10",  # 2 by default: too few for a source per shard
                events,
            ),
            self._started(
                "kustomize-controller",
                ports.kustomize_metrics,
                ports.kustomize_health,
                "--concurrent=10",
                "--no-cross-namespace-refs=true",
                "--no-remote-bases=true",
                events,
            ),
            self._started(
                "notification-controller",
                ports.notification_metrics,
                ports.notification_health,
                "--no-cross-namespace-refs=true",
                f"--receiverAddr=127.0.0.1:{ports.receiver}",
                f"--events-addr=127.0.0.1:{ports.events}",
            ),
        ]

    def _folder(self, name: str) -> Path:
        path = self.plane.slot.folder / name
        path.mkdir(exist_ok=True)
        return path

    def _started(self, name: str, metrics: int, health: int, *flags: str) -> Component:
        kubeconfig = self.plane.kubeconfig(name, service_account(NAMESPACE, name))
        return self.plane.components.start(
            name,
            [
                str(self.plane.programs[name]),
                "--enable-leader-election=false",
                "--watch-all-namespaces=true",
                "--log-level=info",
                "--log-encoding=json",
                f"--metrics-addr=127.0.0.1:{metrics}",
                f"--health-addr=127.0.0.1:{health}",
                *flags,
            ],
            {"KUBECONFIG": str(kubeconfig), "RUNTIME_NAMESPACE": NAMESPACE},
        )
