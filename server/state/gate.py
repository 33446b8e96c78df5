"""Who is let in, who waits and who is refused, by what the stages have left. Pure: times and load are given."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass

from server.errors import TooManyWaiting
from streaming.errors import CapacityError

_FIRST, _FIRST_SHARE = 16, 2
"""Sessions that are tried before anything is known of the machine; one in so many of the ceiling, where that is more."""
_FULL, _ROOM = 1.0, 0.7
"""Load at which nobody more is let in, and at which there is room again. What is between holds as it is: no flapping."""
_SETTLE_S, _PROBE_S = 3.0, 10.0
"""Until sessions that were let in show in the load: in the beginning, and once the limit is about right. It changes no faster."""
_GROWTH, _DECREASE = 0.05, 0.9
_USED = 0.9
"""With less of the limit in use, nothing is learned of whether it is right."""
_FIRST_INTERVAL_S = 5.0
_SMOOTHING = 0.3


@dataclass(frozen=True, slots=True)
class GateRules:
    """`ceiling`: sessions at once, whatever the load; `most_waiting`: for a place; `most_of_peer`: of them, of one peer."""

    ceiling: int
    most_waiting: int = 0
    most_of_peer: int = 1


@dataclass(frozen=True, slots=True)
class Place:
    """In the queue: `position` 1 is next. `wait_s`: how long it will take, going by how often places became free of late."""

    position: int
    wait_s: float


class Gate:
    """Sessions in and sessions that wait, in order of arrival.

    `limit` is how many sessions the machine has shown to carry. It grows while it is used up and the load (1: the fullest stage is
    full) is low, and shrinks while the load is high: twofold at first, then additively, as a network's congestion window does
    (Chiu and Jain 1989). Whoever is in stays. An empty server lets somebody in at any load.
    """

    def __init__(self, rules: GateRules) -> None:
        self._rules = rules
        self._inside = set[Hashable]()
        self._waiting: dict[Hashable, Hashable] = {}  # peers, in order of arrival
        self._limit = float(min(max(_FIRST, rules.ceiling // _FIRST_SHARE), rules.ceiling))
        self._open = self._starting = True
        self._settled_s = self._left_s = -math.inf
        self._interval_s = _FIRST_INTERVAL_S

    @property
    def active(self) -> int:
        """Sessions in."""
        return len(self._inside)

    @property
    def waiting(self) -> int:
        """Sessions that wait."""
        return len(self._waiting)

    @property
    def limit(self) -> int:
        """Sessions that may be in, as far as is known."""
        return int(self._limit)

    def arrive(self, who: Hashable, peer: Hashable, now_s: float, load: float) -> bool:
        """Whether `who` is in; else it waits. Raises CapacityError, TooManyWaiting."""
        if not self._waiting and self._has_room(now_s, load):
            self._inside.add(who)
            return True
        self.check(peer, now_s, load)
        self._waiting[who] = peer
        return False

    def check(self, peer: Hashable, now_s: float, load: float) -> None:
        """Raises what `arrive` would raise."""
        if not self._waiting and self._has_room(now_s, load):
            return
        wait_s = self._wait_s(len(self._waiting) + 1, now_s)
        if len(self._waiting) >= self._rules.most_waiting:
            raise CapacityError(f"the server is full, with {self.active} sessions; try again later", retry_s=wait_s)
        if sum(other == peer for other in self._waiting.values()) >= self._rules.most_of_peer:
            most = self._rules.most_of_peer
            raise TooManyWaiting(f"{most} of your requests wait already; accepted: up to {most}", retry_s=wait_s)

    def leave(self, who: Hashable, now_s: float) -> None:
        """`who` is over, or waits no more."""
        self._waiting.pop(who, None)
        if who in self._inside:
            self._inside.remove(who)
            if math.isfinite(self._left_s):
                self._interval_s += _SMOOTHING * (now_s - self._left_s - self._interval_s)
            self._left_s = now_s

    def let_in(self, now_s: float, load: float) -> list[Hashable]:
        """Those who waited and are in now, in order of arrival."""
        let_in = []
        while self._waiting and self._has_room(now_s, load):
            who = next(iter(self._waiting))
            del self._waiting[who]
            self._inside.add(who)
            let_in.append(who)
        return let_in

    def place(self, who: Hashable, now_s: float) -> Place:
        """Where `who` waits."""
        position = list(self._waiting).index(who) + 1
        return Place(position, self._wait_s(position, now_s))

    def _wait_s(self, position: int, now_s: float) -> float:
        since_s = now_s - self._left_s
        return position * max(self._interval_s, since_s if math.isfinite(since_s) else 0.0)

    def _has_room(self, now_s: float, load: float) -> bool:
        self._learn(now_s, load)
        if self.active >= self._rules.ceiling:
            return False
        return not self._inside or (self._open and self.active < self.limit)

    def _learn(self, now_s: float, load: float) -> None:
        if load >= _FULL:
            self._open = False
        elif load <= _ROOM:
            self._open = True
        if load < _FULL and self.active + self.waiting < _USED * self._limit - 1:
            self._settled_s = now_s + (_SETTLE_S if self._starting else _PROBE_S)
        if now_s < self._settled_s:
            return
        if load >= _FULL:
            self._starting = False
            self._limit = max(1.0, min(self._limit, self.active) * _DECREASE)
        elif load <= _ROOM and self.active >= self.limit < self._rules.ceiling:  # what is not used is not tried
            more = self._limit if self._starting else max(1.0, self._limit * _GROWTH)
            self._limit = min(float(self._rules.ceiling), self._limit + more)
        else:
            return
        self._settled_s = now_s + (_SETTLE_S if self._starting else _PROBE_S)
