"""All faults, several times each, under live sessions: the table of docs/faults.md.

    python -m tests.faults --rounds 5 --sessions 8

A turn that fails, or does not say the words and samples that its session heard first, counts as lost. Exit status 1 if
anything was lost or left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from tests.bench.results import DOCS, ROOT, origin, quote, table, write
from tests.faults.ends import killed, stopped
from tests.faults.faults import FAULTS, Processes
from tests.faults.inject import Outcome, inject, sizes
from tests.faults.sessions import talking
from tests.live_server import free_port, running_server


def main() -> int:
    """Inject, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--only", default="", help="faults whose names contain this")
    parser.add_argument("--out", type=Path, default=DOCS, help="directory of the results")
    options = parser.parse_args()
    record: dict[str, Any] = {"origin": origin() | {"command": "python -m tests.faults " + " ".join(sys.argv[1:])}}
    record |= {"rounds": options.rounds, "sessions": options.sessions}
    with tempfile.TemporaryDirectory() as place:
        record |= asyncio.run(measure(Path(place), options.rounds, options.sessions, options.only))
    write(options.out, "faults", record, report(record))
    if options.out == DOCS:
        page, text = ROOT / "docs" / "faults.md", (DOCS / "faults.md").read_text(encoding="utf-8")
        page.write_text(quote(page.read_text(encoding="utf-8"), "faults", text), encoding="utf-8")
    rows = record["faults"].values()
    return int(any(row["lost"] or row["gone"] for row in rows) or bool(record["stop"]["wrong"]))


async def measure(place: Path, rounds: int, sessions: int, only: str) -> dict[str, Any]:
    """One server for all faults, so that what one leaves behind meets the next; then the ends of servers."""
    record: dict[str, Any] = {"faults": {}}
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running_server(place / "faults.log", port) as server:
        processes = Processes(psutil.Process(server.pid))
        async with talking(url, sessions) as talkers:
            for name, fault in FAULTS.items():
                if only in name:
                    before = await sizes(processes, url)
                    outcomes = [await inject(fault, processes, url, talkers) for _ in range(rounds)]
                    record["faults"][name] = summed(outcomes) | {
                        "before": asdict(before),
                        "after": asdict(await sizes(processes, url)),
                    }
                    print(f"{name}: {record['faults'][name]}"[:300], file=sys.stderr)
    record["kill_s"], record["stop"] = [], {"s": [], "wrong": []}
    for number in range(rounds):
        with running_server(place / f"kill{number}.log", port) as server:
            record["kill_s"].append(await killed(Processes(psutil.Process(server.pid))))
            server.wait()
        with running_server(place / f"stop{number}.log", port) as server:
            processes = Processes(psutil.Process(server.pid))
            async with talking(url, sessions) as talkers:
                took_s, wrong = await stopped(processes, talkers)
            record["stop"]["s"].append(took_s)
            record["stop"]["wrong"] += wrong
            server.wait()
    return record


def summed(outcomes: list[Outcome]) -> dict[str, Any]:
    """Of all rounds of one fault: the worst of each."""
    noticed = [outcome.noticed_s for outcome in outcomes if outcome.noticed_s is not None]
    return {
        "turns": sum(outcome.turns for outcome in outcomes),
        "lost": [what for outcome in outcomes for what in outcome.lost],
        "gone": [what for outcome in outcomes for what in outcome.gone],
        "stall_s": max(outcome.stall_s for outcome in outcomes),
        "noticed_s": max(noticed, default=None),
        "recovered_s": max(outcome.recovered_s for outcome in outcomes),
    }


def report(record: dict[str, Any]) -> str:
    """A line a fault, and two about the end."""
    head = ["fault", "turns", "lost", "sessions lost", "longest gap, s", "`/readyz` told after, s", "ready again, s"]
    lines = []
    for name, row in record["faults"].items():
        noticed = "–" if row["noticed_s"] is None else f"{row['noticed_s']:.2f}"
        figures = [f"{row['stall_s']:.2f}", noticed, f"{row['recovered_s']:.2f}"]
        sizes_ = [f"{row[when]['resident_mb']:.0f} / {row[when]['descriptors']}" for when in ("before", "after")]
        lines.append(
            [name, str(row["turns"]), str(len(row["lost"])), str(len(row["gone"])), *figures, " → ".join(sizes_)]
        )
    rounds, killed_s, stop = record["rounds"], max(record["kill_s"]), record["stop"]
    return (
        table([*head, "gateway before → after, MB / descriptors"], lines)
        + f"\n\nThe gateway was killed {rounds} times while a vocoder was stopped: no process was left after {killed_s:.2f} s at most, "
        f"and the next server had the address. It was stopped {rounds} times (SIGTERM) while {record['sessions']} sessions talked: "
        f"gone after {max(stop['s']):.1f} s at most, {len(stop['wrong'])} turns lost or sockets closed otherwise than with 1012."
    )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
