"""Sessions that a cluster of cslm-mini answers without gaps, with one replica of each stage and with two.

    pip install -r requirements/cluster.txt && python -m tests.bench.cluster_sessions

A head, two workers and a gateway, all on this machine, so both share its cores with each other and with the sessions: what a second
replica gains where it has a processor of its own is not seen here. Every session asks for an answer, listens to it and asks again.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil

from tests.bench.results import arguments, origin, percentile, table, write
from tests.faults.sessions import Turn, talking
from tests.live_server import free_port, running_server
from tests.ray_cluster import Deployed, cluster, deploy

REPLICAS = (1, 2)
GAP_S = 0.1
"""A shorter silence is not heard as one."""


def main() -> None:
    """Measure and write."""
    parser = arguments(__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=[8, 16, 32], help="how many talk at once")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long they talk, after each has had an answer")
    options = parser.parse_args()
    record: dict[str, Any] = {"origin": origin(), "seconds": options.seconds, "rows": []}
    for replicas in REPLICAS:  # each in a process of its own, because Serve remembers the cluster before
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            record["rows"] += alone.submit(measured, replicas, options.sessions, options.seconds).result()
    write(options.out, "cluster_sessions", record, report(record["rows"]))


def measured(replicas: int, sessions: Sequence[int], seconds: float) -> list[dict[str, Any]]:
    """A row for each number of sessions."""
    port, rows = free_port(), list[dict[str, Any]]()
    with cluster(workers=max(REPLICAS)) as held, tempfile.TemporaryDirectory() as place:
        deploy(held.address, replicas=replicas, backend="transformers")
        with Deployed.watched(held.address, replicas) as deployed:
            asyncio.run(deployed.settled())
        with running_server(
            Path(place) / "gateway.log", port, backend="ray", ray_address=held.address, max_sessions=str(max(sessions))
        ):
            for number in sessions:
                turns, busy = asyncio.run(talked(f"http://127.0.0.1:{port}", number, seconds))
                rows.append({"replicas": replicas, "sessions": number, "busy": busy} | summed(turns))
    return rows


async def talked(url: str, sessions: int, seconds: float) -> tuple[list[Turn], float]:
    """Turns that ended in that time, and the share of it in which this machine's processors worked."""
    async with talking(url, sessions) as talkers:
        before = [len(talker.turns) for talker in talkers]
        psutil.cpu_percent()
        await asyncio.sleep(seconds)
        busy = psutil.cpu_percent() / 100
        return [turn for talker, n in zip(talkers, before, strict=True) for turn in talker.turns[n:]], busy


def summed(turns: Sequence[Turn]) -> dict[str, Any]:
    """Of all sessions."""
    gaps = sorted(turn.gap_s for turn in turns)
    return {
        "turns": len(turns),
        "failed": sum(turn.failure is not None for turn in turns),
        "without_gap": sum(gap <= GAP_S for gap in gaps) / len(gaps) if gaps else 0.0,
        "gap_p95_s": percentile(gaps, 0.95) if gaps else None,
    }


def report(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    head = [
        "replicas of each stage",
        "sessions",
        "turns",
        "failed",
        "without a gap",
        "longest gap of a turn, p95, s",
        "processors busy",
    ]
    return table(
        head,
        [
            [
                str(row["replicas"]),
                str(row["sessions"]),
                str(row["turns"]),
                str(row["failed"]),
                f"{100 * row['without_gap']:.0f} %",
                "–" if row["gap_p95_s"] is None else f"{row['gap_p95_s']:.2f}",
                f"{100 * row['busy']:.0f} %",
            ]
            for row in rows
        ],
    )


if __name__ == "__main__":
    main()
