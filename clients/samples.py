"""Any number of measurements in bounded memory."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest measured value that at least `share` (0 < share ≤ 1) of all values do not exceed (nearest rank).

    Never a value that was not measured, and with few values rather too high than too low. Raises ValueError for none.
    """
    if not ordered:
        raise ValueError("no values, no percentile")
    rank = math.ceil(round(share * len(ordered), 9))
    return ordered[max(rank, 1) - 1]


class Samples:
    """Count, mean and extremes of all values; percentiles of all of them up to `keep`, of a uniform sample above.

    The sample is a reservoir (Vitter 1985, algorithm R).
    """

    def __init__(self, keep: int = 100_000, seed: int = 0) -> None:
        self._keep = keep
        self._random = random.Random(seed)
        self._kept: list[float] = []
        self._sum = 0.0
        self._max = -math.inf
        self._min = math.inf
        self.count = 0

    def add(self, value: float) -> None:
        """One more value."""
        self.count += 1
        self._sum += value
        self._max = max(self._max, value)
        self._min = min(self._min, value)
        if len(self._kept) < self._keep:
            self._kept.append(value)
        elif (place := self._random.randrange(self.count)) < self._keep:
            self._kept[place] = value

    def percentiles(self, *shares: float) -> list[float]:
        """Percentiles, for example of 0.5, 0.95 and 0.99. Raises ValueError where nothing was measured."""
        ordered = sorted(self._kept)
        return [percentile(ordered, share) for share in shares]

    def summary(self) -> dict[str, float | int | None]:
        """n, mean, min, p50, p95, p99 and max; None for each where nothing was measured."""
        if not self.count:
            return {"n": 0} | dict.fromkeys(("mean", "min", "p50", "p95", "p99", "max"))
        names, shares = ("p50", "p95", "p99"), (0.50, 0.95, 0.99)
        summary: dict[str, float | int | None] = {"n": self.count, "mean": round(self._sum / self.count, 6)}
        summary["min"] = round(self._min, 6)
        summary |= {name: round(value, 6) for name, value in zip(names, self.percentiles(*shares), strict=True)}
        summary["max"] = round(self._max, 6)
        return summary
