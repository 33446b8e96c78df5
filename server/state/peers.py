"""Who counts as one peer where peers are counted."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network

_SITE_BITS = 64
"""Of an IPv6 address, those that a site is given; the rest its hosts choose for themselves, as often as they like."""


def counted_as(address: str) -> str:
    """The peer at `address`: an IPv4 address, the /64 network of an IPv6 address, or what else it is."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), _SITE_BITS), strict=False))


def as_seen(networks: Iterable[str]) -> tuple[str, ...]:
    """The networks, and those of IPv4 as a socket for IPv4 and IPv6 sees them, too: `::ffff:10.0.0.5` (RFC 4291, 2.5.5.2)."""
    seen = list[str]()
    for network in networks:
        parsed = ip_network(network)
        seen.append(network)
        if parsed.version == 4:
            seen.append(f"::ffff:{parsed.network_address}/{96 + parsed.prefixlen}")
    return tuple(seen)
