"""Where a number comes from and how it is written down: JSON, and a piece of Markdown that docs/benchmarks.md quotes."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
    from clients.load_report import checkout, machine

    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": checkout(),
        "machine": machine(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "weights": weights(bundle),
        "command": command(),
    }


def command() -> str:
    """How to run this again."""
    return f"python -m tests.bench.{Path(sys.argv[0]).stem} {' '.join(sys.argv[1:])}".strip()


def weights(bundle: Path) -> dict[str, str]:
    """SHA-256 of each weight file, shortened."""
    files = sorted(bundle.rglob("*.safetensors"))
    return {str(path.relative_to(bundle)): hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in files}


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


def ms(seconds: float | None) -> str:
    """Milliseconds without decimals, – for None."""
    return "–" if seconds is None else f"{1000 * seconds:.0f}"


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
