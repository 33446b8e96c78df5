"""All faults and attacks, several times each, under live sessions: the tables of docs/faults.md.

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
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from tests.bench.results import DOCS, origin
from tests.faults import reports
from tests.faults.attacks import ATTACKS
from tests.faults.ends import killed, stopped
from tests.faults.faults import FAULTS, Processes
from tests.faults.inject import Outcome, inject, sizes
from tests.faults.sessions import Talker, talking
from tests.faults.under_attack import Attacked, attacked, undisturbed
from tests.live_server import free_port, running_server

Record = dict[str, Any]
BUSY, AT_EASE = 0.5, 2.0
"""Rests of the sessions between two turns. On a machine that is full already, attackers are only told so."""


def main() -> int:
    """Inject, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--part", choices=list(PARTS), help="only this table")
    parser.add_argument("--only", default="", help="rows whose names contain one of these, separated by commas")
    parser.add_argument("--out", type=Path, default=DOCS, help="directory of the results")
    options = parser.parse_args()
    held = True
    for part in [options.part] if options.part else PARTS:
        record: Record = {"origin": origin() | {"command": "python -m tests.faults " + " ".join(sys.argv[1:])}}
        record |= {"rounds": options.rounds, "sessions": options.sessions}
        with tempfile.TemporaryDirectory() as place:
            record |= asyncio.run(PARTS[part](Path(place), options.rounds, options.sessions, options.only))
        if part != "ends":
            record = reports.joined(record, options.out, part)
        reports.publish(options.out, part, record, reports.REPORTS[part](record))
        held = held and reports.held(record)
    return 0 if held else 1


@asynccontextmanager
async def _served(place: Path, sessions: int, rest: float) -> AsyncGenerator[tuple[Processes, str, list[Talker]]]:
    """One server for all rows, so that what one leaves behind meets the next."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running_server(place / "server.log", port) as server:
        async with talking(url, sessions, rest) as talkers:
            yield Processes(psutil.Process(server.pid)), url, talkers


async def _rows(
    server: tuple[Processes, str, list[Talker]], names: list[str], row: Callable[[str], Awaitable[Record]]
) -> dict[str, Record]:
    """What each does, with the gateway's sizes around it."""
    processes, url, _ = server
    rows: dict[str, Record] = {}
    for name in names:
        before = await sizes(processes, url)
        rows[name] = await row(name) | {"before": asdict(before), "after": asdict(await sizes(processes, url))}
        print(f"{name}: {rows[name]}"[:400], file=sys.stderr)
    return rows


def _chosen(names: Iterable[str], only: str) -> list[str]:
    return [name for name in names if any(part in name for part in only.split(","))]


async def measure_faults(place: Path, rounds: int, sessions: int, only: str) -> Record:
    """Parts of the server die or hang."""
    async with _served(place, sessions, BUSY) as server:
        processes, url, talkers = server

        async def row(name: str) -> Record:
            return _summed_outcomes([await inject(FAULTS[name], processes, url, talkers) for _ in range(rounds)])

        return {"rows": await _rows(server, _chosen(FAULTS, only), row)}


async def measure_attacks(place: Path, rounds: int, sessions: int, only: str) -> Record:
    """One caller misbehaves."""
    async with _served(place, sessions, AT_EASE) as server:
        processes, url, talkers = server

        async def row(name: str) -> Record:
            before_s = await undisturbed(processes, url)
            attacks = [await attacked(name, processes, url, talkers) for _ in range(rounds)]
            return {"before_s": before_s} | _summed_attacks(attacks)

        return {"rows": await _rows(server, _chosen(ATTACKS, only), row)}


async def measure_ends(place: Path, rounds: int, sessions: int, only: str) -> Record:
    """The server is killed, and stopped."""
    record: Record = {"kill_s": [], "stop_s": [], "rows": {"stopped": {"lost": [], "gone": []}}}
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    for number in range(rounds):
        with running_server(place / f"kill{number}.log", port) as server:
            record["kill_s"].append(await killed(Processes(psutil.Process(server.pid))))
            server.wait()
        with running_server(place / f"stop{number}.log", port) as server:
            processes = Processes(psutil.Process(server.pid))
            async with talking(url, sessions) as talkers:
                took_s, wrong = await stopped(processes, talkers)
            record["stop_s"].append(took_s)
            record["rows"]["stopped"]["lost"] += wrong
            server.wait()
    return record


PARTS = {"faults": measure_faults, "attacks": measure_attacks, "ends": measure_ends}


def _summed_outcomes(outcomes: list[Outcome]) -> Record:
    """Of all rounds of one fault: the worst of each."""
    noticed = [outcome.noticed_s for outcome in outcomes if outcome.noticed_s is not None]
    return {
        "turns": sum(outcome.turns for outcome in outcomes),
        "lost": [what for outcome in outcomes for what in outcome.lost],
        "gone": [what for outcome in outcomes for what in outcome.gone],
        "gap_s": max(outcome.stall_s for outcome in outcomes),
        "noticed_s": max(noticed, default=None),
        "recovered_s": max(outcome.recovered_s for outcome in outcomes),
    }


def _summed_attacks(attacks: list[Attacked]) -> Record:
    """Of all rounds of one attack: the worst of each."""
    return {
        "answers": dict(sum((each.answers for each in attacks), Counter[str]()).most_common()),
        "turns": sum(each.turns for each in attacks),
        "lost": [what for each in attacks for what in each.lost],
        "gone": [what for each in attacks for what in each.gone],
        "stall_s": max(each.stall_s for each in attacks),
        "gap_s": max(each.gap_s for each in attacks),
        "peak": {
            "resident_mb": max(each.peak_mb for each in attacks),
            "descriptors": max(each.peak_descriptors for each in attacks),
        },
    }


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
