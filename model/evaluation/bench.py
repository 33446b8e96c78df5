"""What a measure takes and gives: the bench, cases, results that can be kept as JSON, tables."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from model.bundle import Bundle
from model.evaluation.judge import Judge
from model.evaluation.sets import Item, Pcm, read_audio
from streaming.stages import Stages, TurnOptions

Row = dict[str, Any]
"""Result of one case. A pair [errors, total] is a count to add up."""


@dataclass(frozen=True)
class Bench:
    """A warm model, what to ask it, and who listens. `keep`: directory for spoken answers; `limit`: most rows of a set."""

    bundle: Bundle
    stages: Stages
    items: Sequence[Item]
    judge: Judge | None
    keep: Path
    seed: int = 0
    limit: int | None = None

    def audio(self, item: Item) -> Pcm:
        """The item's recording at the rate that the bundle hears."""
        return read_audio(item, self.bundle.profile.input_sample_rate_hz)

    def options(self, item: Item, **more: Any) -> TurnOptions:
        """To be answered in the item's language, with the bundle's own sampling."""
        return TurnOptions(reply_language=item.reply_language, **more)

    def listen(self, pcm: Pcm, language: str) -> tuple[str, str]:
        """What the judge understood, and in which language. Only where there is a judge."""
        assert self.judge is not None
        profile = self.bundle.profile
        heard = self.judge.hear(pcm, profile.output_sample_rate_hz, language, profile.languages)
        return heard.text, heard.language

    def keep_audio(self, name: str, pcm: Pcm) -> str:
        """Writes a spoken answer as FLAC; its path below the results."""
        import soundfile

        path = self.keep / f"{name}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.clip(pcm, -1, 1), self.bundle.profile.output_sample_rate_hz, subtype="PCM_16")
        return str(path.relative_to(self.keep.parent))


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure; `name` is unique within its measure."""

    name: str
    item: Item
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the report; `note` stands below it."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""


class Measure(Protocol):
    """A row of the report, or several. Its cases are independent, so that a broken run goes on where it stopped."""

    @property
    def name(self) -> str:
        """Its name on the command line and in the results."""
        ...

    @property
    def timed(self) -> bool:
        """Whether its results are times or loads: then its cases run one after the other."""
        ...

    def missing(self, bench: Bench) -> str | None:
        """Why it cannot be measured here, or None."""
        ...

    def cases(self, bench: Bench) -> list[Case]:
        """All there is to do."""
        ...

    async def measure(self, bench: Bench, case: Case) -> Row:
        """One result."""
        ...

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """What the results say."""
        ...


def each(bench: Bench, task: str | None, *, recordings: bool = True) -> list[Case]:
    """A case for every item of `task` (any if None) that has its recording, or text alone will do."""
    items = [item for item in bench.items if task in (None, item.task)]
    return [
        Case(item.name, item) for item in items if not recordings or (item.audio is not None and item.audio.is_file())
    ]


def grouped(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> dict[Any, list[Row]]:
    """Rows by `key`, in order of first appearance."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def rate(rows: Iterable[Row], key: str) -> float | None:
    """Errors ÷ total over the counts in `key`; None where nothing was counted."""
    counts = [row[key] for row in rows if row.get(key) is not None]
    total = sum(of for _, of in counts)
    return sum(wrong for wrong, _ in counts) / total if total else None


def share(rows: Iterable[Row], key: str) -> float | None:
    """Share of true among the rows where `key` is true or false."""
    known = [row[key] for row in rows if row.get(key) is not None]
    return sum(known) / len(known) if known else None


def percent(value: float | None) -> str:
    """One decimal, – for None."""
    return "–" if value is None else f"{value:.1%}"


def number(value: float | None, digits: int = 2) -> str:
    """So many decimals, – for None."""
    return "–" if value is None else f"{value:.{digits}f}"


NEEDS_JUDGE = "needs --judge, an independent recognizer"


def no_items(bench: Bench, task: str | None, *, recordings: bool = True) -> str | None:
    """Why there is nothing to measure, or None."""
    if each(bench, task, recordings=recordings):
        return None
    kind = f"items of task {task!r}" if task else "items"
    return f"the sets have no {kind}{' with a recording' if recordings else ''}"
