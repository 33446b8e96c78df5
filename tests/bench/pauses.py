"""Which pauses inside a sentence end the turn, and how much silence its true end needs, with and without what was understood.

    python -m tests.bench.pauses

The sentences of `tests.bench.turn_taking`, on the clock of the audio: how busy the machine is changes nothing. What was understood
and how it sounds is known to the turn detection `UNDERSTOOD_MS` after a pause was noticed, and the answer is heard `FIRST_AUDIO_MS`
after the end of the turn, as on a machine that is not busy. Who goes on sooner than REACTION_MS after that has one question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import soxr

from clients.recordings import looped
from model.evaluation.asking import ask
from server.settings import Settings
from server.state.loading import open_model
from streaming.audio import MODEL_RATE_HZ, AudioFrame
from streaming.endpointing import Paused, Resumed, SpeechStopped
from streaming.errors import SpeechServerError
from streaming.realtime.config import AudioInput, ServerVad
from streaming.realtime.continuation import REACTION_MS
from streaming.realtime.input_buffer import InputBuffer
from streaming.realtime.limits import SessionLimits
from streaming.stages import Pcm, Stages, TurnOptions
from tests.bench.questions import manifest
from tests.bench.results import arguments, ms, origin, summary, table, write
from tests.bench.turn_taking import PAUSES_MS, Spoken, opened, voice

UNDERSTOOD_MS = 150
FIRST_AUDIO_MS = {False: 150, True: 30}
"""From the end of a turn to the first audio of its answer, which is there where it was made in the dark."""
_HZ, _FRAME = 24_000, 480
_AFTER_S = 3


def main() -> None:
    """Measure and write."""
    parser = arguments(__doc__)
    parser.add_argument("--every", type=int, default=1, help="take one sentence of so many")
    options = parser.parse_args()
    asked = manifest()
    sentences = list(opened(asked))[:: options.every]
    record: dict[str, Any] = {"origin": origin(), "sentences": len(sentences)}
    record["voices"] = sorted({voice(each) for each in asked})
    record["modes"] = asyncio.run(measure(sentences))
    write(options.out, "pauses", record, report(record))


async def measure(sentences: Sequence[Spoken]) -> dict[str, Any]:
    """Both ways, of all sentences."""
    modes: dict[str, Any] = {}
    async with open_model(Settings(backend="transformers")) as model:
        for name, understands in (("500 ms", False), ("500 ms, adapted to what was understood", True)):
            ends = [await turn_end_s(model.stages, each, understands=understands) for each in sentences]
            modes[name] = counted(sentences, ends, FIRST_AUDIO_MS[understands] / 1000)
    return modes


async def turn_end_s(stages: Stages, sentence: Spoken, *, understands: bool) -> float:
    """When the first turn ends, in seconds since the first sound."""
    config = AudioInput(turn_detection=ServerVad(type="server_vad"))
    buffer = InputBuffer(stages, SessionLimits(), config, emit=lambda output: None, speculate=understands)
    pcm = np.concatenate([sentence.pcm, looped(sentence.background, _AFTER_S * _HZ)])
    due: tuple[int, str | None, float] | None = None
    for start in range(0, pcm.size, _FRAME):
        if due is not None and start >= due[0]:
            if due[1] is not None:
                buffer.understood(due[1])
            buffer.judged(due[2])
            due = None
        for event in buffer.feed(AudioFrame(pcm[start : start + _FRAME], _HZ)):
            if isinstance(event, SpeechStopped):
                return event.at_sample / MODEL_RATE_HZ
            if isinstance(event, Resumed):
                due = None
            elif isinstance(event, Paused) and stages.end_of_turn is not None:
                text = await understood(stages, pcm[: start + _FRAME])
                judged = await stages.end_of_turn.finished(buffer.to_judge())
                due = start + UNDERSTOOD_MS * _HZ // 1000, text, judged
    return float("inf")


async def understood(stages: Stages, pcm: Pcm) -> str | None:
    """The transcript of 24 kHz audio; None where the model has none."""
    heard = soxr.resample(pcm, _HZ, MODEL_RATE_HZ)
    try:
        reply = await ask(stages, heard, TurnOptions(task="transcribe", speak=False, temperature=0.0))
    except SpeechServerError:
        return None
    return reply.report.transcript or reply.report.text


def counted(sentences: Sequence[Spoken], ends_s: Sequence[float], first_audio_s: float) -> dict[str, Any]:
    """Turns that ended in the pause, also by its length; of them those that heard of an answer, and that stay broken in two.

    `wait_s`: the silence at the end of the others.
    """
    both = list(zip(sentences, ends_s, strict=True))
    early = [end_s < each.pcm.size / _HZ for each, end_s in both]
    waits_s = [end_s - each.pcm.size / _HZ for each, end_s in both if end_s >= each.pcm.size / _HZ]
    by_pause = {
        str(pause): [is_early for (each, _), is_early in zip(both, early, strict=True) if each.pause_ms == pause]
        for pause in PAUSES_MS
    }
    late_s = [
        each.resumes_s - end_s - first_audio_s for (each, end_s), is_early in zip(both, early, strict=True) if is_early
    ]
    return {
        "ended_early": sum(early),
        "heard": sum(each > 0 for each in late_s),
        "broken": sum(each > REACTION_MS / 1000 for each in late_s),
        "wait_s": summary(waits_s),
        "by_pause": {pause: f"{sum(each)} of {len(each)}" for pause, each in by_pause.items()},
    }


def report(record: dict[str, Any]) -> str:
    """The modes side by side."""
    rows = []
    for mode, values in record["modes"].items():
        wait = values["wait_s"]
        counts = [str(values[name]) for name in ("ended_early", "heard", "broken")]
        rows.append((mode, *counts, *values["by_pause"].values(), ms(wait["p50"]), ms(wait["p95"])))
    heads = (
        "silence that ends a turn",
        "ended by a pause",
        "answer heard in it",
        "two questions",
        *(f"of {p} ms" for p in PAUSES_MS),
        "wait, ms: p50",
        "p95",
    )
    return f"{record['sentences']} sentences of {len(record['voices'])} voices, each with one pause.\n\n{table(heads, rows)}"


if __name__ == "__main__":
    main()
