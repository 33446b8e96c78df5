"""The result of a load test, as JSON with its origin and as a table."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from clients.load.histogram import Histogram
from clients.load.objective import Objective
from clients.load.plan import LoadPlan
from clients.load.stats import LoadStats
from clients.origin import checkout, machine
from clients.recordings import FRAME_S, Recording

SATURATED_LAG_S = FRAME_S

_TIMES = {
    "session_opening_s": ("opening of a session", "opening"),
    "first_audio_after_speech_end_s": ("first audio after speech end", "from_speech_end"),
    "first_audio_after_speech_stopped_s": ("first audio after speech stopped", "from_speech_stopped"),
    "complete_after_speech_end_s": ("complete after speech end", "until_complete"),
    "longest_gap_s": ("longest gap in an answer", "longest_gap"),
    "frame_lag_s": ("own lag per frame", "frame_lag"),
    "frame_blocked_s": ("frame held by the connection", "blocked"),
}
"""Key in the JSON: what it is called, and where it is measured."""


@dataclass(frozen=True, slots=True)
class Level:
    """One load of a search, and what came of it. `met`: None where it was broken off."""

    callers: int
    stats: LoadStats
    met: bool | None


def report(plan: LoadPlan, recordings: Sequence[Recording], stats: LoadStats) -> dict[str, Any]:
    """Everything measured in one run. Times in seconds; of percentiles None is later than everything that was measured."""
    return origin(plan, recordings, stats.served_model) | measured(stats)


def search_report(
    plan: LoadPlan, recordings: Sequence[Recording], objective: Objective, levels: Sequence[Level]
) -> dict[str, Any]:
    """Every load that was tried. `highest`: the most callers with whom the objective was met, None for none."""
    model = levels[-1].stats.served_model if levels else None
    return origin(plan, recordings, model) | {
        "objective": str(objective),
        "highest": highest(levels),
        "levels": [
            {"callers": level.callers, "met": level.met, "terms": terms(objective, level.stats)} | measured(level.stats)
            for level in levels
        ],
    }


def highest(levels: Sequence[Level]) -> int | None:
    """The most callers with whom the objective was met."""
    return max((level.callers for level in levels if level.met), default=None)


def origin(plan: LoadPlan, recordings: Sequence[Recording], model: str | None) -> dict[str, Any]:
    """When, with which code, on which machine and how it was measured. Values of headers are left out: they are secret."""
    configuration = dataclasses.asdict(plan) | {"headers": [name for name, _ in plan.headers]}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": checkout(),
        "machine": machine(),
        "configuration": configuration | {"recordings": describe(recordings), "model": model},
    }


def measured(stats: LoadStats) -> dict[str, Any]:
    """What one run measured."""
    return {
        "elapsed_s": round(stats.elapsed_s, 3),
        "sessions": _counts(
            stats, "started", "completed", "failed", "refused", "unfinished", "skipped", "most_at_once"
        ),
        "turns": _counts(stats, "asked", "answered", "barged_in", "interrupted", "wrong", "unanswered"),
        "errors": dict(stats.errors.most_common()),
        **{key: _histogram(stats, name).summary() for key, (_, name) in _TIMES.items()},
        "gaps": _counts(stats, "gaps", "turns_with_gaps"),
        "audio": {"spoken_s": round(stats.spoken_s, 3), "answered_s": round(stats.audio_s, 3)},
        "generator": {
            "arrival_lag_s": stats.arrival_lag.summary(),
            **_counts(stats, "late_frames", "blocked_frames"),
            "saturated": saturated(stats),
        },
        "histograms": {key: _steps(_histogram(stats, name)) for key, (_, name) in _TIMES.items()},
        "answers": stats.answers.rows,
        "at_once": stats.load.rows,
    }


def terms(objective: Objective, stats: LoadStats) -> list[dict[str, Any]]:
    """Each term, what was measured and whether that is good enough. `value`: None where it is infinite."""
    values = [(term, term.value(stats)) for term in objective.terms]
    return [
        {
            "term": term.text,
            "limit": term.limit,
            "value": None if math.isinf(value) else round(value, 6),
            "met": term.met(value),
        }
        for term, value in values
    ]


def saturated(stats: LoadStats) -> bool:
    """The generator itself was too slow for its numbers to be trusted: 1 % of its frames left a frame or more late."""
    return bool(stats.frame_lag.count) and stats.frame_lag.percentile(0.99) > SATURATED_LAG_S


def table(stats: LoadStats, objective: Objective | None = None) -> RenderableType:
    """The numbers that a person wants first, in milliseconds."""
    shown = Table(title=_headline(stats), title_justify="left", caption=_footer(stats), caption_justify="left")
    for heading in ("ms", "n", "missing", "p50", "p95", "p99", "p99.9", "max"):
        shown.add_column(heading, justify="left" if heading == "ms" else "right")
    for what, name in _TIMES.values():
        shown.add_row(what, *_cells(_histogram(stats, name)))
    return Group(shown, *_verdict(objective, stats)) if objective else shown


def search_table(objective: Objective, levels: Sequence[Level]) -> RenderableType:
    """Every load that was tried, and the highest that met the objective."""
    shown = Table(title=f"objective: {objective}", title_justify="left")
    for heading in ("callers", "answers", *(term.text for term in objective.terms), "met"):
        shown.add_column(heading, justify="right")
    for level in sorted(levels, key=lambda level: level.callers):
        values = [_shown(term["value"], share=term["term"].endswith("%")) for term in terms(objective, level.stats)]
        met = {True: "yes", False: "no", None: "broken off"}[level.met]
        shown.add_row(str(level.callers), str(level.stats.heard), *values, met + _doubt(level.stats))
    best = highest(levels)
    found = "no load that was tried meets the objective" if best is None else f"highest load: {best} callers at once"
    return Group(shown, Text(found))


def describe(recordings: Sequence[Recording]) -> dict[str, Any]:
    """How many recordings, of what length, and of how many the words are known."""
    lengths_s = [recording.duration_s for recording in recordings]
    return {
        "count": len(lengths_s),
        "mean_s": round(sum(lengths_s) / len(lengths_s), 3),
        "longest_s": round(max(lengths_s), 3),
        "with_words": sum(recording.said is not None for recording in recordings),
    }


def _histogram(stats: LoadStats, name: str) -> Histogram:
    found: Histogram = getattr(stats, name)
    return found


def _steps(histogram: Histogram) -> list[tuple[float, int]]:
    return [(round(upper_s, 6), count) for upper_s, count in histogram.steps()]


def _counts(stats: LoadStats, *names: str) -> dict[str, int]:
    return {name: getattr(stats, name) for name in names}


def _cells(histogram: Histogram) -> list[str]:
    counts = [str(histogram.count), str(histogram.missing or "")]
    if not histogram.count + histogram.missing:
        return counts + ["–"] * 5
    return [*counts, *(_milliseconds(histogram.percentile(share)) for share in (0.5, 0.95, 0.99, 0.999, 1))]


def _milliseconds(value_s: float) -> str:
    return "never" if math.isinf(value_s) else f"{1000 * value_s:.0f}"


def _shown(value: float | None, *, share: bool) -> str:
    if value is None:
        return "–" if share else "never"
    return f"{value:.1%}" if share else f"{1000 * value:.0f} ms"


def _verdict(objective: Objective, stats: LoadStats) -> list[Text]:
    lines = []
    for term in terms(objective, stats):
        value = _shown(term["value"], share=term["term"].endswith("%"))
        lines.append(Text(f"objective {'met' if term['met'] else 'missed'}: {term['term']}: {value}"))
    return lines


def _doubt(stats: LoadStats) -> str:
    return ", generator late" if saturated(stats) else ""


def _headline(stats: LoadStats) -> str:
    return (
        f"{stats.started} sessions in {stats.elapsed_s:.0f} s, at most {stats.most_at_once} at once\n"
        f"  {stats.completed} completed, {stats.failed} failed ({stats.refused} of them refused), "
        f"{stats.unfinished} unfinished, {stats.skipped} skipped\n"
        f"{stats.asked} turns asked, {stats.answered} answered, {stats.barged_in} interrupted by the caller, "
        f"{stats.wrong} wrong\n"
        f"  {stats.audio_s:.1f} s of audio, {stats.gaps} gaps in {stats.turns_with_gaps} answers; "
        f"{stats.interrupted} answers began too early"
    )


def _footer(stats: LoadStats) -> str:
    lines = [f"error {code}: {count}" for code, count in stats.errors.most_common()]
    if saturated(stats):
        lines.append(
            "The generator itself was late: it measures its own machine here. Use fewer sessions or more cores."
        )
    return "\n".join(lines)


def embedded(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The result as the page draws it."""
    return {**result, "names": {key: name for key, (name, _) in _TIMES.items()}}
