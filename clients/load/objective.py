"""What a load test must reach, read from a sentence.

    p95 first audio <= 600 ms, answers with a gap <= 1 %

Terms are separated by commas, or by *and*; all must hold. A term is

    p50 … p99.99 | mean | max    first audio | first audio after stop | complete answer | longest gap | opening    <=  N ms | s
                                 answers with a gap | unanswered | wrong answers | failed sessions                  <=  N %

with `<`, `<=` or `≤`. Questions that got no audio count as infinitely late.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from clients.errors import InvalidObjective
from clients.load.histogram import Histogram
from clients.load.stats import LoadStats

TIMES: dict[str, Callable[[LoadStats], Histogram]] = {
    "first audio after stop": lambda stats: stats.from_speech_stopped,
    "first audio": lambda stats: stats.from_speech_end,
    "complete answer": lambda stats: stats.until_complete,
    "longest gap": lambda stats: stats.longest_gap,
    "opening": lambda stats: stats.opening,
}
SHARES: dict[str, Callable[[LoadStats], tuple[int, int]]] = {
    "answers with a gap": lambda stats: (stats.turns_with_gaps, stats.heard),
    "unanswered": lambda stats: (stats.unanswered, stats.asked + stats.refused),
    "wrong answers": lambda stats: (stats.wrong, stats.asked),
    "failed sessions": lambda stats: (stats.started - stats.completed, stats.started),
}
EXAMPLE = "p95 first audio <= 600 ms, answers with a gap <= 1 %"

_TERM = re.compile(
    r"(?:(?P<statistic>mean|max|p(?P<percent>\d+(?:\.\d+)?))\s+)?(?P<measure>[a-z][a-z ]*?)\s*"
    r"(?P<comparison><=|≤|<)\s*(?P<limit>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|%)?"
)


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. `limit` and values are seconds, or shares from 0 to 1. `statistic`: None for shares."""

    text: str
    statistic: str | None
    measure: str
    comparison: Literal["<", "<="]
    limit: float

    def value(self, stats: LoadStats) -> float:
        """What was measured; infinite, and so never met, where nothing was."""
        if self.statistic is None:
            part, whole = SHARES[self.measure](stats)
            return part / whole if whole else math.inf
        histogram = TIMES[self.measure](stats)
        if not histogram.count + histogram.missing:
            return math.inf
        match self.statistic:
            case "mean":
                return histogram.mean_s
            case "max":
                return histogram.max_s
            case percentile:
                return histogram.percentile(float(percentile[1:]) / 100)

    def met(self, value: float) -> bool:
        """Whether such a value is good enough."""
        return value < self.limit if self.comparison == "<" else value <= self.limit


@dataclass(frozen=True, slots=True)
class Objective:
    """Terms that must all be met."""

    terms: tuple[Term, ...]

    def __str__(self) -> str:
        return ", ".join(term.text for term in self.terms)

    def met(self, stats: LoadStats) -> bool:
        """Whether what was measured is good enough."""
        return all(term.met(term.value(stats)) for term in self.terms)


def read_objective(text: str) -> Objective:
    """Raises InvalidObjective, which names the condition that cannot be read and how to write it."""
    parts = [part.strip() for part in re.split(r",|\band\b", text, flags=re.IGNORECASE)]
    if not all(parts):
        raise InvalidObjective(
            f"an objective is one condition or several, separated by commas, such as {EXAMPLE!r}; got {text!r}"
        )
    return Objective(tuple(_term(part) for part in parts))


def _term(text: str) -> Term:
    found = _TERM.fullmatch(" ".join(text.lower().split()))
    if found is None:
        raise InvalidObjective(f"{text!r} is not a condition; write conditions as in {EXAMPLE!r}, with < or <=")
    statistic, measure, unit = found["statistic"], found["measure"], found["unit"]
    if measure not in TIMES and measure not in SHARES:
        raise InvalidObjective(f"{text!r}: there is no measure {measure!r}; there are {_listed([*TIMES, *SHARES])}")
    if unit is None:
        wanted = "%" if measure in SHARES else "ms or s"
        raise InvalidObjective(f"{text!r}: the limit has no unit; give it in {wanted}")
    _check(text, measure, statistic, found["percent"], unit)
    if unit == "%" and float(found["limit"]) > 100:
        raise InvalidObjective(f"{text!r}: no share is above 100 %")
    scale = {"ms": 0.001, "s": 1.0, "%": 0.01}[unit]
    comparison: Literal["<", "<="] = "<" if found["comparison"] == "<" else "<="
    return Term(found[0], statistic, measure, comparison, float(found["limit"]) * scale)


def _check(text: str, measure: str, statistic: str | None, percent: str | None, unit: str) -> None:
    if measure in SHARES:
        if statistic is not None:
            raise InvalidObjective(f"{text!r}: {measure!r} is a share and has no {statistic}; leave that out")
        if unit != "%":
            raise InvalidObjective(f"{text!r}: {measure!r} is a share; give its limit in %")
        return
    if unit == "%":
        raise InvalidObjective(f"{text!r}: {measure!r} is a time; give its limit in ms or s")
    if statistic is None:
        raise InvalidObjective(f"{text!r}: say which {measure!r} is meant: p50, p95, p99, mean or max")
    if percent is not None and not 0 < float(percent) < 100:
        raise InvalidObjective(f"{text!r}: a percentile lies between 0 and 100; for the longest write 'max'")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
