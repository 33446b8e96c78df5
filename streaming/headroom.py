"""How many turns a machine answers at once, learned from the gaps in them. What is left is for turns that may come to nothing."""

from __future__ import annotations

from collections.abc import Callable, Hashable

_LEAST = 1.0
_GROWTH = 0.25
_DECREASE = 0.7


class Headroom:
    """Of all sessions together: which turns run, and whether a speculative one (of an utterance that may not be over) may, too.

    What runs well is learned as a network's congestion window is (additive increase, multiplicative decrease; Chiu and Jain 1989):
    an answer without a gap adds a little to `room`, one with a gap takes a part of it away. Speculative turns run only within it,
    `most` at once: under load there are none, and those under way give way to turns that are certain.
    """

    def __init__(self, most: int = 4) -> None:
        self._most = most
        self._certain: set[Hashable] = set()
        self._speculative: dict[Hashable, Callable[[], object]] = {}
        self.room = float(most)

    @property
    def speculative(self) -> int:
        """Speculative turns under way."""
        return len(self._speculative)

    def admit(self, turn: Hashable, give_way: Callable[[], object]) -> bool:
        """Whether the speculative `turn` may run. `give_way` is called where it must make room; `end` follows, as for all."""
        if len(self._speculative) >= self._most or self._running + 1 > self.room:
            return False
        self._speculative[turn] = give_way
        return True

    def begin(self, turn: Hashable) -> None:
        """A turn that is certain, or has become so. The latest of the speculative ones give way to it."""
        self._speculative.pop(turn, None)
        self._certain.add(turn)
        for other in reversed(list(self._speculative)):
            if self._running <= self.room:
                return
            self._speculative.pop(other)()

    def end(self, turn: Hashable, *, gaps: int = 0) -> None:
        """A turn is over; `gaps`: how often its listener waited in the middle of it."""
        together = self._running
        self._speculative.pop(turn, None)
        if turn not in self._certain:
            return
        self._certain.remove(turn)
        if gaps:
            self.room = max(_LEAST, min(self.room, together) * _DECREASE)
        elif together + 1 >= self.room:  # what was not used was not tried
            self.room += _GROWTH

    @property
    def _running(self) -> int:
        return len(self._certain) + len(self._speculative)
