"""`cslm eval`: a bundle through its own stages, measured by `model.evaluation`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
            bench = Bench(bundle, model.stages, items, listener, out / "spoken", seed)
            served = about | {"backend": model.backend}
            return await run.evaluate(bench, results, todo, origin=origin, told=served, progress=_show)

    record, text = asyncio.run(measured())
    (out / "eval.json").write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (out / "eval.md").write_text(text, encoding="utf-8")
    return text


def _show(name: str, done: int, total: int) -> None:
    if sys.stderr.isatty() or done == total:
        print(f"\r{name}: {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
