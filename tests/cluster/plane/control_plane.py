"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler."""

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.plane.addresses import Ports
from tests.cluster.plane.certificates import (
    ADMIN,
    CONTROLLER_MANAGER,
    SCHEDULER,
    Authority,
    Identity,
)
from tests.cluster.plane.components import Component, Components, wait
from tests.cluster.plane.slot import Slot

_READY_SECONDS: Final = 90.0


@dataclass(frozen=True)
class ControlPlane:
    """What all its parts share."""

    slot: Slot
    ports: Ports
    programs: Mapping[str, Path]
    authority: Authority
    components: Components

    @property
    def server(self) -> str:
        """The API server's address."""
        return f"https://127.0.0.1:{self.ports.api_server}"

    def kubeconfig(self, name: str, identity: Identity) -> Path:
        """A kubeconfig in the plane's folder."""
        return self.authority.kubeconfig(
            self.slot.folder / f"{name}.kubeconfig", self.server, identity
        )

    def start(self) -> Path:
        """Start etcd and the API server and wait for it; the administrator's kubeconfig."""
        admin = self.kubeconfig("admin", ADMIN)
        etcd, server = self._start_etcd(), self._start_api_server()
        wait("kube-apiserver ready", self._answers("/readyz"), _READY_SECONDS, server, etcd)
        return admin

    def start_controllers(self) -> None:
        """Start the controller manager and the scheduler."""
        ca = self.authority.pair.certificate
        manager = self.kubeconfig("controller-manager", CONTROLLER_MANAGER)
        self.components.start(
            "kube-controller-manager",
            [
                str(self.programs["kube-controller-manager"]),
                f"--kubeconfig={manager}",
                f"--root-ca-file={ca}",
                f"--service-account-private-key-file={self.authority.signing_key}",
                "--use-service-account-credentials=true",
                "--leader-elect=false",
                "--secure-port=0",
                # The default of 20 requests a second makes mass changes crawl.
                "--kube-api-qps=200",
                "--kube-api-burst=400",
            ],
        )
        self.components.start(
            "kube-scheduler",
            [
                str(self.programs["kube-scheduler"]),
                f"--kubeconfig={self.kubeconfig('scheduler', SCHEDULER)}",
                "--leader-elect=false",
                "--secure-port=0",
            ],
        )

    def _start_etcd(self) -> Component:
        client = f"http://127.0.0.1:{self.ports.etcd}"
        peer = f"http://127.0.0.1:{self.ports.etcd_peer}"
        return self.components.start(
            "etcd",
            [
                str(self.programs["etcd"]),
                "--name=plane",
                f"--data-dir={self.slot.folder / 'etcd'}",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=plane={peer}",
                "--unsafe-no-fsync=true",  # nothing of it has to survive the machine
                "--log-level=warn",
            ],
        )

    def _start_api_server(self) -> Component:
        authority = self.authority
        serving = authority.server(
            "api-server",
            [
                *("127.0.0.1", "localhost", "kubernetes.default.svc"),
                *(self.slot.api_service, self.slot.address),
            ],
        )
        kubelet = authority.client("api-server-to-kubelet", ADMIN)
        return self.components.start(
            "kube-apiserver",
            [
                str(self.programs["kube-apiserver"]),
                f"--etcd-servers=http://127.0.0.1:{self.ports.etcd}",
                "--bind-address=127.0.0.1",
                f"--advertise-address={self.slot.address}",
                f"--secure-port={self.ports.api_server}",
                f"--tls-cert-file={serving.certificate}",
                f"--tls-private-key-file={serving.key}",
                f"--client-ca-file={authority.pair.certificate}",
                f"--kubelet-client-certificate={kubelet.certificate}",
                f"--kubelet-client-key={kubelet.key}",
                f"--kubelet-certificate-authority={authority.pair.certificate}",
                "--kubelet-preferred-address-types=InternalIP",  # no DNS knows the node's name
                f"--service-cluster-ip-range={self.slot.services}",
                f"--service-account-issuer={self.server}",
                f"--service-account-key-file={authority.signing_key}",
                f"--service-account-signing-key-file={authority.signing_key}",
                "--authorization-mode=Node,RBAC",
                # Beside those that are on by default: Pod Security, quotas, limit ranges,
                # ValidatingAdmissionPolicy …
                "--enable-admission-plugins=NodeRestriction",
                "--allow-privileged=true",
                "--profiling=false",
            ],
        )

    def _answers(self, path: str) -> "_Answers":
        pair = self.authority.client("probe", ADMIN)
        context = ssl.create_default_context(cafile=str(self.authority.pair.certificate))
        context.load_cert_chain(pair.certificate, pair.key)
        return _Answers(self.ports.api_server, path, context)


@dataclass(frozen=True)
class _Answers:
    """Whether the API server says yes."""

    port: int
    path: str
    context: ssl.SSLContext

    def __call__(self) -> bool:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=5, context=self.context
        )
        try:
            connection.request("GET", self.path)
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
