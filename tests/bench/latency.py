"""How soon an answer is heard, how fast it is made, and where the time goes.

    python -m tests.bench.latency --url http://127.0.0.1:8080 --turns 50

The turns are spoken over the realtime socket in real time, committed at the end of the speech, and listened to until the
answer would have been played; one at a time. The stages are the server's own measurements: of the socket's turns from the
difference of /metrics before and after, and of the same recordings over POST /v1/speech, where the question arrives
complete and the answer is not paced, so that time divided by audio is the real-time factor.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from clients.conversation import Conversation, summary_of
from clients.realtime import SessionOptions
from clients.realtime import connect as connect_socket
from clients.recordings import read_recording
from clients.turns import TurnRecord
from tests.bench.questions import Asked, Reply, ask, connect, manifest, served
from tests.bench.results import arguments, ms, origin, summary, table, write

STAGES = ("hear", "first_token", "first_units", "first_audio")
MEANING = {
    "decode": "recording decoded, voice found in it",
    "hear": "encoder: rest of the question to units",
    "first_token": "language model: prompt to first token",
    "first_units": "language model: transcript and first text, to first unit",
    "first_audio": "units of the first cut, and their way through the vocoder",
}


def main() -> None:
    """Measure and write."""
    parser = arguments(__doc__, server=True)
    parser.add_argument("--turns", type=int, default=50)
    options = parser.parse_args()
    chosen = list(itertools.islice(itertools.cycle(manifest()), options.turns))
    with connect(options.url) as client:
        record: dict[str, Any] = {"origin": origin(), "served": served(client), "turns": options.turns}
        ask(client, chosen[0])
        before = stage_sums(client)
        turns = asyncio.run(converse(options.url, chosen))
        record["socket"] = over_socket(turns) | {"stages_mean_s": stage_means(before, stage_sums(client))}
        record["http"] = over_http([ask(client, asked) for asked in chosen])
    write(options.out, "latency", record, report(record))


async def converse(url: str, chosen: Sequence[Asked]) -> list[TurnRecord]:
    """Speak each recording and listen to its answer. A turn that failed stays in the list, with its errors."""
    recordings = {asked.file: read_recording(asked.path) for asked in chosen}
    turns: list[TurnRecord] = []

    async def script(conversation: Conversation) -> None:
        for asked in chosen:
            await conversation.configure(SessionOptions(turn_detection=None, reply_language=asked.reply_language))
            turns.append(await conversation.ask_and_commit(recordings[asked.file]))
            await conversation.listen_to_answer(0.2)

    async with connect_socket(url.replace("http://", "ws://").replace("https://", "wss://")) as session:
        await Conversation(session).hold(script)
    return turns


def over_socket(turns: Sequence[TurnRecord]) -> dict[str, Any]:
    """What the client saw. Times from the commit."""
    answered = [turn for turn in turns if turn.answered and turn.first_audio_s is not None]
    delays = [(_since(turn.first_audio_s, turn), _since(turn.first_text_s, turn)) for turn in answered]
    return {
        "answered": len(answered),
        "failed": [
            summary_of(turn.errors) or f"{turn.status}, without speech" for turn in turns if turn not in answered
        ],
        "first_audio_s": summary([audio_s for audio_s, _ in delays]),
        "first_text_s": summary([text_s for _, text_s in delays]),
        "audio_s": summary([turn.audio_s for turn in answered]),
        "longest_gap_s": summary([turn.playback.longest_gap_s for turn in answered]),
        "gaps": sum(turn.playback.gaps for turn in answered),
        "turns_with_gaps": sum(turn.playback.gaps > 0 for turn in answered),
    }


def _since(at_s: float | None, turn: TurnRecord) -> float:
    assert at_s is not None
    assert turn.asked_s is not None
    return at_s - turn.asked_s


def over_http(replies: Sequence[Reply]) -> dict[str, Any]:
    """What the server reports: the time that each stage adds up to the first audio, and the real-time factor."""
    spoken = [reply for reply in replies if reply.timings["first_audio_s"] is not None]
    added = [stage_times(reply.timings) for reply in spoken]
    total = sum(sum(times.values()) for times in added)
    return {
        "answered": len(spoken),
        "without_speech": len(replies) - len(spoken),
        "first_audio_s": summary([sum(times.values()) for times in added]),
        "real_time_factor": summary([(reply.timings["done_s"] or 0.0) / reply.usage["audio_s"] for reply in spoken]),
        "stages_s": {name: summary([times[name] for times in added]) for name in MEANING},
        "stages_share": {name: round(sum(times[name] for times in added) / max(total, 1e-9), 4) for name in MEANING},
    }


def stage_times(timings: dict[str, Any]) -> dict[str, float]:
    """Seconds that each stage adds before the first audio."""
    marks = [0.0, *(timings[f"{name}_s"] for name in ("heard", *STAGES[1:]))]
    added = [after - before for before, after in itertools.pairwise(marks)]
    return {"decode": timings["decode_s"], **dict(zip(STAGES, added, strict=True))}


def stage_sums(client: httpx.Client) -> dict[str, tuple[float, float]]:
    """(seconds, turns) of every stage so far, from /metrics."""
    values: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(client.get("/metrics").raise_for_status().text):
        if family.name == "cslm_stage_seconds":
            for sample in family.samples:
                values[sample.name.rsplit("_", 1)[1], sample.labels["stage"]] = sample.value
    return {name: (values.get(("sum", name), 0.0), values.get(("count", name), 0.0)) for name in (*STAGES, "vocoder")}


def stage_means(
    before: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]]
) -> dict[str, float | None]:
    """Mean seconds of each stage over the turns between two looks."""
    means: dict[str, float | None] = {}
    for name, (seconds, turns) in after.items():
        count = turns - before[name][1]
        means[name] = round((seconds - before[name][0]) / count, 6) if count else None
    return means


def report(record: dict[str, Any]) -> str:
    """Two tables: what a listener notices, and where the time goes."""
    socket, http = record["socket"], record["http"]
    heads = ("", "n", "mean", "p50", "p95", "p99", "max")
    noticed = [
        ("commit to first audio, ms", *_row(socket["first_audio_s"], 1000)),
        ("commit to first text, ms", *_row(socket["first_text_s"], 1000)),
        ("longest gap in an answer, ms", *_row(socket["longest_gap_s"], 1000)),
        ("length of an answer, s", *_row(socket["audio_s"], 1, 2)),
        ("the same over HTTP: last byte to first audio, ms", *_row(http["first_audio_s"], 1000)),
        ("real-time factor (time to the last audio ÷ its length)", *_row(http["real_time_factor"], 1, 2)),
    ]
    stages = [_stage_row(name, socket["stages_mean_s"], http) for name in MEANING]
    columns = ("stage (ms)", "socket: mean", "HTTP: mean", "p50", "p95", "share of all before the first audio")
    failed = "".join(f" {count} not: {reason}." for reason, count in Counter(socket["failed"]).items())
    counts = (
        f"{socket['answered']} of {record['turns']} turns answered by speech over the socket.{failed} "
        f"{socket['gaps']} gaps in {socket['turns_with_gaps']} answers, played without any buffer."
    )
    return f"{table(heads, noticed)}\n\n{counts}\n\n{table(columns, stages)}"


def _stage_row(name: str, socket_means_s: dict[str, float | None], http: dict[str, Any]) -> list[str]:
    over = http["stages_s"][name]
    times = [socket_means_s.get(name), over["mean"], over["p50"], over["p95"]]
    return [f"{name}: {MEANING[name]}", *map(ms, times), f"{http['stages_share'][name]:.0%}"]


def _row(values: dict[str, Any], factor: float, digits: int = 0) -> list[str]:
    if not values["n"]:
        return ["0", *["–"] * 5]
    shown = [f"{factor * values[name]:.{digits}f}" for name in ("mean", "p50", "p95", "p99", "max")]
    return [str(values["n"]), *shown]


if __name__ == "__main__":
    main()
