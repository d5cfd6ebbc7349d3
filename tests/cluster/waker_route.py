"""The platform's own route for addresses whose app does not run, as deploy/ has it.

The platform is a process of this machine here: the Service `backend` leads to it over the bridge.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2
import yaml

from tests.cluster.plane.relay import relayed
from tests.cluster.plane.slot import Slot
from tests.cluster.platform import APPS_HOST, Installed
from tests.product import ROOT, eventually

_NAMESPACE = "fastapi-platform"
_NOWHERE = f"/user/{'u' * 12}/app/nothing/"


@contextmanager
def waker_route(
    platform: Installed, ask: Callable[[str], httpx2.Response] | None = None
) -> Iterator[None]:
    """What no app's route takes leads to the platform while the context lasts.

    `ask` gets a public address through the router.
    """
    visit = ask or platform.visit
    with ExitStack() as stack:
        objects = [_route(), *_service(platform, stack)]
        names = [f"{each['kind'].lower()}/{each['metadata']['name']}" for each in objects]
        platform.cluster.apply(yaml.safe_dump_all(objects))
        stack.callback(platform.cluster.kubectl, "delete", "-n", _NAMESPACE, *names)
        url = f"https://{APPS_HOST}{_NOWHERE}"
        eventually(
            "the router leads to the platform",
            lambda: visit(url).headers.get("fastapi-platform-app"),
        )
        yield


def _route() -> dict[str, Any]:
    """Of the IngressRoute `no-app` the one rule that leads to the backend."""
    documents = yaml.safe_load_all((ROOT / "deploy/base/routes.yaml").read_text())
    [found] = [each for each in documents if each["metadata"]["name"] == "no-app"]
    [rule] = [r for r in found["spec"]["routes"] if r["services"][0]["name"] == "backend"]
    rule["match"] = rule["match"].replace("Host(`apps`)", f"Host(`{APPS_HOST}`)")
    found["metadata"]["namespace"] = _NAMESPACE
    found["spec"] = {"entryPoints": ["web"], "routes": [rule]}
    return dict(found)


def _service(platform: Installed, stack: ExitStack) -> list[dict[str, Any]]:
    assert platform.cluster.slot is not None
    here = Slot(platform.cluster.slot).address
    to = ("127.0.0.1", urlsplit(platform.product.origin).port or 0)
    address, port = stack.enter_context(relayed((here, 0), to))
    metadata = {"name": "backend", "namespace": _NAMESPACE}
    ports = [{"name": "http", "port": 80, "targetPort": port}]
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"clusterIP": "None", "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata | {"labels": {"kubernetes.io/service-name": "backend"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        },
    ]
