"""Which of the host's addresses an SDP answer shows. Whoever calls from the internet need not know those of inner networks."""

from __future__ import annotations

import re

from server.settings import ShownAddresses
from server.webrtc.offers import address_kind

_RELATED = re.compile(r" raddr \S+ rport \d+")
_NOBODY = "0.0.0.0"


def shown(answer: str, peer: str, addresses: ShownAddresses) -> str:
    """The SDP `answer` as `peer`, an address, may see it.

    `auto`: callers from public addresses see public addresses alone, and others all; where the host has no public one, none would
    reach it, and they see all as well. A hidden address works where packets find the way: ICE learns addresses from them.
    """
    lines = answer.splitlines()
    candidates = [line for line in lines if line.startswith("a=candidate:")]
    public = {line for line in candidates if address_kind(_host(line)) == "public"}
    if addresses == "all" or (addresses == "auto" and (address_kind(peer) != "public" or not public)):
        return answer
    kept = [_without_inner(line) for line in lines if line not in candidates or line in public]
    return "".join(f"{line}\r\n" for line in kept)


def _host(candidate: str) -> str:
    return candidate.split()[4]


def _without_inner(line: str) -> str:
    """The line without an address behind a public one, or of a default candidate: that means nothing where ICE is spoken."""
    if line.startswith("a=candidate:"):
        return _RELATED.sub(f" raddr {_NOBODY} rport 0", line)
    if line.startswith("c=IN "):
        return f"c=IN IP4 {_NOBODY}"
    return re.sub(r"^m=(\S+) \d+ ", r"m=\1 9 ", line)
