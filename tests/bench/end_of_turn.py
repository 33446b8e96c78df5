"""When does a turn end? Pauses inside sentences, and the wait at their true end, by kind of turn detection.

    python -m tests.bench.end_of_turn

Every recording is opened once, at the quietest place of its middle, and a pause is put in; ten seconds of silence follow it. A
pause that ends the turn is an interruption of the speaker by the server; the wait runs from the end of the speech to the end of
the turn, on the clock of the audio. How long the end-of-turn model computes is measured apart.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from clients.recordings import read_recording, speech_end
from model.bundle import find_bundle
from model.turn_detection.smart_turn import SmartTurn
from model.turn_detection.vad import load_voice_activity
from streaming.audio import MODEL_RATE_HZ, AudioFrame, float_to_pcm16, pcm16_to_float
from streaming.endpointing import Paused, SpeechStopped
from streaming.realtime.config import AudioInput, SemanticVad, ServerVad
from streaming.realtime.input_buffer import InputBuffer
from streaming.realtime.limits import SessionLimits
from streaming.stages import Pcm, Stages
from tests.bench.questions import manifest
from tests.bench.results import arguments, ms, origin, summary, table, write

PAUSES_MS = (400, 1000)
DETECTIONS: dict[str, ServerVad | SemanticVad] = {
    **{
        f"server_vad, {wait_ms} ms": ServerVad(type="server_vad", silence_duration_ms=wait_ms)
        for wait_ms in (200, 500, 800, 1200)
    },
    **{
        f"semantic_vad, {eagerness}": SemanticVad(type="semantic_vad", eagerness=eagerness)  # pyright: ignore[reportArgumentType]
        for eagerness in ("high", "medium", "low")
    },
}
_WIRE_HZ = 24_000


class NoUnits:
    """Nobody asks what was said."""

    async def encode(self, audio: AsyncIterator[Pcm]) -> AsyncGenerator[list[int]]:
        async for _ in audio:
            yield []


class _Timed:
    """The end-of-turn model with a clock."""

    def __init__(self, model: SmartTurn) -> None:
        self._model = model
        self.window_samples = model.window_samples
        self.took_s: list[float] = []

    async def finished(self, audio: Pcm) -> float:
        began_s = time.perf_counter()
        chance = self._model.judge(audio)
        self.took_s.append(time.perf_counter() - began_s)
        return chance


@dataclass(frozen=True, slots=True)
class Spoken:
    """A recording with a pause in it: float32 [T] at 24 kHz; where the pause and the speech end."""

    pcm: Pcm
    pause_end_s: float
    speech_end_s: float


def main() -> None:
    """Measure and write."""
    parser = arguments(__doc__)
    parser.add_argument("--every", type=int, default=1, help="take one recording of so many")
    options = parser.parse_args()
    bundle = find_bundle("cslm-mini")
    judge = _Timed(SmartTurn.load(bundle.end_of_turn))
    stages: Any = Stages(
        encoder=NoUnits(),
        lm=None,  # type: ignore[arg-type]
        decoder=None,  # type: ignore[arg-type]
        prompts=None,  # type: ignore[arg-type]
        voice_activity=load_voice_activity(bundle.voice_activity),
        end_of_turn=judge,
    )
    recordings = [pcm16_to_float(read_recording(asked.path).pcm) for asked in manifest()[:: options.every]]
    spoken = {pause_ms: [opened(pcm, pause_ms) for pcm in recordings] for pause_ms in PAUSES_MS}
    record: dict[str, Any] = {"origin": origin(), "recordings": len(recordings), "detections": {}}
    for name, detection in DETECTIONS.items():
        record["detections"][name] = asyncio.run(measure(stages, detection, spoken))
    record["judged_s"] = summary(judge.took_s)
    write(options.out, "end_of_turn", record, report(record))


def opened(pcm: Pcm, pause_ms: int) -> Spoken:
    """`pcm`, 24 kHz, with a pause in the quietest 40 ms of its middle third, and silence behind it."""
    window = 40 * _WIRE_HZ // 1000
    power = np.convolve(pcm.astype(np.float64) ** 2, np.ones(window), "valid")
    last = speech_end(np.frombuffer(float_to_pcm16(pcm), np.int16), _WIRE_HZ // 50) * _WIRE_HZ // 50
    third = last // 3
    at = third + int(np.argmin(power[third : 2 * third])) + window // 2
    pause = np.zeros(pause_ms * _WIRE_HZ // 1000, np.float32)
    whole = np.concatenate([pcm[:at], pause, pcm[at:last], np.zeros(10 * _WIRE_HZ, np.float32)])
    return Spoken(whole, (at + pause.size) / _WIRE_HZ, (last + pause.size) / _WIRE_HZ)


async def measure(
    stages: Stages, detection: ServerVad | SemanticVad, spoken: dict[int, list[Spoken]]
) -> dict[str, Any]:
    """Of each length of pause, the share that ended the turn; and the waits of the turns that went on to their true end."""
    waits_s: list[float] = []
    broken: dict[str, float] = {}
    for pause_ms, recordings in spoken.items():
        ends_s = [await turn_end_s(stages, detection, each) for each in recordings]
        early = sum(end_s < each.pause_end_s + 0.2 for end_s, each in zip(ends_s, recordings, strict=True))
        broken[str(pause_ms)] = early / len(recordings)
        waits_s += [
            end_s - each.speech_end_s
            for end_s, each in zip(ends_s, recordings, strict=True)
            if end_s >= each.speech_end_s
        ]
    return {"broken": broken, "wait_s": summary(waits_s)}


async def turn_end_s(stages: Stages, detection: ServerVad | SemanticVad, spoken: Spoken) -> float:
    """When the first turn ends."""
    config = AudioInput(turn_detection=detection)
    buffer = InputBuffer(stages, SessionLimits(), config, emit=lambda output: None)
    for start in range(0, spoken.pcm.size, _WIRE_HZ // 50):
        for event in buffer.feed(AudioFrame(spoken.pcm[start : start + _WIRE_HZ // 50], _WIRE_HZ)):
            if isinstance(event, Paused) and stages.end_of_turn is not None:
                buffer.judged(await stages.end_of_turn.finished(buffer.to_judge()))
            elif isinstance(event, SpeechStopped):
                return event.at_sample / MODEL_RATE_HZ
    return float("inf")


def report(record: dict[str, Any]) -> str:
    """One row for each kind of turn detection."""
    rows = []
    for name, measured in record["detections"].items():
        wait = measured["wait_s"]
        shares = [f"{100 * measured['broken'][str(pause_ms)]:.0f}%" for pause_ms in PAUSES_MS]
        rows.append((name, *shares, ms(wait["mean"]), ms(wait["p50"]), ms(wait["p95"])))
    heads = (
        "turn detection",
        *(f"ended by a pause of {p} ms" for p in PAUSES_MS),
        "wait at the end, ms: mean",
        "p50",
        "p95",
    )
    judged = record["judged_s"]
    return (
        f"{record['recordings']} recordings, each with each pause.\n\n{table(heads, rows)}\n\n"
        f"The end-of-turn model judged {judged['n']} pauses, in {ms(judged['p50'])} ms each (p50; p95 {ms(judged['p95'])})."
    )


if __name__ == "__main__":
    main()
