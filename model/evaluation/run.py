"""Runs measures over their cases and saves every result at once, so that an interrupted run resumes."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from model.evaluation.alignment import Similarity
from model.evaluation.bench import Bench, Measure, Row, Table
from model.evaluation.callers import Callers
from model.evaluation.conversation import Answers, Chain, Reading, Recognition, Repetition, Typed
from model.evaluation.open import OpenQuestions
from model.evaluation.report import markdown
from model.evaluation.sets import EvaluationError, recorded
from model.evaluation.speech import JudgeItself, Seams, Stability, Tokenizer, Voice
from model.evaluation.speed import Speed
from model.evaluation.summary import summary
from model.evaluation.tools import ToolCalls
from model.evaluation.units import Units
from model.training.manifests import kept_lines
from streaming.errors import InvalidRequest

log = logging.getLogger(__name__)

TOGETHER = 4
"""Cases at once of a measure that takes no times: the language model answers several in little more time than one."""


def measures() -> list[Measure]:
    """All there are, in the order of the report."""
    return [
        Units(),
        Recognition(),
        Reading(),
        Answers(),
        Typed(),
        OpenQuestions(typed=False),
        OpenQuestions(typed=True),
        ToolCalls(),
        Chain(),
        Callers(),
        Repetition(),
        Tokenizer(),
        Stability(),
        Voice(),
        Similarity(),
        Seams(),
        Speed(),
        JudgeItself(),
    ]


def chosen(names: Sequence[str]) -> list[Measure]:
    """The measures with these names; without names, all. Raises EvaluationError."""
    known = {measure.name: measure for measure in measures()}
    for name in names:
        if name not in known:
            raise EvaluationError(f"there is no measure {name!r}; accepted: {', '.join(known)}")
    return [known[name] for name in known if not names or name in names]


class Results:
    """`results.jsonl` in a directory: one line a case. `told` says what was measured; other results do not mix with it."""

    def __init__(self, directory: Path, told: dict[str, Any], *, fresh: bool = False) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path, about = directory / "results.jsonl", directory / "about.json"
        if fresh:
            self._path.unlink(missing_ok=True)
        elif self._path.exists():
            before = json.loads(about.read_text(encoding="utf-8")) if about.exists() else {}
            differing = [name for name in told if before.get(name) != told[name]]
            if differing:
                raise EvaluationError(
                    f"{directory} has results of another {', '.join(differing)}: use another directory, or --fresh"
                )
        about.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        self._rows: dict[tuple[str, str], Row] = {}
        for kept in kept_lines(self._path):
            self._rows[kept["measure"], kept["case"]] = kept["row"]

    def of(self, measure: str, case: str) -> Row | None:
        """A result that is there already."""
        return self._rows.get((measure, case))

    def keep(self, measure: str, case: str, row: Row) -> None:
        """Write a result down."""
        line = json.dumps({"measure": measure, "case": case, "row": row}, ensure_ascii=False)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self._rows[measure, case] = json.loads(line)["row"]


async def evaluate(
    bench: Bench,
    results: Results,
    todo: Sequence[Measure],
    *,
    origin: dict[str, Any],
    told: dict[str, Any],
    progress: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> tuple[dict[str, Any], str]:
    """Measure what is not there yet; (record for JSON, Markdown). A case that the model refuses is counted, not fatal."""
    record: dict[str, Any] = {
        "origin": origin | {"date": datetime.now(UTC).isoformat(timespec="seconds"), "load_average": _load()},
        "told": told,
        "sets": _counts(bench),
        "skipped": {},
        "failed": {},
        "measures": {},
    }
    tables: list[Table] = []
    found: dict[str, Sequence[Row]] = {}
    for measure in todo:
        reason = measure.missing(bench)
        if reason:
            record["skipped"][measure.name] = reason
            continue
        rows, failed = await _measure(bench, results, measure, progress)
        if failed:
            record["failed"][measure.name] = failed
        found[measure.name] = rows
        made = measure.tables(rows) if rows else []
        tables += made
        record["measures"][measure.name] = [
            {"title": each.title, "heads": list(each.heads), "rows": [list(line) for line in each.rows]}
            for each in made
        ]
    short = summary(found)
    record["summary"] = [list(line) for line in short.rows]
    return record, markdown(record, [short, *tables] if short.rows else tables)


async def _measure(
    bench: Bench, results: Results, measure: Measure, progress: Callable[[str, int, int], None]
) -> tuple[list[Row], int]:
    """(results of all its cases, how many failed). What failed is tried again in the next run."""
    cases, done = measure.cases(bench), 0
    waiting = iter(cases)

    async def work() -> None:
        nonlocal done
        for case in waiting:
            if results.of(measure.name, case.name) is None:
                try:
                    results.keep(measure.name, case.name, await measure.measure(bench, case))
                except (InvalidRequest, EvaluationError) as error:
                    log.warning("%s: %s: %s", measure.name, case.name, error)
            done += 1
            progress(measure.name, done, len(cases))
            await asyncio.sleep(0)

    if measure.timed:
        await work()
    else:
        async with asyncio.TaskGroup() as group:
            for _ in range(TOGETHER):
                group.create_task(work())
    rows = [row for case in cases if (row := results.of(measure.name, case.name)) is not None]
    return rows, len(cases) - len(rows)


def _counts(bench: Bench) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    there = {item.name for item in recorded(bench.items)}
    for item in bench.items:
        count, total = found.get(item.set, (0, 0))
        found[item.set] = (count + (item.name in there), total + 1)
    return found


def _load() -> list[float]:
    return [round(load, 2) for load in os.getloadavg()]
