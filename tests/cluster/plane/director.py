"""Starts a plane's parts in the order in which they need each other, then watches over them."""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from http import HTTPStatus
from threading import Event
from typing import Final
from urllib.request import urlopen

import yaml

from tests.cluster.build import CannotBuild
from tests.cluster.plane import flux, images, traefik
from tests.cluster.plane.addresses import free_ports
from tests.cluster.plane.certificates import Authority, node
from tests.cluster.plane.cluster import RECORD, Cluster
from tests.cluster.plane.components import Components, wait
from tests.cluster.plane.control_plane import ControlPlane
from tests.cluster.plane.node import Node
from tests.cluster.plane.parts import Parts
from tests.cluster.plane.relay import relayed
from tests.cluster.plane.slot import PlaneFailed, Slot
from tests.remote.git_server import GitServer

_DEFINITION_SECONDS: Final = 60
_NODE_SECONDS: Final = 90.0
_CONTROLLER_SECONDS: Final = 60.0


class Director:
    """Brings one plane up."""

    def __init__(self, slot: Slot, parts: Parts) -> None:
        self._started = time.monotonic()
        self._slot = slot
        self._components = Components(slot.folder)
        ports = free_ports()
        authority = Authority(slot.folder / "certificates")
        self._images = parts.images
        self._plane = ControlPlane(slot, ports, parts.programs, authority, self._components)
        self._node = Node(slot, ports, parts.programs["kubelet"], authority, self._components)
        self._git = GitServer(slot.folder / "git", port=ports.git)
        self._cluster = Cluster(
            kubeconfig=slot.folder / "admin.kubeconfig",
            apps_url=f"http://127.0.0.1:{ports.web}",
            secure_url=f"https://127.0.0.1:{ports.websecure}",
            traefik_metrics_url=f"http://127.0.0.1:{ports.traefik_metrics}/metrics",
            receiver_url=f"http://127.0.0.1:{ports.receiver}",
            runner_image=images.RUNNER.name,
            git_url=f"http://127.0.0.1:{ports.git}",
            node_address=slot.address,
            folder=slot.folder,
            slot=slot.number,
        )

    def run(self) -> None:
        """Start everything, say so, and stay."""
        self._git.root.mkdir()
        api = ("127.0.0.1", self._plane.ports.api_server)
        with (
            self._git.running(),
            relayed((self._slot.api_service, 443), api),
            ThreadPoolExecutor() as pool,
        ):
            containerd = pool.submit(self._start_containerd)
            self._plane.start()
            self._say("kube-apiserver answers")
            controllers = pool.submit(self._plane.start_controllers)
            extensions = pool.submit(self._start_extensions)
            containerd.result()
            self._start_node()
            controllers.result()
            extensions.result()
            self._components.up()
            self._record()
            self._say("the plane is up")
            Event().wait()

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self._started:5.1f} s  {what}", flush=True)

    def _start_containerd(self) -> None:
        self._node.start_containerd(self._images)
        self._say("containerd has the images")

    def _start_node(self) -> None:
        kubeconfig = self._plane.kubeconfig("kubelet", node(self._node.name))
        kubelet = self._node.start_kubelet(kubeconfig)
        state = '-o=jsonpath={.status.conditions[?(@.type=="Ready")].status}'

        def ready() -> bool:
            try:
                return self._cluster.kubectl("get", "node", self._node.name, state) == "True"
            except PlaneFailed:
                return False  # not registered yet

        wait("the node Ready", ready, _NODE_SECONDS, kubelet)
        self._say("the node is ready")

    def _start_extensions(self) -> None:
        files = [*flux.definitions(), *traefik.definitions()]
        named = [argument for path in files for argument in ("-f", str(path))]
        self._cluster.kubectl("apply", "--server-side", *named)
        self._cluster.kubectl(
            *("wait", "--for=condition=Established", "crd", "--all"),
            f"--timeout={_DEFINITION_SECONDS}s",
        )
        self._cluster.apply(yaml.safe_dump_all([*flux.objects(), *traefik.objects()]))
        started = [*flux.Flux(self._plane).start(), traefik.Traefik(self._plane).start()]
        ports = self._plane.ports
        addresses = (
            f"{ports.source_health}/readyz",
            f"{ports.kustomize_health}/readyz",
            f"{ports.notification_health}/readyz",
            f"{ports.traefik_metrics}/ping",
        )
        for component, address in zip(started, addresses, strict=True):
            url = f"http://127.0.0.1:{address}"
            wait(f"{component.name} at {url}", _answering(url), _CONTROLLER_SECONDS, component)
        self._say("Flux and Traefik are ready")

    def _record(self) -> None:
        unfinished = self._slot.folder / f".{RECORD}"
        unfinished.write_text(json.dumps(asdict(self._cluster), default=str, indent=2))
        unfinished.replace(self._slot.folder / RECORD)


def _answering(url: str) -> Callable[[], bool]:
    def probe() -> bool:
        try:
            with urlopen(url, timeout=2) as answer:  # noqa: S310  (http, on loopback)
                return bool(answer.status == HTTPStatus.OK)
        except OSError:
            return False

    return probe


def main() -> int:
    """Direct the plane in the slot that is named."""
    try:
        Director(Slot(int(sys.argv[1])), Parts.from_argument(sys.argv[2])).run()
    except (PlaneFailed, CannotBuild) as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
