"""Sessions for a long time, with a fault again and again: does memory grow, or the number of descriptors?

    python -m tests.faults.soak --minutes 120 --sessions 8 --rows soak.jsonl
    python -m tests.faults.soak --judge soak.jsonl            # the table of a soak that still runs, or was broken off

Takes all faults of `tests.faults` by turns, each when the server is ready again after the one before. The first fifth of the time is not counted. A slope is that of the straight line through the means of
equal pieces of the rest, with its standard error: what lies within two of them is noise. Exit status 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from tests.bench.results import DOCS, origin, table
from tests.faults.faults import FAULTS, Processes
from tests.faults.reports import publish
from tests.faults.sessions import Talker, talking
from tests.live_server import START_S, free_port, running_server

SAMPLE_S = 5.0
PIECES = 12
WARM_UP = 0.2


@dataclass(frozen=True, slots=True)
class Sample:
    """What the processes hold, and what had happened by then. `at_s`: since the beginning."""

    at_s: float
    gateway_mb: float
    gateway_descriptors: int
    all_mb: float
    processes: int
    faults: int
    turns: int
    lost: list[str]
    gone: list[str]


@dataclass(frozen=True, slots=True)
class Slope:
    """Change an hour, and its standard error."""

    per_hour: float
    error: float

    def __str__(self) -> str:
        return f"{self.per_hour:+.1f} ± {self.error:.1f}"


def slope(at_s: Sequence[float], values: Sequence[float]) -> Slope:
    """Of the line through the means of `PIECES` pieces: neighbouring samples are too much alike to count one by one."""
    pieces = zip(
        np.array_split(np.asarray(at_s), PIECES), np.array_split(np.asarray(values, float), PIECES), strict=True
    )
    means = np.array([(hours.mean() / 3600, piece.mean()) for hours, piece in pieces])
    hours = means[:, 0] - means[:, 0].mean()
    per_hour = float(hours @ means[:, 1] / (hours @ hours))
    rest = means[:, 1] - means[:, 1].mean() - per_hour * hours
    return Slope(per_hour, float(np.sqrt(rest @ rest / (PIECES - 2) / (hours @ hours))))


def sample(processes: Processes, began_s: float, faults: int, talkers: Sequence[Talker]) -> Sample:
    """As it is now. Shared pages of workers are counted once (PSS); a process that has just gone counts nothing."""
    family, all_mb = processes.all(), 0.0
    for each in family:
        try:
            all_mb += each.memory_full_info().pss / 1e6
        except psutil.Error:
            continue
    gateway = processes.gateway
    return Sample(
        time.monotonic() - began_s,
        gateway.memory_info().rss / 1e6,
        gateway.num_fds(),
        all_mb,
        len(family),
        faults,
        sum(len(talker.turns) for talker in talkers),
        [what for talker in talkers for what in talker.lost],
        [talker.gone for talker in talkers if talker.gone],
    )


async def soak(place: Path, options: argparse.Namespace, rows: Path) -> None:
    """Talk and hurt for so many minutes. Each sample is a line of `rows` at once."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    faults = list[str]()
    lasting = {"max_session_s": str(60 * options.minutes + START_S)}
    with (
        running_server(place / "soak.log", port, **lasting) as server,
        rows.open("a", encoding="utf-8", buffering=1) as out,
    ):
        processes = Processes(psutil.Process(server.pid))
        async with talking(url, options.sessions, options.rest) as talkers:
            began_s = time.monotonic()
            hurting = asyncio.create_task(_hurt(processes, url, options.every_s, faults))
            while time.monotonic() - began_s < 60 * options.minutes:
                taken = await asyncio.to_thread(sample, processes, began_s, len(faults), talkers)
                out.write(json.dumps(asdict(taken)) + "\n")
                await asyncio.sleep(SAMPLE_S)
            hurting.cancel()
            await asyncio.wait({hurting})


async def _hurt(processes: Processes, url: str, every_s: float, faults: list[str]) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        for name in itertools.cycle(FAULTS):
            await asyncio.sleep(every_s)
            while (await client.get("/readyz")).status_code != 200:
                await asyncio.sleep(1.0)
            faults.append(name)
            await FAULTS[name](processes)


def judged(rows: Path) -> dict[str, Any]:
    """What a soak wrote down: where it came from, the slopes, and what was lost. A last line that was cut off is left out."""
    head, *lines = rows.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
    samples = [Sample(**json.loads(line)) for line in lines]
    counted = [each for each in samples if each.at_s >= WARM_UP * samples[-1].at_s]
    at_s = [each.at_s for each in counted]
    columns = {
        "gateway, MB": [each.gateway_mb for each in counted],
        "gateway, descriptors": [float(each.gateway_descriptors) for each in counted],
        "all processes, MB": [each.all_mb for each in counted],
    }
    table_rows = {
        name: {
            "first": values[0],
            "last": values[-1],
            "slope": str(line := slope(at_s, values)),
            "noise": abs(line.per_hour) <= 2 * line.error,
        }
        for name, values in columns.items()
    }
    last = asdict(samples[-1])
    counts = {name: last[name] for name in ("faults", "turns", "lost", "gone")}
    return json.loads(head) | {"rows": table_rows, "minutes": last["at_s"] / 60} | counts


def report(record: dict[str, Any]) -> str:
    """The slopes, and what was lost."""
    lines = [
        [name, f"{row['first']:.0f}", f"{row['last']:.0f}", row["slope"], "yes" if row["noise"] else "no"]
        for name, row in record["rows"].items()
    ]
    return (
        table(["", "first", "last", "change an hour", "within two standard errors"], lines)
        + f"\n\n{record['minutes']:.0f} minutes, {record['sessions']} sessions, {record['faults']} faults, {record['turns']} turns, "
        f"{len(record['lost'])} of them lost, {len(record['gone'])} sessions lost."
    )


def main() -> int:
    """Soak and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument(
        "--rest", type=float, default=0.5, help="of a session after an answer, as a share of its length"
    )
    parser.add_argument("--every-s", type=float, default=60, help="between two faults")
    parser.add_argument("--rows", type=Path, help="where samples are written as they are taken")
    parser.add_argument("--judge", type=Path, metavar="ROWS", help="no soak, only the table of these samples")
    parser.add_argument("--out", type=Path, default=DOCS, help="directory of the results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        rows: Path = options.judge or options.rows or Path(place) / "rows.jsonl"
        if not options.judge:
            begun = origin() | {"command": "python -m tests.faults.soak " + " ".join(sys.argv[1:])}
            rows.write_text(json.dumps({"origin": begun, "sessions": options.sessions}) + "\n", encoding="utf-8")
            asyncio.run(soak(Path(place), options, rows))
        record = judged(rows)
    publish(options.out, "soak", record, report(record))
    return int(bool(record["lost"] or record["gone"]))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
