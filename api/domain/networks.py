"""Addresses that apps do not reach: what is in `0.0.0.0/0` or `2000::/3` and not the internet."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

#: Private, link-local, loopback, shared and multicast ranges:
#: https://www.iana.org/assignments/iana-ipv4-special-registry
NOT_PUBLIC: Final = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
#: All of global unicast; local, link-local and multicast addresses lie outside.
PUBLIC_V6: Final = IPv6Network("2000::/3")


def blocked_ranges(more: Iterable[str]) -> tuple[list[str], list[str]]:
    """What a NetworkPolicy excepts from IPv4 and from IPv6: NOT_PUBLIC and the cluster's own.

    Kubernetes refuses an exception that does not lie within its block, so an IPv6 range outside
    of PUBLIC_V6, which is blocked anyway, is left out. Raises ValueError.
    """
    v4, v6 = list(NOT_PUBLIC), []
    for found in map(ip_network, more):
        if isinstance(found, IPv4Network):
            if str(found) not in v4:
                v4.append(str(found))
        elif found.subnet_of(PUBLIC_V6):
            v6.append(str(found))
    return v4, v6
