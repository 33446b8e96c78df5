"""`cslm eval`: a bundle through its own stages, measured by `model.evaluation`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from server.runtime import open_model
from server.settings import Settings


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
    from model.evaluation.judge import Judge
    from model.evaluation.report import file_hash, weights
    from model.evaluation.run import Results, chosen
    from model.evaluation.sets import read_sets

    todo, items, bundle = chosen(only), read_sets(sets, limit=limit), find_bundle(settings.bundle)
    listener = None if judge is None else Judge(judge)
    told = {
        "bundle": bundle.profile.name,
        "weights": weights(bundle.directory),
        "sets": {path.name: file_hash(path) for path in sorted(sets.glob("*.*")) if path.suffix in (".tsv", ".jsonl")},
        "judge": None if judge is None else f"{judge.name} ({file_hash(judge / 'model.bin')})",
        "backend": settings.backend,
        "seed": seed,
    }
    results = Results(out, told, fresh=fresh)
    record, text = asyncio.run(_run(settings, items, listener, out, todo, results, told, origin, seed))
    (out / "eval.json").write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (out / "eval.md").write_text(text, encoding="utf-8")
    return text


async def _run(
    settings: Settings,
    items: Sequence[Any],
    judge: Any,
    out: Path,
    todo: Sequence[Any],
    results: Any,
    told: dict[str, Any],
    origin: dict[str, Any],
    seed: int,
) -> tuple[dict[str, Any], str]:
    from model.bundle import find_bundle
    from model.evaluation.bench import Bench
    from model.evaluation.run import evaluate as measure

    async with open_model(settings) as model:
        bench = Bench(find_bundle(settings.bundle), model.stages, items, judge, out / "spoken", seed)
        return await measure(
            bench, results, todo, origin=origin, told=told | {"backend": model.backend}, progress=_show
        )


def _show(name: str, done: int, total: int) -> None:
    if sys.stderr.isatty() or done == total:
        print(f"\r{name}: {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
