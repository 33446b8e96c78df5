"""Which pauses inside a sentence end the turn, and how much silence its true end needs, with and without what was understood.

    python -m tests.bench.pauses

The recordings of `tests.bench.turn_taking` are opened at the same places, each with pauses of every length, on the clock of the
audio: how busy the machine is changes nothing. What was understood, how sure that is and how it sounds is known to the turn detection
`UNDERSTOOD_MS` after a pause was noticed, and the answer is heard `FIRST_AUDIO_MS` after the end of the turn, as on a machine that is
not busy. Who goes on sooner than REACTION_MS after that has one question.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np
import soxr

from clients.recordings import looped
from model.evaluation.asking import units_of
from server.settings import Settings
from server.state.loading import open_model
from streaming.audio import MODEL_RATE_HZ, AudioFrame
from streaming.endpointing import Paused, Resumed, SpeechStopped
from streaming.errors import SpeechServerError
from streaming.interleave import TranscriptDone
from streaming.realtime.config import AudioInput, ServerVad
from streaming.realtime.continuation import REACTION_MS
from streaming.realtime.input_buffer import InputBuffer
from streaming.realtime.limits import SessionLimits
from streaming.stages import Pcm, Stages, TurnOptions
from streaming.turn import Question, Turn, TurnEvent
from tests.bench.questions import manifest
from tests.bench.results import arguments, ms, origin, summary, table, write
from tests.bench.turn_taking import PAUSES_MS, Spoken, opened, voice

UNDERSTOOD_MS = 100
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
    sentences = list(opened(asked, every_length=True))[:: options.every]
    record: dict[str, Any] = {"origin": origin(), "sentences": len(sentences)}
    record["voices"] = sorted({voice(each) for each in asked})
    record["modes"] = asyncio.run(measure(sentences))
    write(options.out, "pauses", record, report(record))


@dataclass(frozen=True, slots=True)
class Policy:
    """How ends of turns are found. `sure`: as in `Stages`; a policy that does not understand waits for `silence_ms`."""

    name: str
    silence_ms: int = 500
    understands: bool = True
    sure: float | None = None


POLICIES = (
    Policy("500 ms", understands=False),
    Policy("700 ms", silence_ms=700, understands=False),
    Policy("500 ms, adapted to words and sound"),
    *(Policy(f"the same, sure from {sure} on", sure=sure) for sure in (0.8, 0.9, 0.95, 0.97, 0.98, 0.99)),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known in a pause: the transcript, its least probable token, and how finished it sounds."""

    text: str | None
    certainty: float | None
    finished: float


async def measure(sentences: Sequence[Spoken]) -> dict[str, Any]:
    """All policies, of all sentences."""
    modes: dict[str, Any] = {}
    async with open_model(Settings(backend="transformers")) as model:
        judge = Judge(replace(model.stages, sure=1.0))
        for policy in POLICIES:
            stages = replace(model.stages, sure=policy.sure)
            ends = [await turn_end_s(stages, each, policy, judge) for each in sentences]
            modes[policy.name] = counted(sentences, ends, FIRST_AUDIO_MS[policy.understands] / 1000)
    return modes


async def turn_end_s(stages: Stages, sentence: Spoken, policy: Policy, judge: Judge) -> float:
    """When the first turn ends, in seconds since the first sound."""
    config = AudioInput(
        turn_detection=ServerVad(type="server_vad", silence_duration_ms=policy.silence_ms),
    )
    buffer = InputBuffer(stages, SessionLimits(), config, emit=lambda output: None, speculate=policy.understands)
    pcm = np.concatenate([sentence.pcm, looped(sentence.background, _AFTER_S * _HZ)])
    due: tuple[int, Verdict] | None = None
    for start in range(0, pcm.size, _FRAME):
        if due is not None and start >= due[0]:
            verdict = due[1]
            if verdict.text is not None:
                buffer.understood(verdict.text, verdict.certainty)
            buffer.judged(verdict.finished)
            due = None
        for event in buffer.feed(AudioFrame(pcm[start : start + _FRAME], _HZ)):
            if isinstance(event, SpeechStopped):
                return event.at_sample / MODEL_RATE_HZ
            if isinstance(event, Resumed):
                due = None
            elif isinstance(event, Paused):
                due = start + UNDERSTOOD_MS * _HZ // 1000, await judge.verdict(pcm[: start + _FRAME], buffer.to_judge())
    return float("inf")


class Judge:
    """Hears every beginning of a sentence once, whatever policy asks and however long the pause is that follows."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._known: dict[bytes, Verdict] = {}

    async def verdict(self, heard: Pcm, turn: Pcm) -> Verdict:
        """Of 24 kHz audio from the first sound to a pause. `turn`: its end at 16 kHz, for the end-of-turn model."""
        key = sha256(heard.tobytes()).digest()
        if key not in self._known:
            assert self._stages.end_of_turn is not None
            text, certainty = await self._understood(heard)
            self._known[key] = Verdict(text, certainty, await self._stages.end_of_turn.finished(turn))
        return self._known[key]

    async def _understood(self, pcm: Pcm) -> tuple[str | None, float | None]:
        """The transcript, as a turn in the dark has it; None where the model has none."""
        done = list[TranscriptDone]()

        async def keep(event: TurnEvent) -> None:
            if isinstance(event, TranscriptDone):
                done.append(event)

        units = await units_of(self._stages, soxr.resample(pcm, _HZ, MODEL_RATE_HZ))
        options = TurnOptions(task="transcribe", speak=False, temperature=0.0)
        question = Question(units=_each(units), audio_s=pcm.size / _HZ)
        try:
            report = await Turn(self._stages, question, options, keep, hidden=True).run()
        except SpeechServerError:
            return None, None
        return (report.transcript, done[0].certainty) if done else (None, None)


async def _each(pieces: Sequence[list[int]]) -> AsyncIterator[list[int]]:
    for piece in pieces:
        yield piece


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
        counts = [f"{100 * values[name] / record['sentences']:.1f} %" for name in ("ended_early", "heard", "broken")]
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
