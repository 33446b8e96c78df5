"""When the vocoder may cut: a decision apart from any clock or queue."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChunkPlanner:
    """How many pending units to hand to the vocoder.

    The first cut is small and made inside the first speech chunk, so that audio leaves before the model has finished.
    Later cuts are larger, because each costs a vocoder call, but never so late that playback runs dry, nor so large that
    the audio of one session waits long for that of another.
    """

    first_units: int = 6
    steady_units: int = 24
    low_water_s: float = 0.35

    def next_cut(self, pending: int, *, emitted: int, slack_s: float, ended: bool) -> int:
        """Units to cut from the head of `pending` now; 0 means wait.

        `emitted`: units cut before in this turn; `slack_s`: seconds of audio not yet played; `ended`: the speech chunk or
        the turn is complete, so waiting would gain nothing.
        """
        if emitted == 0:
            most, now = self.first_units, ended
        else:
            most, now = self.steady_units, ended or slack_s <= self.low_water_s
        return min(pending, most) if now or pending >= most else 0

    def wait_s(self, slack_s: float) -> float:
        """Seconds until pending units must be cut although fewer than wished."""
        return max(0.0, slack_s - self.low_water_s)


@dataclass(slots=True)
class PlayoutClock:
    """What the listener has left to hear, if it plays at once and without pause.

    Times in seconds of any monotonic clock. `underruns` counts the gaps, `gap_s` sums their length.
    """

    started_s: float | None = None
    sent_s: float = 0.0
    underruns: int = 0
    gap_s: float = 0.0

    def slack_s(self, now_s: float) -> float:
        """Seconds of sent audio that are still to be played at `now_s`."""
        return 0.0 if self.started_s is None else self.started_s + self.sent_s - now_s

    def sent(self, duration_s: float, now_s: float) -> None:
        """Audio of `duration_s` leaves at `now_s`. If playback had run dry, it resumes now."""
        if self.started_s is None:
            self.started_s = now_s
        late_s = -self.slack_s(now_s)
        if late_s > 0:
            self.underruns += 1
            self.gap_s += late_s
            self.started_s += late_s
        self.sent_s += duration_s
