"""Callers at once: first audio and gaps in answers, with the server of another checkout beside this one.

    git worktree add --detach ../before COMMIT
    python -m tests.bench.many_callers --before ../before --callers 1 9 22 32

Both servers run. The callers of `cslm load` call one of them, then the other, so that what else the machine does meets both. They
speak recordings in real time, commit at the last sound, listen to the answer to its end and call again. A gap is one of a millisecond or more for a player that plays the first byte at once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.bench.gateway import commit
from tests.bench.results import ROOT, arguments, ms, origin, table, write
from tests.live_server import free_port

RECORDINGS = ROOT / "tests" / "data" / "recordings"
START_S = 240.0
_KEPT = ("first_audio_after_speech_end_s", "complete_after_speech_end_s", "longest_gap_s", "gaps", "turns", "sessions", "errors", "generator")  # fmt: skip


def main() -> None:
    """Measure and write."""
    parser = arguments(__doc__)
    parser.add_argument("--before", type=Path, required=True, help="a checkout to compare with")
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 9, 22, 32])
    parser.add_argument("--seconds", type=float, default=30.0, help="in which they call, in each round")
    parser.add_argument(
        "--alone-seconds", type=float, default=90.0, help="the same for one caller, who gives few answers"
    )
    parser.add_argument(
        "--rounds", type=int, default=2, help="times that each server is called by each number of callers"
    )
    options = parser.parse_args()
    record: dict[str, Any] = {"origin": origin(), "before": commit(options.before), "runs": []}
    with serving(options.before) as before, serving(ROOT) as after:
        for callers in options.callers:
            for number in range(options.rounds):
                seconds = options.seconds if callers > 1 else options.alone_seconds
                for name, url in (("before", before), ("after", after))[:: 1 if number % 2 == 0 else -1]:
                    record["runs"].append({"server": name, "callers": callers, **called(url, callers, seconds, number)})
    write(options.out, "many_callers", record, report(record))


@contextmanager
def serving(checkout: Path) -> Iterator[str]:
    """The address of a checkout's server, warm."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "server.cli", "serve", "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve()), "CSLM_MAX_SESSIONS": "64"}
    server = subprocess.Popen(
        command, cwd=checkout, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        end_s = time.monotonic() + START_S
        while not _ready(url):
            assert server.poll() is None and time.monotonic() < end_s, f"the server of {checkout} did not start"
            time.sleep(0.25)
        yield url
    finally:
        server.terminate()
        server.wait(30)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def called(url: str, callers: int, seconds: float, seed: int) -> dict[str, Any]:
    """What `cslm load` measured, without its histograms."""
    with tempfile.TemporaryDirectory() as directory:
        result = Path(directory, "load.json")
        plan = ["--commit", "--callers", str(callers), "--duration", str(seconds), "--seed", str(seed)]
        command = [
            sys.executable,
            "-m",
            "server.cli",
            "load",
            str(RECORDINGS),
            *plan,
            "--url",
            url,
            "--json",
            str(result),
        ]
        subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        measured = json.loads(result.read_text(encoding="utf-8"))
        return {name: measured[name] for name in _KEPT}


def report(record: dict[str, Any]) -> str:
    """A row for each number of callers and each server; percentiles are those of the worst round."""
    rows, alone = list[list[Any]](), dict[str, float]()
    for callers in sorted({run["callers"] for run in record["runs"]}):
        for name in ("before", "after"):
            runs = [run for run in record["runs"] if (run["callers"], run["server"]) == (callers, name)]
            first = [run["first_audio_after_speech_end_s"] for run in runs]
            p50, p95 = (max(each[share] for each in first) for share in ("p50", "p95"))
            if callers == 1:
                alone[name] = p95
            broken, answers = (sum(run[kind][key] for run in runs) for kind, key in _COUNTS)
            longest = max(run["longest_gap_s"]["max"] for run in runs)
            times = f"{p95 / alone[name]:.1f}" if name in alone else "–"
            share = f"{100 * broken / answers:.1f} %"
            rows.append([callers, name, answers, ms(p50), ms(p95), times, broken, share, ms(longest)])
    heads = (
        "callers",
        "server",
        "answers",
        "first audio, ms: p50",
        "p95",
        "÷ alone",
        "with a gap",
        "share",
        "longest gap, ms",
    )
    return (
        f"Before: commit {record['before']}. Percentiles are those of the worst of its rounds.\n\n{table(heads, rows)}"
    )


_COUNTS = (("gaps", "turns_with_gaps"), ("turns", "answered"))

if __name__ == "__main__":
    main()
