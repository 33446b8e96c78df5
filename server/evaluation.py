"""`cslm eval`: opens a bundle and measures it with `model.evaluation`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from server.settings import Settings
from server.state.loading import open_model


def evaluate(
    settings: Settings,
    *,
    sets: Path,
    out: Path,
    judge: Path | None,
    only: Sequence[str],
    limit: int | None,
    seed: int,
    fresh: bool,
    origin: dict[str, Any],
) -> str:
    """Measure, write `eval.json` and `eval.md` into `out`; returns the Markdown.

    Raises EvaluationError for what cannot be measured, BundleError and EngineUnavailable for what cannot be loaded.
    """
    from model.bundle import find_bundle
    from model.evaluation import run
    from model.evaluation.bench import Bench
    from model.evaluation.judge import Judge
    from model.evaluation.report import told
    from model.evaluation.sets import read_sets

    todo, items, bundle = run.chosen(only), read_sets(sets, limit=limit), find_bundle(settings.bundle)
    listener = None if judge is None else Judge(judge)
    about = told(bundle, sets, judge) | {"backend": settings.backend, "seed": seed}
    results = run.Results(out, about, fresh=fresh)

    async def measured() -> tuple[dict[str, Any], str]:
        async with open_model(settings) as model:
            bench = Bench(bundle, model.stages, items, listener, out / "spoken", seed, limit)
            served = about | {"backend": model.backend}
            with _progress() as progress:
                return await run.evaluate(bench, results, todo, origin=origin, told=served, progress=progress)

    record, text = asyncio.run(measured())
    (out / "eval.json").write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (out / "eval.md").write_text(text, encoding="utf-8")
    return text


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each measure on standard error; where that is no terminal, a line for each that is complete."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name)
            bars.update(tasks[name], completed=done, total=total)
            if bars.disable and done == total:
                console.print(f"{name}: {done} of {total}", highlight=False)

        yield show
