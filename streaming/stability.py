"""Which units of a speech that still goes on can be relied upon, where the encoder hears both ways.

An encoder with full attention may change any frame until the speech is over, so nothing that it says of an unfinished speech is
final. What is said here is a *likely* beginning, for work that may be thrown away, such as filling the language model's cache
with the prompt so far. The units of the turn always come from encoding the whole speech: being wrong here costs time, never
content, and it is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_NOTHING = -1


@dataclass(frozen=True, slots=True)
class StabilityRule:
    """A frame is relied upon after `repeats` looks in a row that agree on it, `edge_frames` or more from the end."""

    repeats: int = 2
    edge_frames: int = 12


class LikelyPrefix:
    """The frames to rely upon, look by look.

    `relied`: frames that were relied upon, again for each other code; `revised`: those that a later look contradicted.
    """

    def __init__(self, rule: StabilityRule) -> None:
        self._rule = rule
        self._codes: list[int] = []
        self._agreed: list[int] = []
        self._length = 0
        self._ever: list[int] = []
        self.relied = 0
        self.revised = 0

    def look(self, codes: Sequence[int]) -> list[int]:
        """`codes`: frames of all that was heard so far. Returns the frames to rely upon, a beginning of `codes`."""
        agreed = [1] * len(codes)
        for place, (code, before) in enumerate(zip(codes, self._codes, strict=False)):
            if code == before:
                agreed[place] = self._agreed[place] + 1
        self._count(codes)
        self._codes, self._agreed = list(codes), agreed
        certain = 0
        while certain < len(codes) - self._rule.edge_frames and agreed[certain] >= self._rule.repeats:
            certain += 1
        fresh = certain - sum(now == before for now, before in zip(codes[:certain], self._ever, strict=False))
        self._ever[:certain] = codes[:certain]
        self.relied += fresh
        self._length = certain
        return self._codes[:certain]

    def settle(self, codes: Sequence[int]) -> None:
        """`codes`: the frames of the whole speech, as they are used."""
        self._count(codes)
        self._codes, self._length = list(codes), 0

    def _count(self, codes: Sequence[int]) -> None:
        """Frames relied upon that the new look contradicts."""
        for place in range(self._length):
            if place >= len(codes) or codes[place] != self._codes[place]:
                self.revised += 1
                self._ever[place] = _NOTHING
