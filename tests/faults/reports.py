"""What was measured, as tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.bench.results import DOCS, ROOT, quote, table, write

Record = dict[str, Any]
_MOST_ANSWERS = 3


def held(record: Record) -> bool:
    """Nothing was lost."""
    return not any(row["lost"] or row["gone"] for row in record["rows"].values())


def joined(record: Record, out: Path, part: str) -> Record:
    """With the rows that the same command has measured of the same commit before: a long table may be made in pieces."""
    path = out / f"{part}.json"
    before: Record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    commits = {
        str(each.get("origin", {}).get("commit")).rstrip("+") for each in (before, record)
    }  # results change files
    if len(commits) == 1 and all(before[key] == record[key] for key in ("rounds", "sessions")):
        record["rows"] = before["rows"] | record["rows"]
    return record


def publish(out: Path, part: str, record: Record, text: str) -> None:
    """Write it, and quote it in docs/faults.md where it is for the documents."""
    write(out, part, record, text)
    if out == DOCS:
        page, said = ROOT / "docs" / "faults.md", (DOCS / f"{part}.md").read_text(encoding="utf-8")
        page.write_text(quote(page.read_text(encoding="utf-8"), part, said), encoding="utf-8")


def _size(row: Record, *when: str) -> str:
    return " → ".join(f"{row[each]['resident_mb']:.0f} / {row[each]['descriptors']}" for each in when)


def _faults(record: Record) -> str:
    head = [
        "fault", "turns", "lost", "sessions lost", "longest gap, s", "`/readyz` told after, s", "ready again, s",
        "gateway before → after, MB / descriptors",
    ]  # fmt: skip
    return table(
        head,
        [
            [
                name,
                str(row["turns"]),
                str(len(row["lost"])),
                str(len(row["gone"])),
                f"{row['gap_s']:.2f}",
                "–" if row["noticed_s"] is None else f"{row['noticed_s']:.2f}",
                f"{row['recovered_s']:.2f}",
                _size(row, "before", "after"),
            ]
            for name, row in record["rows"].items()
        ],
    )


def _attacks(record: Record) -> str:
    head = [
        "attack", "answered", "turns of others", "lost", "sessions lost", "longest gap, s",
        "slowest `/healthz` before → under it, ms", "gateway before → at most → after, MB / descriptors",
    ]  # fmt: skip
    return table(
        head,
        [
            [
                name,
                ", ".join(f"{count} × {answer}" for answer, count in list(row["answers"].items())[:_MOST_ANSWERS])
                or "no error",
                str(row["turns"]),
                str(len(row["lost"])),
                str(len(row["gone"])),
                f"{row['gap_s']:.2f}",
                f"{1000 * row['before_s']:.0f} → {1000 * row['stall_s']:.0f}",
                _size(row, "before", "peak", "after"),
            ]
            for name, row in record["rows"].items()
        ],
    )


def _ends(record: Record) -> str:
    rounds, wrong = record["rounds"], len(record["rows"]["stopped"]["lost"])
    return (
        f"The gateway was killed {rounds} times while a vocoder was stopped: no process was left after {max(record['kill_s']):.2f} s "
        f"at most, and the next server had the address. It was stopped {rounds} times (SIGTERM) while {record['sessions']} sessions "
        f"talked: gone after {max(record['stop_s']):.1f} s at most, {wrong} turns lost or sockets closed otherwise than with 1012."
    )


REPORTS = {"faults": _faults, "attacks": _attacks, "ends": _ends}
