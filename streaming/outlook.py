"""What the next cuts will take and give, learned from those of all turns."""

from __future__ import annotations

from dataclasses import dataclass

_MEMORY = 1 / 32
"""Weight of the newest observation: what was seen some dozens of cuts ago is forgotten."""
_DEVIATIONS = 2.0
"""So many mean deviations on the safe side: about one of twenty normally distributed values lies beyond."""


class Trend:
    """A line through what was observed of late (least squares, forgotten exponentially), and how far off it is on average.

    It begins as the line through `points`, each as good as one observation.
    """

    def __init__(self, *points: tuple[float, float]) -> None:
        self._weight = self._x = self._y = self._xx = self._xy = 0.0
        self.deviation = 0.0
        for x, y in points:
            self._add(x, y, 1.0)

    def learn(self, x: float, y: float) -> None:
        """One more observation."""
        self.deviation += _MEMORY * (abs(y - self.at(x)) - self.deviation)
        self._add(x, y, 1 - _MEMORY)

    def at(self, x: float) -> float:
        """What is expected at `x`."""
        mean_x, mean_y = self._x / self._weight, self._y / self._weight
        spread = self._xx / self._weight - mean_x**2
        slope = (self._xy / self._weight - mean_x * mean_y) / spread if spread > 1e-9 else 0.0
        return mean_y + slope * (x - mean_x)

    def _add(self, x: float, y: float, kept: float) -> None:
        self._weight = kept * self._weight + 1.0
        self._x, self._y = kept * self._x + x, kept * self._y + y
        self._xx, self._xy = kept * self._xx + x * x, kept * self._xy + x * y


@dataclass(slots=True, eq=False)
class HandedCut:
    """A cut on its way: how many units it has, when it was handed to the decoder, and when its audio was expected."""

    units: int
    handed_s: float
    due_s: float


class Outlook:
    """How long the decoder takes for a cut now, and how much audio the first cut of an answer gives.

    Pure: times are given, in seconds of any monotonic clock. One for all turns of a decoder, since they wait for each other.
    `unit_s`, `held_s`: seconds of a unit, and of audio that the decoder keeps back, until both are known better.
    """

    def __init__(self, unit_s: float = 0.09, held_s: float = 0.5) -> None:
        self._service = Trend((0.0, 0.02), (24.0, 0.08))
        self._audio = Trend((held_s / unit_s, 0.0), (held_s / unit_s + 10.0, 10.0 * unit_s))
        self._late_s = 0.0
        self._waiting: dict[HandedCut, None] = {}
        self._free_s = 0.0

    @property
    def waiting(self) -> int:
        """Cuts handed over whose audio has not come."""
        return len(self._waiting)

    def delay_s(self, units: int, now_s: float) -> float:
        """Seconds until the audio of a cut of `units` would be there if it were handed over now; it is seldom later."""
        return self._expected_s(units, now_s) + self._late_s + _DEVIATIONS * self._service.deviation

    def first_audio_s(self, units: int) -> float:
        """Seconds of audio that a first cut of `units` gives; it is seldom less."""
        return self._audio.at(units) - _DEVIATIONS * self._audio.deviation

    def hand(self, units: int, now_s: float) -> HandedCut:
        """A cut goes to the decoder. `arrived` or `dropped` follows."""
        cut = HandedCut(units, now_s, now_s + self._expected_s(units, now_s))
        self._waiting[cut] = None
        return cut

    def arrived(self, cut: HandedCut, now_s: float) -> None:
        """The decoder is done with it. It takes one after the other: it began with this when it came, or when it was free."""
        del self._waiting[cut]
        self._service.learn(cut.units, now_s - max(cut.handed_s, self._free_s))
        self._late_s += _MEMORY * (max(0.0, now_s - cut.due_s) - self._late_s)
        self._free_s = now_s

    def dropped(self, cut: HandedCut) -> None:
        """Its turn is over."""
        self._waiting.pop(cut, None)

    def began(self, units: int, audio_s: float) -> None:
        """A first cut gave `audio_s`."""
        self._audio.learn(units, audio_s)

    def _expected_s(self, units: int, now_s: float) -> float:
        queued_s = sum(max(0.0, self._service.at(cut.units)) for cut in self._waiting)
        if self._waiting:
            since_s = max(self._free_s, min(cut.handed_s for cut in self._waiting))
            queued_s = max(0.0, queued_s - (now_s - since_s))
        return queued_s + max(0.0, self._service.at(units))
