"""What a listener hears of the audio that arrives, counted in samples. The clock is a seam."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from clients.realtime import RATE_HZ
from streaming.planning import PlayoutClock

AUDIBLE_GAP_S = 0.001


@dataclass(frozen=True, slots=True)
class Heard:
    """How much of an item was heard: what `conversation.item.truncate` tells. `ms` is never more than was played."""

    item_id: str
    ms: int


@dataclass(slots=True)
class _Item:
    id: str
    received: int = 0
    played: int = 0
    ended: bool = False

    @property
    def heard(self) -> bool:
        """Nothing of it is left to be heard."""
        return self.ended and self.played == self.received


@dataclass(slots=True)
class Playout:
    """Which samples of which item were played, in the order in which the items began to arrive.

    Samples are counted, never timed, so that the milliseconds of an interruption are exact whatever the clock does.
    An item that waits for more audio is not heard to its end although all that came was played: what is still on its
    way will not be.
    """

    _items: list[_Item] = field(default_factory=list)

    def received(self, item_id: str, samples: int) -> None:
        """Audio of an item arrived, to be played after all that is here."""
        if not self._items or self._items[-1].id != item_id:
            self._end(self._items)
            self._items.append(_Item(item_id))
        self._items[-1].received += samples

    def ended(self, item_id: str) -> None:
        """No more audio of this item will come."""
        self._end(item for item in self._items if item.id == item_id)

    def played(self, samples: int) -> None:
        """The loudspeaker took the next `samples`; more than are here is silence and counts for nothing."""
        for item in self._items:
            step = min(samples, item.received - item.played)
            item.played += step
            samples -= step
        self._forget_heard()

    @property
    def waiting(self) -> int:
        """Samples that are still to be played."""
        return sum(item.received - item.played for item in self._items)

    def interrupt(self) -> list[Heard]:
        """Stop. Returns the items that were not heard to their end, the one being played first."""
        cut_short = [Heard(item.id, item.played * 1000 // RATE_HZ) for item in self._items]
        self._items.clear()
        return cut_short

    def _end(self, items: Iterable[_Item]) -> None:
        for item in items:
            item.ended = True
        self._forget_heard()

    def _forget_heard(self) -> None:
        self._items = [item for item in self._items if not item.heard]


class Clock(Protocol):
    """Monotonic time in seconds."""

    def now_s(self) -> float:
        """Now."""
        ...

    async def sleep_until(self, at_s: float) -> None:
        """Return at `at_s`, at once where that is past; other tasks run in any case."""
        ...


class SystemClock:
    """The machine's own time."""

    def now_s(self) -> float:
        """Now."""
        return time.monotonic()

    async def sleep_until(self, at_s: float) -> None:
        """Sleep, at least for one turn of the event loop."""
        await asyncio.sleep(max(0.0, at_s - self.now_s()))


@dataclass(slots=True)
class Playback:
    """A loudspeaker that is only simulated: it plays at once and without pause what arrives, by the clock.

    `buffer_s`: how long it waits before it starts. A gap is audio that arrives after the loudspeaker ran dry; `gaps`
    counts them, `longest_gap_s` is the worst.
    """

    buffer_s: float = 0.0
    gaps: int = 0
    longest_gap_s: float = 0.0
    _clock: PlayoutClock = field(default_factory=PlayoutClock)
    _playout: Playout = field(default_factory=Playout)

    def received(self, item_id: str, samples: int, now_s: float) -> None:
        """Audio of an item arrived at `now_s`."""
        self._advance(now_s)
        if self._clock.started_s is None:
            self._clock.started_s = now_s + self.buffer_s
        before_s = self._clock.gap_s
        self._clock.sent(samples / RATE_HZ, now_s)
        self._playout.received(item_id, samples)
        gap_s = self._clock.gap_s - before_s
        if gap_s >= AUDIBLE_GAP_S:
            self.gaps += 1
            self.longest_gap_s = max(self.longest_gap_s, gap_s)

    def ended(self, item_id: str) -> None:
        """No more audio of this item will come."""
        self._playout.ended(item_id)

    @property
    def gap_s(self) -> float:
        """Length of all gaps together."""
        return self._clock.gap_s

    @property
    def received_s(self) -> float:
        """Length of the audio that has arrived."""
        return self._clock.sent_s

    def left_s(self, now_s: float) -> float:
        """Seconds until what has arrived will have been played."""
        return max(0.0, self._clock.buffered_s(now_s))

    def heard_s(self, now_s: float) -> float:
        """Seconds of the audio that have been played."""
        return max(0.0, self._clock.sent_s - self.left_s(now_s))

    def interrupt(self, now_s: float) -> list[Heard]:
        """Fall silent at `now_s`. Returns the items that were not heard to their end."""
        self._advance(now_s)
        self._clock = PlayoutClock()
        return self._playout.interrupt()

    def _advance(self, now_s: float) -> None:
        left = math.ceil(round(self.left_s(now_s) * RATE_HZ, 3))
        self._playout.played(max(0, self._playout.waiting - left))
