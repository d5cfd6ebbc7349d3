"""The router's configuration, derived from the IngressRoutes and Middlewares that were built."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from api.domain.names import AppRef
from api.local.objects import AppObjects, NotUnderstood


@dataclass(frozen=True)
class Backend:
    """Where an app's routes lead: a port on this machine."""

    objects: AppObjects
    port: int


def check_routes(objects: AppObjects) -> None:
    """Raise NotUnderstood when a route names a Middleware that was not built."""
    for route in objects.routes:
        for name in route.middlewares:
            if name not in objects.middlewares:
                raise NotUnderstood(f"IngressRoute: Middleware {name} is not among the objects")


#: Below every app's: it takes what no app answers, as the platform's own route in a cluster.
_WAKER_PRIORITY: Final = 2


def dynamic_configuration(
    backends: Mapping[AppRef, Backend], entry_points: list[str], waker: str
) -> dict[str, Any]:
    """Traefik's HTTP section for all apps; keys are made of ids, so no two apps share one.

    `waker`: the platform's own address, where addresses lead whose app does not run.
    """
    routers: dict[str, Any] = {
        "waker": {
            "entryPoints": entry_points,
            "rule": "PathPrefix(`/user/`)",
            "service": "waker",
            "priority": _WAKER_PRIORITY,
        }
    }
    middlewares: dict[str, Any] = {}
    services: dict[str, Any] = {"waker": {"loadBalancer": {"servers": [{"url": waker}]}}}
    for ref, backend in sorted(backends.items()):
        key = f"{ref.user_id}_{ref.app_id}"
        for name, options in backend.objects.middlewares.items():
            middlewares[f"{key}_{name}"] = options
        for number, route in enumerate(backend.objects.routes):
            services[f"{key}_{number}"] = {
                "loadBalancer": {
                    **route.service,
                    "servers": [{"url": f"http://127.0.0.1:{backend.port}"}],
                }
            }
            routers[f"{key}_{number}"] = {
                "entryPoints": entry_points,
                "rule": route.match,
                "middlewares": [f"{key}_{name}" for name in route.middlewares],
                "service": f"{key}_{number}",
                **({} if route.priority is None else {"priority": route.priority}),
            }
    sections = {"routers": routers, "middlewares": middlewares, "services": services}
    return {name: section for name, section in sections.items() if section}


def as_file(configuration: Mapping[str, Any]) -> bytes:
    """JSON, which is YAML; Traefik reads files as Go templates, so no string may open one."""
    return json.dumps(configuration).replace("{{", "{\\u007b").encode()
