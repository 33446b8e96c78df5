"""Decides when the vocoder gets a cut, without any clock or queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CutSchedule:
    """How many units the vocoder is handed at a time; a bundle knows what its own vocoder needs.

    `first_units`: small, so that audio leaves before the model has finished, but enough for the vocoder to give any.
    `steady_units`: larger, because each cut costs a call, and no larger than one session may keep the others waiting.
    `low_water_s`: with less audio than this before the listener, whatever is there is cut.
    """

    first_units: int = 6
    steady_units: int = 24
    low_water_s: float = 0.35


class CutScheduler:
    """Units of one turn in, cuts out. Every unit is cut once and in order; the last cut is final and may be empty.

    Pure: `buffered_s` (seconds of audio that the listener still has to hear) is what it knows of time. After each `push`, `flush`
    or `finish`, and when `wait_s` is over, call `next_cut` until it has none.
    """

    def __init__(self, schedule: CutSchedule) -> None:
        self._schedule = schedule
        self._pending: list[int] = []
        self._flushing = self._ended = False
        self.began = self.finished = False

    def push(self, units: Sequence[int]) -> None:
        """The next units."""
        self._pending += units

    def flush(self) -> None:
        """A speech chunk is complete: what is pending gains nothing by waiting."""
        self._flushing = bool(self._pending)

    def finish(self) -> None:
        """No more units follow."""
        self._ended = True

    def next_cut(self, buffered_s: float) -> tuple[tuple[int, ...], bool] | None:
        """Units to hand over now and whether they are the last; None: wait for more."""
        most = self._schedule.steady_units if self.began else self._schedule.first_units
        late = self.began and buffered_s <= self._schedule.low_water_s
        waits = len(self._pending) < most and not (self._flushing or self._ended or late)
        if self.finished or waits or not (self._pending or self._ended):
            return None
        units, self._pending = tuple(self._pending[:most]), self._pending[most:]
        self.finished = self._ended and not self._pending
        self._flushing = self._flushing and bool(self._pending)
        if not (units or self.began):
            return None  # an answer without speech
        self.began = True
        return units, self.finished

    def wait_s(self, buffered_s: float) -> float | None:
        """Seconds after which pending units must be cut although no more came; None: as long as it takes."""
        return max(0.0, buffered_s - self._schedule.low_water_s) if self.began and self._pending else None


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
