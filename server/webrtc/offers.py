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
    left_out = set(candidates) - set([line for line in candidates if _kind(line) in peers][:_CHECKED])
    return "".join(f"{line}\r\n" for line in lines if line not in left_out)


def _kind(candidate: str) -> AddressKind | None:
    """Where a candidate is; None for what no peer can be: names of the public DNS, multicast, reserved addresses."""
    fields = candidate.split()
    name = fields[4] if len(fields) > 4 else ""
    if name.endswith(".local"):  # an address that a browser hides (mDNS)
        return "private"
    try:
        address = ip_address(name)
    except ValueError:
        return None
    if address.is_loopback:
        return "loopback"
    if address.is_multicast or address.is_unspecified or address == ip_address("255.255.255.255"):
        return None
    return "public" if address.is_global else "private"
