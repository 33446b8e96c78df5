"""What one machine gives to one caller and to four: time to the first audio, whether playing never waits, and memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from model.evaluation.asking import Reply, ask
from model.evaluation.bench import Bench, Case, Row, Table, each, grouped, no_items, number, percent

QUESTIONS, CALLERS = 6, (1, 4)


class Callers:
    """The first questions of the sets, asked alone and by four at the same moment."""

    name = "callers"
    timed = True

    def missing(self, bench: Bench) -> str | None:
        """See `Measure`."""
        return no_items(bench, "question")

    def cases(self, bench: Bench) -> list[Case]:
        """See `Measure`."""
        asked = each(bench, "question")[:QUESTIONS]
        return [Case(f"{case.name} by {n}", case.item, str(n)) for n in CALLERS for case in asked]

    async def measure(self, bench: Bench, case: Case) -> Row:
        """See `Measure`."""
        pcm, callers = bench.audio(case.item), int(case.variant)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(bench.stages, pcm, bench.options(case.item))) for _ in range(callers)]
        replies = [task.result() for task in tasks]
        return {
            "callers": callers,
            "first_audio_s": [wait for reply in replies if (wait := _waited(reply)) is not None],
            "answers": callers,
            "underruns": sum(reply.report.playout.underruns > 0 for reply in replies),
            "memory_mb": memory_mb(),
        }

    def tables(self, rows: Sequence[Row]) -> list[Table]:
        """See `Measure`."""
        lines: list[Sequence[Any]] = []
        for callers, found in grouped(rows, lambda row: row["callers"]).items():
            waits = sorted(wait for row in found for wait in row["first_audio_s"])
            answers = sum(row["answers"] for row in found)
            late = sum(row["underruns"] for row in found)
            memory = max((row["memory_mb"] for row in found if row["memory_mb"] is not None), default=None)
            slow = waits[min(len(waits) - 1, int(0.95 * len(waits)))] if waits else None
            fast = median(waits) if waits else None
            line = (callers, answers, number(fast), number(slow), percent(1 - late / answers), number(memory, 0))
            lines.append(line)
        heads = ("callers at once", "answers", "first audio, s: p50", "p95", "never waited while playing", "memory, MB")
        note = (
            "From the complete prompt to the first samples. *Memory*: proportional set size of all processes of the model, the "
            "evaluation included."
        )
        return [Table("Callers", heads, lines, note)]


def _waited(reply: Reply) -> float | None:
    first, heard = reply.report.first_audio_s, reply.report.heard_s
    return None if first is None else round(first - (heard or 0.0), 4)


def memory_mb() -> float | None:
    """Proportional set size of this process and all below it, in MB; None where /proc does not tell."""
    import os

    children: dict[int, list[int]] = {}
    try:
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                children.setdefault(int(path.read_text().rpartition(")")[2].split()[1]), []).append(
                    int(path.parent.name)
                )
            except OSError:  # it ended meanwhile
                continue
        total, waiting = 0, [os.getpid()]
        while waiting:
            process = waiting.pop()
            waiting += children.get(process, [])
            total += _pss_kb(process)
    except OSError:
        return None
    return round(total / 1000 * 1.024, 1)


def _pss_kb(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
