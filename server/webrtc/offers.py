"""SDP offers of strangers: their size, and the addresses that they name.

Parsing an offer takes time by the square of its candidates, and ICE sends checks to every address that a candidate names.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address

from server.settings import AddressKind
from streaming.errors import InvalidRequest

MAX_BYTES = 64 * 1024
"""Several times what browsers send."""
_MAX_LINES = 1_000
_MAX_CANDIDATES = 64
_CHECKED = 16
"""Candidates that are tried; a browser has one for each of its interfaces."""


def bounded(offer: str, peers: Collection[AddressKind]) -> str:
    """`offer` with the candidates that may be tried: the first few at addresses of the kinds `peers`.

    Raises InvalidRequest (`invalid_sdp`) for one with more bytes, lines or candidates than a client has reason to send.
    """
    lines = offer.splitlines()
    candidates = [line for line in lines if line.startswith("a=candidate:")]
    for what, number, most in (
        ("bytes", len(offer.encode("utf-8", "replace")), MAX_BYTES),
        ("lines", len(lines), _MAX_LINES),
        ("candidates", len(candidates), _MAX_CANDIDATES),
    ):
        if number > most:
            raise InvalidRequest(
                f"the offer has {number} {what}; accepted: up to {most}", code="invalid_sdp", param="sdp"
            )
    if not candidates:
        return offer
    tried = [line for line in candidates if address_kind((line.split() + [""] * 5)[4]) in peers][:_CHECKED]
    left_out = set(candidates) - set(tried)
    return "".join(f"{line}\r\n" for line in lines if line not in left_out)


def address_kind(name: str) -> AddressKind | None:
    """Where a peer is; None for what no peer can be: names of the public DNS, multicast, reserved addresses."""
    if name.endswith(".local"):  # an address that a browser hides (mDNS)
        return "private"
    try:
        address = ip_address(name)
    except ValueError:
        return None
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback:
        return "loopback"
    if address.is_multicast or address.is_unspecified or address == ip_address("255.255.255.255"):
        return None
    return "public" if address.is_global else "private"
