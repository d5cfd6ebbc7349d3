"""Traefik as a process of this machine, fed by the cluster's IngressRoutes."""

import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.cluster.build import module_folder
from tests.cluster.plane.certificates import service_account
from tests.cluster.plane.components import Component
from tests.cluster.plane.control_plane import ControlPlane

NAMESPACE: Final = "traefik"
_ACCOUNT: Final = "traefik-ingress-controller"
_REFERENCE: Final = "docs/content/reference/dynamic-configuration"
_ENCODED: Final = (
    *("Slash", "BackSlash", "NullCharacter", "Semicolon"),
    *("Percent", "QuestionMark", "Hash"),
)


def definitions() -> list[Path]:
    """The file of Traefik's CustomResourceDefinitions."""
    return [_reference() / "kubernetes-crd-definition-v1.yml"]


def objects() -> list[dict[str, Any]]:
    """Namespace, service account and Traefik's own role, bound to it."""
    text = (_reference() / "kubernetes-crd-rbac.yml").read_text(encoding="utf-8")
    role, binding = yaml.safe_load_all(text)
    binding["subjects"][0]["namespace"] = NAMESPACE
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": _ACCOUNT, "namespace": NAMESPACE},
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    return [namespace, account, role, binding]


def _reference() -> Path:
    return module_folder("traefik", "github.com/traefik/traefik/v3") / _REFERENCE


@dataclass(frozen=True)
class Traefik:
    """The router in front of the users' apps; reaches pods over the bridge."""

    plane: ControlPlane

    def start(self) -> Component:
        """Start it; the definitions and its role are in the cluster already."""
        path = self.plane.slot.folder / "traefik.yaml"
        path.write_text(yaml.safe_dump(self._configuration()), encoding="utf-8")
        program = Path(sysconfig.get_path("scripts")) / "traefik"
        account = service_account(NAMESPACE, _ACCOUNT)
        return self.plane.components.start(
            "traefik",
            [str(program), f"--configFile={path}"],
            {"KUBECONFIG": str(self.plane.kubeconfig("traefik", account))},
        )

    def _configuration(self) -> dict[str, Any]:
        ports = self.plane.ports
        refused = {f"allowEncoded{name}": False for name in _ENCODED}
        return {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "log": {"level": "INFO", "noColor": True},
            "entryPoints": {
                "web": {
                    "address": f"127.0.0.1:{ports.web}",
                    "http": {"encodedCharacters": refused},
                },
                "websecure": {
                    "address": f"127.0.0.1:{ports.websecure}",
                    "http": {"encodedCharacters": refused, "tls": {}},
                },
                "metrics": {"address": f"127.0.0.1:{ports.traefik_metrics}"},
            },
            "ping": {"entryPoint": "metrics"},
            "metrics": {"prometheus": {"entryPoint": "metrics", "addServicesLabels": True}},
            "providers": {
                # 2 s by default: the second change of a rollout, which takes the old pod out, waits
                # for so long after the first, and every other request is still answered by it.
                "providersThrottleDuration": "250ms",
                "kubernetesCRD": {
                    "safeNaming": True,
                    "allowCrossNamespace": False,
                    "allowExternalNameServices": False,
                },
            },
        }
