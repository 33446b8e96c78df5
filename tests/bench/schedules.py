"""Interleaved against full-chain answers: the same questions, one schedule after the other in one run.

    python -m tests.bench.schedules --url http://127.0.0.1:8080 --rounds 2

Full chain writes the whole answer before it speaks (arXiv 2604.11096, section 5); interleaved speaks after each segment. Both
are streamed through the same vocoder here, so the time to first audio shows the schedule alone. The paper's own latency is
read as the time until transcript, first text and first speech chunk are complete; a full chain has one chunk, so that is
all of it. Ratios are of sums over the questions, as in the paper; its mean is 2.93 over long answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from tests.bench.questions import Asked, Reply, ask, connect, manifest, served
from tests.bench.results import arguments, ms, origin, table, write

SCHEDULES = ("interleaved", "full_chain")
ANY = (0.0, float("inf"))
LENGTHS = {"0–2 s": (0.0, 2.0), "2–4 s": (2.0, 4.0), "4 s and more": (4.0, ANY[1]), "**any length**": ANY}
MEASURES = {
    "first_audio_s": "question complete → first audio",
    "from_lm_start_s": "language model starts → first audio",
    "first_chunk_s": "language model starts → first speech chunk complete (the paper's)",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """One question answered both ways."""

    asked: Asked
    interleaved: Reply
    full_chain: Reply


def main() -> None:
    """Measure and write."""
    parser = arguments(__doc__, server=True)
    parser.add_argument("--rounds", type=int, default=2, help="times that every question is asked in each schedule")
    parser.add_argument("--limit", type=int, help="only the first so many recordings")
    options = parser.parse_args()
    questions = [asked for asked in manifest(options.limit) if asked.answers]
    with connect(options.url) as client:
        record: dict[str, Any] = {"origin": origin(), "served": served(client), "rounds": options.rounds}
        ask(client, questions[0])
        pairs = [pair(client, asked, number) for number in range(options.rounds) for asked in questions]
    spoken = [p for p in pairs if p.interleaved.pcm.size and p.full_chain.pcm.size]
    record["asked"], record["spoken"] = len(pairs), len(spoken)
    alike = [p for p in spoken if p.interleaved.text.strip() == p.full_chain.text.strip()]
    record["same_text"] = len(alike)
    groups = {name: group(alike, low, high) for name, (low, high) in LENGTHS.items()}
    record["groups"] = {
        name: g for name, g in (groups | {"all pairs, other texts too": group(spoken, *ANY)}).items() if g
    }
    record["pairs"] = [_details(p) for p in pairs]
    write(options.out, "schedules", record, report(record))


def pair(client: httpx.Client, asked: Asked, number: int) -> Pair:
    """Ask both ways; which way is first alternates."""
    order = SCHEDULES if number % 2 == 0 else SCHEDULES[::-1]
    replies = {schedule: ask(client, asked, schedule=schedule) for schedule in order}
    return Pair(asked, replies["interleaved"], replies["full_chain"])


def measure(reply: Reply, name: str) -> float:
    """One of MEASURES in seconds."""
    times = reply.timings
    if name == "first_audio_s":
        return times["first_audio_s"] or 0.0
    return (times["first_audio_s" if name == "from_lm_start_s" else name] or 0.0) - (times["heard_s"] or 0.0)


def group(pairs: Sequence[Pair], low_s: float, high_s: float) -> dict[str, Any] | None:
    """Sums and their ratios over the pairs whose interleaved answer is `low_s` to `high_s` long; None where there are none."""
    chosen = [p for p in pairs if low_s <= p.interleaved.usage["audio_s"] < high_s]
    if not chosen:
        return None
    measures = {}
    for name in MEASURES:
        short = sum(measure(p.interleaved, name) for p in chosen) / len(chosen)
        long = sum(measure(p.full_chain, name) for p in chosen) / len(chosen)
        measures[name] = {"interleaved": round(short, 4), "full_chain": round(long, 4), "ratio": round(long / short, 3)}
    audio_s = sum(p.interleaved.usage["audio_s"] for p in chosen) / len(chosen)
    return {"n": len(chosen), "audio_s": round(audio_s, 2), **measures}


def report(record: dict[str, Any]) -> str:
    """A table for each measure."""
    text = (
        f"{record['spoken']} of {record['asked']} pairs were spoken both ways, "
        f"{record['same_text']} of them with the same text; the lengths are of those."
    )
    for name, meaning in MEASURES.items():
        rows = [_row(length, g, g[name]) for length, g in record["groups"].items()]
        heads = (f"{meaning}; answers of", "n", "mean s", "interleaved, ms", "full chain, ms", "ratio")
        text += f"\n\n{table(heads, rows)}"
    return text


def _row(length: str, g: dict[str, Any], measured: dict[str, float]) -> list[Any]:
    times = (ms(measured["interleaved"]), ms(measured["full_chain"]))
    return [length, g["n"], g["audio_s"], *times, f"{measured['ratio']:.2f}"]


def _details(p: Pair) -> dict[str, Any]:
    shown: dict[str, Any] = {"file": p.asked.file}
    for name, reply in (("interleaved", p.interleaved), ("full_chain", p.full_chain)):
        shown[name] = {"text": reply.text, "timings": reply.timings, "usage": reply.usage}
    return shown


if __name__ == "__main__":
    main()
