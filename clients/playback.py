"""What a listener hears of the audio that arrives: a model of a loudspeaker, and time itself as a seam."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Protocol

from streaming.planning import PlayoutClock

AUDIBLE_GAP_S = 0.001


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
    """Playing one spoken item that arrives in pieces. `buffer_s`: how long the player waits before it starts.

    A gap is audio that arrives after the loudspeaker ran dry; `gaps` counts them, `longest_gap_s` is the worst.
    """

    buffer_s: float = 0.0
    item_id: str | None = None
    gaps: int = 0
    longest_gap_s: float = 0.0
    _clock: PlayoutClock = field(default_factory=PlayoutClock)

    def received(self, item_id: str, duration_s: float, now_s: float) -> None:
        """Audio of `duration_s` of `item_id` arrived at `now_s`."""
        if self._clock.started_s is None:
            self._clock.started_s = now_s + self.buffer_s
        self.item_id = item_id
        before_s = self._clock.gap_s
        self._clock.sent(duration_s, now_s)
        gap_s = self._clock.gap_s - before_s
        if gap_s >= AUDIBLE_GAP_S:
            self.gaps += 1
            self.longest_gap_s = max(self.longest_gap_s, gap_s)

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
        return max(0.0, self._clock.slack_s(now_s))

    def heard_s(self, now_s: float) -> float:
        """Seconds of the audio that have been played."""
        return max(0.0, self._clock.sent_s - self.left_s(now_s))
