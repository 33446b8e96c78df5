"""One table of what counts when a bundle is talked to, from the rows of all measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from model.evaluation.alignment import best_found
from model.evaluation.bench import Row, Table, number, percent, rate, share

Rows = Sequence[Row]
LONG_S = 4.0
OF_PEOPLE = "people"


def _of(rows: Rows, **wanted: Any) -> list[Row]:
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def _rates(rows: Rows, key: str, **wanted: Any) -> str:
    return percent(rate(_of(rows, **wanted), key))


def _units(language: str, key: str) -> Callable[[Rows], str]:
    return lambda rows: " / ".join(_rates(rows, key, language=language, wrong=wrong) for wrong in (0.08, 0.15))


def _shares(key: str, name: str) -> Callable[[Rows], str]:
    return lambda rows: " / ".join(
        percent(share([row for row in _of(rows, set=name) if row["direction"].startswith(language)], key))
        for language in ("en", "zh")
    )


def _obeyed(rows: Rows) -> str:
    return _shares("kept", "obey")([row | {"kept": row["obeyed"] and row["sensible"]} for row in rows])


def _first_audio(callers: int) -> Callable[[Rows], str]:
    def p50(rows: Rows) -> str:
        waits = [wait for row in _of(rows, callers=callers) for wait in row["first_audio_s"]]
        return number(median(waits)) if waits else "–"

    return p50


def _chain(rows: Rows) -> str:
    """Mean first audio of the full chain ÷ interleaved, over answers of 4 s and more."""
    ways = ("full_chain", "interleaved")
    long = [
        row
        for row in rows
        if all(way in row and row[way]["first_audio_s"] for way in ways) and row["interleaved"]["audio_s"] >= LONG_S
    ]
    above, below = ([row[way]["first_audio_s"] for row in long] for way in ways)
    return f"{number(fmean(above) / fmean(below))} (n = {len(long)})" if long else "–"


def _repeated(rows: Rows) -> str:
    return " / ".join(_rates(rows, "sounded", language=language) for language in ("en", "zh"))


def _memory(rows: Rows) -> str:
    return number(max((row["memory_mb"] for row in rows if row["memory_mb"] is not None), default=None), 0)


_LINES: tuple[tuple[str, str, Callable[[Rows], str]], ...] = (
    ("units → English text, 8 / 15 % of the units wrong: words wrong", "units", _units("en", "written")),
    ("units → Mandarin text, 8 / 15 %: characters wrong", "units", _units("zh", "written")),
    ("the same: syllables without tone", "units", _units("zh", "sounded")),
    ("people reading English: words wrong", "asr", lambda rows: _rates(rows, "written", set=OF_PEOPLE, language="en")),
    ("people reading Mandarin: characters wrong", "asr", lambda rows: _rates(rows, "written", set=OF_PEOPLE, language="zh")),
    ("open spoken questions understood, en / zh", "open", _shares("understood", "open")),
    ("open spoken questions answered sensibly, en / zh", "open", _shares("sensible", "open")),
    ("open typed questions answered sensibly, en / zh", "open_typed", _shares("sensible", "open")),
    ("spoken follow-ups answered rightly, en / zh", "open", _shares("sensible", "follow")),
    ("typed follow-ups answered rightly, en / zh", "open_typed", _shares("sensible", "follow")),
    ("instructions obeyed, sensibly, spoken, en / zh", "open", _obeyed),
    ("instructions obeyed, sensibly, typed, en / zh", "open_typed", _obeyed),
    ("closed questions, spoken: right in text", "answers", lambda rows: percent(share(_of(rows, set="questions"), "right"))),
    ("closed questions, typed: right in text", "typed", lambda rows: percent(share(_of(rows, set="questions"), "right"))),
    ("repeat after me, audio to audio: errors, en / zh", "repeat", _repeated),
    ("parallel speech–text similarity: found, best layer", "similarity", lambda rows: percent(best_found(rows))),
    ("first audio, s, p50: alone", "callers", _first_audio(1)),
    ("first audio, s, p50: four callers", "callers", _first_audio(4)),
    ("answers of 4 s and more: first audio, full chain ÷ interleaved", "chain", _chain),
    ("memory, MB", "callers", _memory),
)  # fmt: skip


def summary(rows: Mapping[str, Rows]) -> Table:
    """The lines whose measure has results, of `rows` by measure."""
    values = [(label, told(rows[name])) for label, name, told in _LINES if rows.get(name)]
    lines = [(label, value) for label, value in values if value.strip("– /")]
    return Table(
        "Summary", ("", "measured"), lines, "Each line comes from the tables below, which say how many were asked."
    )
