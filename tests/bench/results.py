"""Where a number comes from and how it is written down: JSON, and a piece of Markdown that docs/benchmarks.md quotes."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from model.evaluation.report import heading, table, weights

__all__ = [
    "BUNDLE",
    "arguments",
    "heading",
    "ms",
    "origin",
    "percentile",
    "quote",
    "summary",
    "table",
    "weights",
    "write",
]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "benchmarks"
BUNDLE = ROOT / "model" / "bundles" / "cslm-mini"


def arguments(doc: str | None, *, server: bool = False) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DOCS, help="directory of the results")
    if server:
        parser.add_argument("--url", default="http://127.0.0.1:8080", help="the server to measure")
    return parser


def origin(bundle: Path = BUNDLE) -> dict[str, Any]:
    """Date, commit, machine, its load before the run, weights and command."""
    from clients.origin import checkout, machine

    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": checkout(),
        "machine": machine(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "weights": weights(bundle),
        "command": command(),
    }


def command() -> str:
    """How to run this again. A path of this machine is known to nobody else: only its last name is kept."""
    given = (Path(each).name if Path(each).is_absolute() else each for each in sys.argv[1:])
    return " ".join(["python -m", f"tests.bench.{Path(sys.argv[0]).stem}", *given])


def ms(seconds: float | None) -> str:
    """Milliseconds without decimals, – for None."""
    return "–" if seconds is None else f"{1000 * seconds:.0f}"


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest measured value that at least `share` (0 < share ≤ 1) of all values do not exceed (nearest rank).

    Never a value that was not measured, and with few values rather too high than too low. Raises ValueError for none.
    """
    if not ordered:
        raise ValueError("no values, no percentile")
    rank = math.ceil(round(share * len(ordered), 9))
    return ordered[max(rank, 1) - 1]


def summary(values: Sequence[float]) -> dict[str, float | int | None]:
    """n, mean, min, p50, p95, p99 and max; None for each where nothing was measured."""
    names, shares = ("p50", "p95", "p99"), (0.50, 0.95, 0.99)
    if not values:
        return {"n": 0} | dict.fromkeys(("mean", "min", *names, "max"))
    ordered = sorted(values)
    found = {"mean": sum(ordered) / len(ordered), "min": ordered[0]}
    found |= {name: percentile(ordered, share) for name, share in zip(names, shares, strict=True)}
    found["max"] = ordered[-1]
    return {"n": len(ordered)} | {name: round(value, 6) for name, value in found.items()}


def write(out: Path, name: str, record: dict[str, Any], markdown: str) -> None:
    """Print the Markdown; write NAME.json and NAME.md into `out`, and quote the latter in `out`.md where that has its marks."""
    text = f"{heading(record)}\n\n{markdown}\n"
    print(text)
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (out / f"{name}.md").write_text(text, encoding="utf-8")
    page = out.with_suffix(".md")
    if page.is_file():
        page.write_text(quote(page.read_text(encoding="utf-8"), name, text), encoding="utf-8")


def quote(page: str, name: str, text: str) -> str:
    """`page` with `text` between the marks `<!-- NAME -->` and `<!-- /NAME -->`."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    return re.sub(f"{begin}.*{end}", lambda _: f"{begin}\n{text}{end}", page, flags=re.DOTALL)
