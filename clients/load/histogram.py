"""Any number of durations in bounded memory, to three digits: a high dynamic range histogram."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping

_UNIT_S = 1e-6
_SUB_BITS = 11
"""2048 steps below the first power of two, 1024 in each above: no value is off by more than a thousandth."""


class Histogram:
    """Durations in seconds, counted in steps of a microsecond or of 0.1 %, whichever is larger.

    The layout is that of HdrHistogram (Tene) with three significant digits. Differs: only steps that were used are
    kept, so there is no highest trackable value. Number, sum and extremes are exact.

    `missing`: events that never happened, such as the answer to a question that got none. They count as later than all
    that did: a percentile that falls on one is infinite.
    """

    def __init__(self) -> None:
        self._steps: Counter[int] = Counter()
        self._sum_s = 0.0
        self._min_s = math.inf
        self._max_s = -math.inf
        self.count = 0
        self.missing = 0

    def add(self, value_s: float) -> None:
        """One more duration. Raises ValueError for one that is negative or not a number."""
        if not value_s >= 0 or math.isinf(value_s):
            raise ValueError(f"{value_s} is no duration")
        self.count += 1
        self._sum_s += value_s
        self._min_s = min(self._min_s, value_s)
        self._max_s = max(self._max_s, value_s)
        self._steps[_step(round(value_s / _UNIT_S))] += 1

    def miss(self) -> None:
        """One more that never came."""
        self.missing += 1

    @property
    def mean_s(self) -> float:
        """Mean of those that came; infinite where one did not. Raises ValueError for no events at all."""
        self._require()
        return math.inf if self.missing else self._sum_s / self.count

    @property
    def max_s(self) -> float:
        """The longest; infinite where one never came. Raises ValueError for no events at all."""
        self._require()
        return math.inf if self.missing else self._max_s

    def percentile(self, share: float) -> float:
        """The shortest duration, rounded up by less than 0.1 %, that `share` (0 < share ≤ 1) of all events do not exceed.

        Nearest rank: with few events rather too high than too low. Raises ValueError for no events at all.
        """
        self._require()
        rank = max(1, math.ceil(round(share * (self.count + self.missing), 9)))
        for upper_s, count in self.steps():
            rank -= count
            if rank <= 0:
                return max(self._min_s, upper_s)
        return math.inf

    def steps(self) -> Iterator[tuple[float, int]]:
        """Upper end of each step that was used, in seconds and ascending, and how many durations fell into it."""
        for step in sorted(self._steps):
            yield min(self._max_s, _upper(step) * _UNIT_S), self._steps[step]

    def summary(self) -> Mapping[str, float | int | None]:
        """n, missing, mean, min, percentiles and max, in seconds; None where nothing was measured or it never came."""
        summary: dict[str, float | int | None] = {"n": self.count, "missing": self.missing}
        values: dict[str, float] = {}
        if self.count:
            values = {"mean": self._sum_s / self.count, "min": self._min_s}
            values |= {f"p{100 * share:g}": self.percentile(share) for share in _SHARES}
            values["max"] = self._max_s
        names = ("mean", "min", *(f"p{100 * share:g}" for share in _SHARES), "max")
        return summary | {name: _finite(values.get(name)) for name in names}

    def _require(self) -> None:
        if not self.count + self.missing:
            raise ValueError("no events, no percentile")


_SHARES = (0.5, 0.9, 0.95, 0.99, 0.999)


def _finite(value_s: float | None) -> float | None:
    return None if value_s is None or math.isinf(value_s) else round(value_s, 6)


def _step(units: int) -> int:
    shift = max(0, units.bit_length() - _SUB_BITS)
    return (shift << (_SUB_BITS - 1)) + (units >> shift)


def _upper(step: int) -> int:
    """The largest number of units that falls into `step`."""
    shift = max(0, (step >> (_SUB_BITS - 1)) - 1)
    return ((step - (shift << (_SUB_BITS - 1)) + 1) << shift) - 1
