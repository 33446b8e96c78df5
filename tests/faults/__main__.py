"""All faults and attacks, several times each, under live sessions: the tables of docs/faults.md.

    python -m tests.faults --rounds 5 --sessions 8
    python -m tests.faults --part attacks --minutes 8     # a piece of the table; the same command goes on behind it
    python -m tests.faults --part cluster                 # as root, with requirements/cluster.txt

A turn that fails, or does not say the words and samples that its session heard first, counts as lost. Exit status 1 if
anything was lost or left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncGenerator
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
    for part in [options.part] if options.part else ALONE:
        begun = origin() | {"command": "python -m tests.faults " + " ".join(sys.argv[1:])}
        table = reports.Table(options, part, begun)
        with tempfile.TemporaryDirectory() as place:
            asyncio.run(PARTS[part](Path(place), table))
        table.publish()
        held = held and reports.held(table.record)
    return 0 if held else 1


@asynccontextmanager
async def _served(place: Path, sessions: int, rest: float) -> AsyncGenerator[tuple[Processes, str, list[Talker]]]:
    """One server for all rows, so that what one leaves behind meets the next."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running_server(place / "server.log", port) as server:
        async with talking(url, sessions, rest) as talkers:
            yield Processes(psutil.Process(server.pid)), url, talkers


async def measure_faults(place: Path, table: reports.Table) -> None:
    """Parts of the server die or hang."""
    async with _served(place, table.sessions, BUSY) as (processes, url, talkers):
        for name in table.missing(FAULTS):
            before = await sizes(processes, url)
            outcome = await inject(FAULTS[name], processes, url, talkers)
            table.add(name, asdict(outcome) | _around(before, await sizes(processes, url)))


async def measure_attacks(place: Path, table: reports.Table) -> None:
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


async def measure_ends(place: Path, table: reports.Table) -> None:
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


async def measure_cluster(place: Path, table: reports.Table) -> None:
    """Hosts, replicas and gateways of a cluster fail."""
    from tests.faults import cluster

    await cluster.measure(place, table)


PARTS = {"faults": measure_faults, "attacks": measure_attacks, "ends": measure_ends, "cluster": measure_cluster}
ALONE = ("faults", "attacks", "ends")
"""What needs neither Ray nor to be root."""


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "600")  # else Ray ends this process with its head
    sys.exit(main())
