"""Decides when the vocoder gets a cut, without any clock or queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streaming.outlook import Outlook

_RATE_MEMORY = 1 / 8
"""Weight of the newest interval between two units."""
_LOOK_S = 0.02
"""While units wait for company, their decision is taken again at least so often: others may have come before them."""


@dataclass(frozen=True, slots=True)
class CutSchedule:
    """How many units the vocoder is handed at a time; a bundle knows what its own vocoder needs.

    `first_units`: enough for the vocoder to give any audio. `steady_units`: larger, because each cut costs a call, and no larger
    than one session may keep the others waiting. `low_water_s`: audio that the listener shall have left when the next comes.
    `most_first_units`: for so many a first cut waits at most, where fewer would run dry; 0: for no more than `first_units`.
    `unit_s`: seconds of a unit, until the vocoder has shown it.
    """

    first_units: int = 6
    steady_units: int = 24
    low_water_s: float = 0.35
    most_first_units: int = 0
    unit_s: float = 0.09


class CutScheduler:
    """Units of one turn in, cuts out. Every unit is cut once and in order; the last cut is final and may be empty.

    Pure: `now_s` is the time on any monotonic clock, `buffered_s` the audio that the listener still has to hear. `outlook` knows
    what cuts take and give. `lead_s`: audio that is to be there before the listener hears the first, and to stay ahead of him.
    After each `push`, `flush` or `finish`, and when `wait_s` is over, call `next_cut` until it has none.

    The first cut waits until it lasts longer than the second will take. Later ones wait for company as long as the listener has
    enough to hear, the end of a chunk for the beginning of the next or for the end of the answer. After the first, no cut goes
    beyond the end of a chunk. `chunks`: how many were cut to their end.
    """

    def __init__(self, schedule: CutSchedule, outlook: Outlook | None = None, lead_s: float = 0.0) -> None:
        self._schedule = schedule
        self._outlook = outlook or Outlook(schedule.unit_s)
        self._lead_s = lead_s
        self._most_first = max(schedule.first_units, schedule.most_first_units) + round(lead_s / schedule.unit_s)
        self._pending: list[int] = []
        self._ends: list[int] = []
        self._ended = False
        self._unit_s = 0.0
        self._came_s: float | None = None
        self.chunks = 0
        self.began = self.finished = False

    def push(self, units: Sequence[int], now_s: float) -> None:
        """The next units, and when they came."""
        if self._came_s is not None and units:
            each_s = (now_s - self._came_s) / len(units)
            self._unit_s += (_RATE_MEMORY if self._unit_s else 1.0) * (each_s - self._unit_s)
        self._came_s = now_s
        self._pending += units

    def flush(self) -> None:
        """A speech chunk is complete. Before units of the next, there is text."""
        self._ends.append(len(self._pending))
        self._came_s = None
        self._count()

    def finish(self) -> None:
        """No more units follow."""
        self._ended = True

    def next_cut(self, buffered_s: float, now_s: float) -> tuple[tuple[int, ...], bool] | None:
        """Units to hand over now and whether they are the last; None: wait for more."""
        size = self._size(buffered_s, now_s)
        if self.finished or size is None:
            return None
        units, self._pending = tuple(self._pending[:size]), self._pending[size:]
        self._ends = [end - size for end in self._ends]
        self.finished = self._ended and not self._pending
        self._count()
        if not (units or self.began):
            return None  # an answer without speech
        self.began = True
        return units, self.finished

    def wait_s(self, buffered_s: float, now_s: float) -> float | None:
        """Seconds after which to ask for a cut although nothing more came; None: as long as it takes."""
        if not self.began:
            return _LOOK_S if len(self._pending) >= self._schedule.first_units else None
        return max(0.0, min(_LOOK_S, self._spare_s(buffered_s, now_s))) if self._pending else None

    def _size(self, buffered_s: float, now_s: float) -> int | None:
        """Units of the next cut; None: wait for more."""
        here = len(self._pending)
        if not self.began:
            first = self._first(now_s)
            return here if self._ended and here <= first else first if here >= first else None
        most = min(here, self._schedule.steady_units)
        end = self._ends[0] if self._ends else here
        if here > end or self._ended or here >= self._schedule.steady_units:
            return min(most, end)
        return most if here and self._spare_s(buffered_s, now_s) <= 0 else None

    def _first(self, now_s: float) -> int:
        """Units of the first cut: those that give audio for longer than the second cut will take."""
        schedule, outlook = self._schedule, self._outlook
        for units in range(schedule.first_units, self._most_first):
            soon_s = outlook.delay_s(units, now_s)
            second = min(schedule.steady_units, max(1, round(soon_s / self._unit_s) if self._unit_s else 1))
            dry_s = schedule.low_water_s + self._lead_s + outlook.delay_s(second, now_s)
            if outlook.first_audio_s(units) >= dry_s + max(0.0, self._unit_s - soon_s):
                return units
        return self._most_first

    def _spare_s(self, buffered_s: float, now_s: float) -> float:
        """How long what is pending may wait."""
        units = min(len(self._pending), self._schedule.steady_units)
        return buffered_s - self._lead_s - self._schedule.low_water_s - self._outlook.delay_s(units, now_s)

    def _count(self) -> None:
        """Chunks of which nothing is pending."""
        while self._ends and self._ends[0] <= 0:
            del self._ends[0]
            self.chunks += 1


@dataclass(slots=True)
class PlayoutClock:
    """What the listener has left to hear, if it plays at once and without pause.

    Times in seconds of any monotonic clock. `underruns` counts the gaps, `gap_s` sums their length.
    """

    started_s: float | None = None
    sent_s: float = 0.0
    underruns: int = 0
    gap_s: float = 0.0

    def buffered_s(self, now_s: float) -> float:
        """Seconds of sent audio that are still to be played at `now_s`."""
        return 0.0 if self.started_s is None else self.started_s + self.sent_s - now_s

    def sent(self, duration_s: float, now_s: float) -> None:
        """Audio of `duration_s` leaves at `now_s`. If playback had run dry, it resumes now."""
        if self.started_s is None:
            self.started_s = now_s
        late_s = -self.buffered_s(now_s)
        if late_s > 0:
            self.underruns += 1
            self.gap_s += late_s
            self.started_s += late_s
        self.sent_s += duration_s
