"""Which replica gets a call: the one it names, the one its session always had, or the one with the fewest streams.

The routers of all gateways agree on a session's replica without speaking to each other (rendezvous hashing, Thaler and
Ravishankar 1998): when a replica comes or goes, only its own sessions move. Nothing here knows of Ray.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping


def ranked(session: str, streams: Mapping[str, int]) -> list[list[str]]:
    """Names of replicas, the best first; those of one group are told apart by how many calls wait for them.

    `session`: a replica's name, a session's, or "". `streams`: how many each replica has.
    """
    if session in streams:
        return [[session]]
    if session:
        return [[name] for name in sorted(streams, key=lambda name: _weight(session, name), reverse=True)]
    two = random.sample(sorted(streams), min(2, len(streams)))  # all gateways at once would fill the emptiest
    fewest = min((streams[name] for name in two), default=0)
    best = [name for name in two if streams[name] == fewest]
    return [group for group in (best, [name for name in streams if name not in best]) if group]


def _weight(session: str, name: str) -> bytes:
    return hashlib.sha256(f"{session} {name}".encode()).digest()
