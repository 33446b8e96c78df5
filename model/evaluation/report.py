"""Writes results as JSON and Markdown, with their origin."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from model.bundle import Bundle
from model.evaluation.bench import Table
from model.evaluation.judge import MANNER
from model.precision import bfloat16_is_faster
from model.sources import file_hash
from model.training.manifests import SUFFIXES


def weights(bundle: Path) -> dict[str, str]:
    """SHA-256 of each weight file of a bundle, shortened."""
    files = sorted(path for kind in WEIGHTS for path in bundle.rglob(kind))
    return {str(path.relative_to(bundle)): file_hash(path) for path in files}


WEIGHTS = ("*.safetensors", "*.pt")


def told(bundle: Bundle, sets: Path, judge: Path | None) -> dict[str, Any]:
    """What is measured with what, by its content: results with another of these do not mix."""
    manifests = sorted(path for path in sets.glob("*.*") if path.suffix in SUFFIXES)
    return {
        "bundle": bundle.profile.name,
        "weights": weights(bundle.directory),
        "sets": {path.name: file_hash(path) for path in manifests},
        "products": "bfloat16" if bfloat16_is_faster() else "float32",
        "judge": None if judge is None else f"{judge.name} ({file_hash(judge / 'model.bin')}), {MANNER}",
    }


def heading(record: dict[str, Any]) -> str:
    """One line that says how, when and where."""
    at, machine = record["origin"], record["origin"]["machine"]
    commit = (at["commit"] or "no commit")[:10] + ("+" if (at["commit"] or "").endswith("+") else "")
    return (
        f"`{at['command']}` — {at['date'][:19].replace('T', ' ')} UTC, commit {commit}, "
        f"{machine['cpu']}, {machine['usable_cores']} cores, load average before the run {at['load_average'][0]}."
    )


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; columns but the first are aligned to the right where every cell begins with a digit."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    numeric = [all(re.match(r"[-–<]?\d|–$", row[i]) for row in cells) for i in range(len(headings))]
    rule = ["---:" if numeric[i] and i else "---" for i in range(len(headings))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [list(headings), rule, *cells])


def markdown(record: dict[str, Any], tables: Sequence[Table]) -> str:
    """The whole report: where it is from, every table, and what was left out and why."""
    told = record["told"]
    counts = ", ".join(f"{count} of {total} {name}" for name, (count, total) in record["sets"].items())
    text = [
        heading(record),
        f"Bundle {told['bundle']}, language model on {told['backend']}, sampling as the bundle says; seed {told['seed']}; "
        f"judge: {told['judge'] or 'none'}. Recordings found: {counts}.",
    ]
    for each in tables:
        text += [f"### {each.title}", table(each.heads, each.rows), *([each.note] if each.note else [])]
    if record["skipped"]:
        text.append("Not measured: " + "; ".join(f"*{name}*: {why}" for name, why in record["skipped"].items()) + ".")
    if record["failed"]:
        text.append("Failed cases: " + "; ".join(f"{name}: {count}" for name, count in record["failed"].items()) + ".")
    return "\n\n".join(text) + "\n"
