"""Where a plane's servers listen: free ports of this machine, on loopback."""

import socket
from contextlib import ExitStack
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Ports:
    """Every port of a plane, all on 127.0.0.1 but the kubelet's, which is on the bridge."""

    etcd: int
    etcd_peer: int
    api_server: int
    kubelet: int
    git: int
    artifacts: int  # source-controller gives what it fetched to kustomize-controller here
    events: int  # the Flux controllers tell notification-controller here
    receiver: int  # webhooks of the forge or the platform
    source_metrics: int
    source_health: int
    kustomize_metrics: int
    kustomize_health: int
    notification_metrics: int
    notification_health: int
    web: int  # Traefik: the users' apps …
    websecure: int  # … and the same over TLS
    traefik_metrics: int  # and its ping


def free_ports() -> Ports:
    """Ports that nobody listens on now, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in fields(Ports)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return Ports(*(each.getsockname()[1] for each in sockets))
