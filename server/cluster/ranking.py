"""Which replica gets a call: the one it names, the one its session always had, or the one with the fewest streams.

The routers of all gateways agree on a session's replica without speaking to each other (rendezvous hashing, Thaler and
Ravishankar 1998): when a replica comes or goes, only its own sessions move. Nothing here knows of Ray.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Set
from dataclasses import astuple, dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Wish:
    """Where a call wants to go: to `replica`, to the first in the order of replicas that `key` has, or to where there is room.

    `losses`: after each, the order begins with the next. `lost`: a replica that did not answer comes last.
    """

    replica: str = ""
    key: str = ""
    losses: int = 0
    lost: str = ""

    def __str__(self) -> str:
        """As a call's session id carries it."""
        return json.dumps(astuple(self))

    @classmethod
    def read(cls, carried: str) -> Self:
        """The reverse. A call without a session id has no wish."""
        return cls(*json.loads(carried)) if carried else cls()


def ranked(
    wish: Wish, streams: Mapping[str, int], *, unreachable: Set[str] = frozenset(), silent: Set[str] = frozenset()
) -> list[list[str]]:
    """Names of replicas, the best first; those of one group are told apart by how many calls wait for them.

    `streams`: how many each replica has; `unreachable`, `silent`: see `Doubts`. A stream stays with a silent replica, which may be
    busy, and leaves one that cannot be reached.
    """
    if wish.replica in streams and wish.replica not in unreachable:
        return [[wish.replica]]
    doubted = unreachable | silent
    if wish.key:
        order = sorted(streams, key=lambda name: _weight(wish.key, name), reverse=True)
        turned = wish.losses % max(1, len(order))
        order = order[turned:] + order[:turned]
        return [[name] for name in sorted(order, key=lambda name: name == wish.lost or name in doubted)]
    sound = [name for name in streams if name not in doubted]
    two = random.sample(sound, min(2, len(sound)))  # all gateways at once would fill the emptiest
    fewest = min((streams[name] for name in two), default=0)
    best = [name for name in two if streams[name] == fewest]
    others = [name for name in sound if name not in best]
    return [group for group in (best, others, [name for name in streams if name in doubted]) if group]


def _weight(key: str, name: str) -> bytes:
    return hashlib.sha256(f"{key} {name}".encode()).digest()
