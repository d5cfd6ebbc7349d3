"""The plane's one node: containerd with its images, the pods' network, and the kubelet."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.cluster.plane.addresses import Ports
from tests.cluster.plane.certificates import Authority
from tests.cluster.plane.components import Component, Components, run, succeeds, wait
from tests.cluster.plane.slot import Slot

PAUSE: Final = "localhost/pause:plane"
_PLUGINS: Final = Path("/usr/lib/cni")
_SOCKET_SECONDS: Final = 30.0
_IMPORT_SECONDS: Final = 120.0
#: What the kubelet insists on; see `private.py`, which shows it these values.
KERNEL_SETTINGS: Final = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}


@dataclass(frozen=True)
class Node:
    """Named as its slot; runs as host processes."""

    slot: Slot
    ports: Ports
    kubelet: Path
    authority: Authority
    components: Components

    @property
    def name(self) -> str:
        """The node's name in the cluster."""
        return self.slot.folder.name

    @property
    def socket(self) -> Path:
        """Where containerd listens."""
        return self.slot.folder / "containerd.sock"

    def start_containerd(self, images: list[Path]) -> Component:
        """Start containerd, a root of its own below the folder, and load these archives."""
        self._write_network()
        config = self.slot.folder / "containerd.toml"
        config.write_text(_toml(self.slot.folder, self.socket), encoding="utf-8")
        containerd = self.components.start("containerd", ["containerd", f"--config={config}"])
        wait("containerd's socket", self.socket.exists, _SOCKET_SECONDS, containerd)
        ctr = ("ctr", f"--address={self.socket}", "--namespace=k8s.io")
        wait("containerd answering", lambda: succeeds(*ctr, "version"), _SOCKET_SECONDS, containerd)
        for image in images:
            run(*ctr, "images", "import", image, seconds=_IMPORT_SECONDS)
        return containerd

    def start_kubelet(self, kubeconfig: Path) -> Component:
        """Start the kubelet; it registers the node by itself."""
        config = self.slot.folder / "kubelet.yaml"
        config.write_text(yaml.safe_dump(self._kubelet_configuration()), encoding="utf-8")
        return self.components.start(
            "kubelet",
            [
                str(self.kubelet),
                f"--config={config}",
                f"--kubeconfig={kubeconfig}",
                f"--root-dir={self.slot.folder / 'kubelet'}",
                f"--cert-dir={self.slot.folder / 'kubelet/pki'}",
                f"--hostname-override={self.name}",
                f"--node-ip={self.slot.address}",
            ],
        )

    def _write_network(self) -> None:
        # The bridge is ours and has its address already: the plugin only hangs pods on it, and
        # leaves the machine's forwarding and packet filter alone.
        addresses = {
            "type": "host-local",
            "ranges": [[{"subnet": self.slot.subnet, "gateway": self.slot.address}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(self.slot.folder / "pod-addresses"),
        }
        bridge = {"type": "bridge", "bridge": self.slot.bridge, "ipam": addresses}
        content = {"cniVersion": "0.4.0", "name": self.name, "plugins": [bridge]}
        path = self.slot.folder / "cni" / "10-bridge.conflist"
        path.parent.mkdir()
        path.write_text(json.dumps(content, indent=2), encoding="utf-8")

    def _kubelet_configuration(self) -> dict[str, Any]:
        serving = self.authority.server("kubelet", [self.name, self.slot.address])
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "address": self.slot.address,
            "port": self.ports.kubelet,
            "readOnlyPort": 0,
            "healthzPort": 0,
            "tlsCertFile": str(serving.certificate),
            "tlsPrivateKeyFile": str(serving.key),
            "authentication": {
                "anonymous": {"enabled": False},
                "x509": {"clientCAFile": str(self.authority.pair.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.slot.cgroup,
            "failCgroupV1": False,
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            "protectKernelDefaults": True,
            "podLogsDir": str(self.slot.folder / "pod-logs"),
            "volumePluginDir": str(self.slot.folder / "kubelet/volume-plugins"),
            # Nothing answers there. Without an address every pod would get a warning event.
            "clusterDNS": [self.slot.address],
            "clusterDomain": "cluster.local",
            "maxPods": 240,  # as many as the subnet has addresses for
            "seccompDefault": True,
            # A full disk of the machine that runs the tests is not this node's to solve.
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "imagefs.available": "1%",
            },
        }


def _toml(folder: Path, socket: Path) -> str:
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""\
version = 2
root = "{folder / "containerd"}"
state = "{folder / "run"}"
temp = "{folder / "tmp"}"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.devmapper"]

[grpc]
address = "{socket}"

[ttrpc]
address = "{socket}.ttrpc"

[debug]
address = "{socket}.debug"
level = "warn"

[{cri}]
sandbox_image = "{PAUSE}"
# Without CAP_SYS_RESOURCE nothing can be made less likely to be killed than this process is.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true

[{cri}.cni]
bin_dir = "{_PLUGINS}"
conf_dir = "{folder / "cni"}"

[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[{cri}.containerd.runtimes.runc.options]
SystemdCgroup = false
"""
