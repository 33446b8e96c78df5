"""Gaps in answers: a run of N callers recorded stage by stage, and the same answers again on virtual time.

    python -m tests.bench.playout record --callers 9 22
    python -m tests.bench.playout replay

`record` starts a server whose language model and vocoder write down when they gave what, lets `cslm load` call it, and keeps a trace
of each number of callers in `tests/data/playout`. `replay` lets the cut scheduler cut the recorded answers: with first cuts of a
fixed size, as the bundle says, and with shorter and longer vocoder times.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.bench.results import DOCS, origin, table, write
from tests.playout_replay import Answer, Trace, outcome, replay

ROOT = Path(__file__).parents[2]
TRACES = ROOT / "tests" / "data" / "playout"
RECORDINGS = ROOT / "tests" / "data" / "recordings"


def main() -> None:
    """Record or replay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record")
    recording.add_argument("--callers", type=int, nargs="+", default=[9, 22])
    recording.add_argument("--seconds", type=float, default=30.0, help="in which they call")
    replaying = commands.add_parser("replay")
    replaying.add_argument("--out", type=Path, default=DOCS, help="directory of the results")
    options = parser.parse_args()
    if options.command == "record":
        for callers in options.callers:
            record(callers, options.seconds)
    else:
        results: dict[str, Any] = {"origin": origin(), "rows": rows()}
        heads = (
            "callers",
            "vocoder's time",
            "first cut",
            "answers",
            "with a gap",
            "request → first audio, ms: p50",
            "p95",
        )
        write(options.out, "playout", results, table(heads, results["rows"]))


def rows() -> list[tuple[Any, ...]]:
    """Of all traces: what their listeners would meet, with other schedules and other vocoder times."""
    from model.bundle import find_bundle

    schedule = find_bundle("cslm-mini", None).profile.cut_schedule()
    fixed = replace(schedule, most_first_units=0)
    found = list[tuple[Any, ...]]()
    for trace in sorted(map(Trace.load, TRACES.glob("*.json")), key=lambda trace: trace.callers):
        for name, cuts, factor in (
            ("as recorded", fixed, 1.0),
            ("as recorded", schedule, 1.0),
            ("× 0.75", schedule, 0.75),
            ("× 1.5", schedule, 1.5),
        ):
            slowed = replace(trace, cuts=[(units, factor * ms) for units, ms in trace.cuts])
            result = outcome(replay(slowed, cuts))
            first = "adaptive" if cuts is schedule else f"{cuts.first_units} units"
            found.append((trace.callers, name, first, result.answers, result.broken, *result.first_audio_ms))
    return found


def record(callers: int, seconds: float) -> None:
    """A server, its callers, and the trace of what happened."""
    from clients.origin import checkout, machine
    from tests.live_server import free_port

    with tempfile.TemporaryDirectory() as directory, served(free_port(), Path(directory, "events")) as (url, events):
        plan = ["--commit", "--callers", str(callers), "--duration", str(seconds), "--url", url]
        load = [sys.executable, "-m", "server.cli", "load", str(RECORDINGS), *plan]
        subprocess.run(load, cwd=ROOT, check=False)
    TRACES.mkdir(parents=True, exist_ok=True)
    trace = trace_of(callers, json.loads(events[0]))
    trace.save(TRACES / f"callers_{callers}.json", commit=checkout(), cpu=machine()["cpu"], cores=machine()["cores"])


@contextmanager
def served(port: int, out: Path) -> Iterator[tuple[str, list[str]]]:
    """A recorded server's address; when it has stopped, what it wrote."""
    import httpx

    url, events = f"http://127.0.0.1:{port}", list[str]()
    server = subprocess.Popen([sys.executable, "-m", "tests.bench.playout_server", str(port), str(out)], cwd=ROOT)
    try:
        for _ in range(960):
            try:
                if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.25)
        yield url, events
    finally:
        server.terminate()
        server.wait(30)
    events.append(out.read_text(encoding="utf-8"))


def trace_of(callers: int, events: Sequence[Sequence[Any]]) -> Trace:
    """The trace of what the stages wrote down: [seconds, what, whose, …]."""
    from model.bundle import find_bundle
    from streaming.interleave import SpeechChunkDone, UnitsDelta

    bundle = find_bundle("cslm-mini", None)
    vocoder = bundle.vocoder_kind.load(bundle.vocoder, "cpu")
    asked = {turn: at_s for at_s, what, turn, *_ in reversed(events) if what == "asked"}
    answers = list[Answer]()
    for turn, began_s in asked.items():
        parser, tokens, units = bundle.prompts.parser(), list[tuple[float, int]](), list[int]()
        for at_s, _, _, ids in [event for event in events if event[1:3] == ["said", turn]]:
            for event in parser.feed(ids):
                fresh = list(event.units) if isinstance(event, UnitsDelta) else []
                units += fresh
                ends = [0] * isinstance(event, SpeechChunkDone)
                tokens += [(round(1000 * (at_s - began_s), 1), kind) for kind in [1] * len(fresh) + ends]
        if units:
            at_ms = round(1000 * (began_s - min(asked.values())), 1)
            answers.append(Answer(at_ms, tokens, audio_ms(vocoder, units)))
    cuts = [(units, round(1000 * taken_s, 1)) for _, what, _, units, taken_s in _of(events, "cut") if what]
    return Trace(callers, sorted(answers, key=lambda answer: answer.at_ms), cuts)


def audio_ms(vocoder: Any, units: Sequence[int]) -> list[int]:
    """Milliseconds of audio that the vocoder has given after n of the units, and of all of them when they are final."""
    state, samples, given = vocoder.open(), 0, [0]
    for unit in units:
        samples += vocoder.push(state, [unit]).size
        given.append(1000 * samples // vocoder.sample_rate)
    samples += vocoder.push(state, [], final=True).size
    return [*given, 1000 * samples // vocoder.sample_rate]


def _of(events: Sequence[Sequence[Any]], what: str) -> list[Sequence[Any]]:
    return [event for event in events if event[1] == what]


if __name__ == "__main__":
    main()
