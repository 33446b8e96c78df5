"""Who counts as one peer where peers are counted."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network, ip_address

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
