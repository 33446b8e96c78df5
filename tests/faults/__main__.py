"""All faults and attacks, several times each, under live sessions: the tables of docs/faults.md.

    python -m tests.faults --rounds 5 --sessions 8
    python -m tests.faults --part attacks --minutes 8     # a piece of the table; the same command goes on behind it

A turn that fails, or does not say the words and samples that its session heard first, counts as lost. Exit status 1 if
anything was lost or left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
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
from tests.faults.inject import Sizes, inject, sizes
from tests.faults.sessions import Talker, talking
from tests.faults.under_attack import attacked, undisturbed
from tests.live_server import free_port, running_server

Record = dict[str, Any]
BUSY, AT_EASE = 0.5, 2.0
"""Rests of the sessions between two turns. On a machine that is full already, attackers are only told so."""


def main() -> int:
    """Inject, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="no round of a table begins later than this"
    )
    parser.add_argument("--part", choices=list(PARTS), help="only this table")
    parser.add_argument("--only", default="", help="rows whose names contain one of these, separated by commas")
    parser.add_argument("--out", type=Path, default=DOCS, help="directory of the results")
    options = parser.parse_args()
    held = True
    for part in [options.part] if options.part else PARTS:
        begun = origin() | {"command": "python -m tests.faults " + " ".join(sys.argv[1:])}
        table = Table(options, part, begun)
        with tempfile.TemporaryDirectory() as place:
            asyncio.run(PARTS[part](Path(place), table))
        table.publish()
        held = held and reports.held(table.record)
    return 0 if held else 1


class Table:
    """One table, which may be made in pieces: what the same command has measured of the same commit before stays in it.

    Each round of a row is written down as it ends.
    """

    def __init__(self, options: argparse.Namespace, part: str, begun: Record) -> None:
        self.rounds: int = options.rounds
        self.sessions: int = options.sessions
        self._options, self._part = options, part
        self._end_s = time.monotonic() + 60 * options.minutes
        self.record: Record = {"origin": begun, "rounds": self.rounds, "sessions": self.sessions, "rows": {}}
        self.record = reports.continued(self.record, options.out, part)

    def missing(self, names: Iterable[str]) -> Iterator[str]:
        """The next row of those in `names` that has rounds to be made, as often as there is one and time for it."""
        chosen = [name for name in names if any(part in name for part in self._options.only.split(","))]
        rows: dict[str, list[Record]] = self.record["rows"]
        for name in chosen:
            while len(rows.setdefault(name, [])) < self.rounds and time.monotonic() < self._end_s:
                yield name

    def add(self, name: str, round_: Record) -> None:
        """What a round was like."""
        self.record["rows"][name].append(round_)
        reports.keep(self._options.out, self._part, self.record)
        print(f"{name}: {round_}"[:400], file=sys.stderr)

    def publish(self) -> None:
        """Write it for readers."""
        reports.publish(self._options.out, self._part, self.record, reports.REPORTS[self._part](self.record))


@asynccontextmanager
async def _served(place: Path, sessions: int, rest: float) -> AsyncGenerator[tuple[Processes, str, list[Talker]]]:
    """One server for all rows, so that what one leaves behind meets the next."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running_server(place / "server.log", port) as server:
        async with talking(url, sessions, rest) as talkers:
            yield Processes(psutil.Process(server.pid)), url, talkers


async def measure_faults(place: Path, table: Table) -> None:
    """Parts of the server die or hang."""
    async with _served(place, table.sessions, BUSY) as (processes, url, talkers):
        for name in table.missing(FAULTS):
            before = await sizes(processes, url)
            outcome = await inject(FAULTS[name], processes, url, talkers)
            table.add(name, asdict(outcome) | _around(before, await sizes(processes, url)))


async def measure_attacks(place: Path, table: Table) -> None:
    """One caller misbehaves."""
    async with _served(place, table.sessions, AT_EASE) as (processes, url, talkers):
        for name in table.missing(ATTACKS):
            before = await sizes(processes, url)
            alone: Record = {}
            if not table.record["rows"][name]:
                alone["slowest_before_s"], alone["stalled_before_s"] = await undisturbed(processes, url)
            attack = await attacked(name, processes, url, talkers)
            table.add(name, asdict(attack) | alone | _around(before, await sizes(processes, url)))


def _around(before: Sizes, after: Sizes) -> Record:
    return {"before": asdict(before), "after": asdict(after)}


async def measure_ends(place: Path, table: Table) -> None:
    """The server is killed, and stopped."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    for name in table.missing(("killed and stopped",)):
        with running_server(place / "killed.log", port) as server:
            kill_s = await killed(Processes(psutil.Process(server.pid)))
            server.wait()
        with running_server(place / "stopped.log", port) as server:
            processes = Processes(psutil.Process(server.pid))
            async with talking(url, table.sessions) as talkers:
                stop_s, wrong = await stopped(processes, talkers)
            server.wait()
        table.add(name, {"kill_s": kill_s, "stop_s": stop_s, "lost": wrong, "gone": []})


PARTS = {"faults": measure_faults, "attacks": measure_attacks, "ends": measure_ends}


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
