"""Conversations with one GPU on virtual time, through the server's own scheduling.

Real: the turn (`streaming.turn`), the cut planner, the playout clock, the parser, the endpointer, the vocoder worker's order and
batches, the grid of the vocoder's blocks. Modelled: how long the GPU takes (`language_model`, `vocoder`), which the engine's
steps and the vocoder's batches share. Users ask, listen to the end, think, and ask again; questions and answers are of the
lengths in `Talk`, spread at random.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deploy.capacity.language_model import Timing
from deploy.capacity.virtual import SharedProcessor, run
from deploy.capacity.vocoder import VocoderTiming
from model.vocoders.flow_hift.windows import Window, next_window, start_of
from model.vocoders.streams import Cut, Failure
from model.vocoders.worker import VocoderWorker
from model.workers.supervisor import WorkerState
from streaming.endpointing import Endpointer, EndpointerConfig, SpeechStopped
from streaming.interleave import InterleaveParser, Markers
from streaming.report import TurnReport
from streaming.stages import Pcm, Sampling, Stages, TurnOptions
from streaming.turn import AudioDelta, Question, Turn, TurnEvent

QUESTION, ANSWER, SPEECH_START, SPEECH_END, STOP, TEXT, UNIT = 1, 2, 3, 4, 5, 10, 1000
HIFT_BEHIND = 20
"""Frames of a block that HiFT holds back until it knows what follows (15 of its own, 5 for the pitch)."""
MERGED = 0.87
"""Units that are left of a frame each once repeats are merged (arXiv 2604.11096)."""


@dataclass(frozen=True, slots=True)
class Talk:
    """What people say and hear. Units per second: 25 × `MERGED`; chunks as in the paper's sample (35 and 79 units).

    `question_s`, `think_s`: mean, spread by half of it; `prompt`: tokens around the units, `history`: of earlier turns.
    """

    question_s: float = 4.0
    think_s: float = 2.0
    prompt: int = 40
    history: int = 200
    transcript: int = 12
    text: int = 9
    chunks: tuple[int, ...] = (35, 79, 57)
    units_s: float = 25 * MERGED
    turns: int = 3


@dataclass(slots=True)
class _Sequence:
    context: int
    script: list[int]
    out: asyncio.Queue[int | None] = field(default_factory=lambda: asyncio.Queue(100_000))
    sent: int = 0


class Engine:
    """A `LanguageModel`: continuous batching with chunked prefill, one step after the other on the shared GPU."""

    chunk = 2048

    def __init__(self, timing: Timing, gpu: SharedProcessor) -> None:
        self._timing, self._gpu = timing, gpu
        self._prefilling: list[tuple[_Sequence, int]] = []
        self._decoding: list[_Sequence] = []
        self._work = asyncio.Event()
        self.scripts: list[list[int]] = []

    async def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        """The next script, token by token as the steps produce it."""
        sequence = _Sequence(len(prompt), self.scripts.pop())
        self._prefilling.append((sequence, len(prompt)))
        self._work.set()
        try:
            while (token := await sequence.out.get()) is not None:
                yield [token]
        finally:
            if sequence in self._decoding:
                self._decoding.remove(sequence)

    async def run(self) -> None:
        """Steps, for ever."""
        while True:
            if not self._prefilling and not self._decoding:
                self._work.clear()
                await self._work.wait()
            taken, left = self._take_prefill()
            decoding = list(self._decoding)
            context = sum(each.context for each in decoding) / max(1, len(decoding))
            first_s = self._timing.use.first_s if left else 0.0
            await self._gpu.work(first_s + self._timing.step_s(len(decoding), context, taken))
            for sequence in decoding:
                self._emit(sequence)
            for sequence in left:
                self._decoding.append(sequence)
                self._emit(sequence)

    def _take_prefill(self) -> tuple[int, list[_Sequence]]:
        """Tokens to take in with this step, and the sequences that are complete with it."""
        taken, complete, waiting = 0, list[_Sequence](), list[tuple[_Sequence, int]]()
        for sequence, tokens in self._prefilling:
            now = min(tokens, self.chunk - taken)
            taken += now
            if now == tokens:
                complete.append(sequence)
            else:
                waiting.append((sequence, tokens - now))
        self._prefilling = waiting
        return taken, complete

    def _emit(self, sequence: _Sequence) -> None:
        if sequence.sent < len(sequence.script):
            sequence.out.put_nowait(sequence.script[sequence.sent])
            sequence.sent += 1
            sequence.context += 1
        if sequence.sent == len(sequence.script):
            sequence.out.put_nowait(None)
            if sequence in self._decoding:
                self._decoding.remove(sequence)


class SimulatedProcess:
    """In place of the vocoder's process: arithmetic on the real grid."""

    def __init__(self, timing: VocoderTiming, gpu: SharedProcessor) -> None:
        self._timing, self._gpu = timing, gpu
        self._states: dict[int, list[int]] = {}
        self.serving = self

    async def start(self) -> int:
        return self._timing.config.batch

    async def close(self) -> None:
        """Nothing runs."""

    async def wait(self) -> object:
        return self

    def forget(self, stream: int) -> None:
        self._states.pop(stream, None)

    def state(self) -> WorkerState:
        return WorkerState("vocoder", None, {}, 0.0, ())

    async def decode(self, cuts: Sequence[Cut]) -> list[Pcm | Failure]:
        """Silence of the right length, after the time that the blocks take."""
        frames = {stream: 0 for stream, *_ in cuts}
        for stream, _, units, _ in cuts:
            self._states.setdefault(stream, [0, 0])[0] += len(units)
        while ready := self._ready(cuts):
            groups: dict[int, list[Window]] = {}
            for stream, window in ready:
                groups.setdefault(window.high - window.low, []).append(window)
                frames[stream] += window.end - window.start
                frames[stream] -= HIFT_BEHIND if window.number == 0 and not window.final else 0
                frames[stream] += HIFT_BEHIND if window.number > 0 and window.final else 0
                self._states[stream][1] = 1_000_000 if window.final else window.number + 1
            for size, windows in groups.items():
                longest = max(window.end - window.start for window in windows)
                await self._gpu.work(self._timing.block_s(size, longest, len(windows)))
        return [np.zeros(frames[stream] * self._timing.config.mel_hop, np.float32) for stream, *_ in cuts]

    def _ready(self, cuts: Sequence[Cut]) -> list[tuple[int, Window]]:
        config, found = self._timing.config, list[tuple[int, Window]]()
        for stream, _, _, final in cuts:
            units, block = self._states[stream]
            known = round(units / MERGED) if final else max(0, round((units - 2) / MERGED))
            if block < 1_000_000 and start_of(config.grid, block) < 1_000_000:
                window = next_window(config.grid, config.frames_per_unit, block, known, ended=final)
                found += [] if window is None else [(stream, window)]
        return found


class _Prompts:
    """Prompts of the right length, and the real parser."""

    keeps_units = False

    def __init__(self, talk: Talk) -> None:
        self._talk = talk

    def speech_prompt(self, options: TurnOptions, history: Any, text: str = "") -> tuple[list[int], list[int]]:
        return [TEXT] * (self._talk.prompt + self._talk.history), []

    def text_prompt(self, text: str, options: TurnOptions, history: Any) -> list[int]:
        return [TEXT] * self._talk.prompt

    def unit_ids(self, units: Sequence[int]) -> list[int]:
        return [UNIT + unit for unit in units]

    def sampling(self, options: TurnOptions, prompt_tokens: int) -> Sampling:
        return Sampling()

    def opening(self, options: TurnOptions) -> list[int]:
        return []

    def call_opening(self) -> list[int]:
        return []

    def answer_mark(self) -> int | None:
        return None

    def parser(self) -> InterleaveParser:
        units = {UNIT + unit: unit for unit in range(4096)}
        markers = Markers(QUESTION, ANSWER, SPEECH_START, SPEECH_END)
        return InterleaveParser(markers, units, lambda: lambda token: "x " if token == TEXT else "")


@dataclass(slots=True)
class Result:
    """What the users of one run met. `first_audio_s`: from the end of their speech until they hear something."""

    sessions: int
    first_audio_s: list[float] = field(default_factory=list[float])
    broken: int = 0
    gap_s: float = 0.0
    audio_s: float = 0.0
    busy: float = 0.0

    def late(self, share: float) -> float:
        """Percentile of the time to first audio."""
        return float(np.percentile(self.first_audio_s, 100 * share))

    @property
    def broken_share(self) -> float:
        """Answers whose playback ran dry."""
        return self.broken / len(self.first_audio_s)


def simulate(lm: Timing, vocoder: VocoderTiming, sessions: int, talk: Talk | None = None, seed: int = 1) -> Result:
    """`sessions` people talk to one GPU."""
    return run(_conversations(lm, vocoder, sessions, talk or Talk(), random.Random(seed)))


async def _conversations(lm: Timing, vocoder: VocoderTiming, sessions: int, talk: Talk, draw: random.Random) -> Result:
    gpu, result = SharedProcessor(), Result(sessions)
    engine, worker = Engine(lm, gpu), VocoderWorker(SimulatedProcess(vocoder, gpu), vocoder.config.sample_rate)
    await worker.start()
    stages = Stages(None, engine, worker, _Prompts(talk), lambda: None)  # type: ignore[arg-type, return-value]
    stepping = asyncio.create_task(engine.run())
    async with asyncio.TaskGroup() as people:
        for _ in range(sessions):
            people.create_task(_person(stages, engine, talk, random.Random(draw.random()), result))
    result.busy = gpu.busy_s / asyncio.get_running_loop().time()
    stepping.cancel()
    await worker.close()
    return result


async def _person(stages: Stages, engine: Engine, talk: Talk, draw: random.Random, result: Result) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(draw.uniform(0, talk.question_s + talk.think_s + sum(talk.chunks) / talk.units_s))
    for _ in range(talk.turns):
        spoken_s = talk.question_s * draw.uniform(0.5, 1.5)
        waited_s = endpoint_delay_s(spoken_s)
        await asyncio.sleep(spoken_s + waited_s)
        engine.scripts.append(_script(talk, draw))
        report = await _turn(stages, round(spoken_s * talk.units_s), loop)
        assert report.first_audio_s is not None
        result.first_audio_s.append(waited_s + report.first_audio_s)
        result.broken += report.playout.underruns > 0
        result.gap_s += report.playout.gap_s
        result.audio_s += report.audio_s
        await asyncio.sleep(max(0.0, report.playout.buffered_s(loop.time())) + talk.think_s * draw.uniform(0.5, 1.5))


def endpoint_delay_s(spoken_s: float) -> float:
    """What the real endpointer waits after speech of that length."""
    window = 512
    endpointer = Endpointer(EndpointerConfig(), window_samples=window)
    for at in range(0, 40 * 16_000, window):
        event = endpointer.feed(1.0 if at < spoken_s * 16_000 else 0.0, at)
        if isinstance(event, SpeechStopped):
            return event.at_sample / 16_000 - spoken_s
    raise AssertionError("speech never ended")


def _script(talk: Talk, draw: random.Random) -> list[int]:
    """An answer as token ids; units that follow each other differ."""
    ids = [QUESTION, *[TEXT] * talk.transcript, ANSWER]
    unit = 0
    for mean in talk.chunks:
        count = round(mean * draw.uniform(0.7, 1.3))
        ids += [*[TEXT] * talk.text, SPEECH_START, *(UNIT + (unit + at) % 4096 for at in range(count)), SPEECH_END]
        unit += count
    return ids


async def _turn(stages: Stages, units: int, loop: asyncio.AbstractEventLoop) -> TurnReport:
    async def heard() -> AsyncIterator[list[int]]:
        yield list(range(units))

    async def emit(event: TurnEvent) -> None:
        assert not isinstance(event, AudioDelta) or event.pcm.size

    return await Turn(stages, Question(units=heard()), TurnOptions(), emit, clock=loop.time).run()


def capacity(
    lm: Timing,
    vocoder: VocoderTiming,
    *,
    first_audio_s: float,
    broken: float,
    talk: Talk | None = None,
    most: int = 512,
) -> Result | None:
    """The most sessions (within a sixteenth) for which 95% of the answers start in time and at most `broken` of them run dry.

    None: not even one.
    """

    def good(sessions: int) -> Result | None:
        result = simulate(lm, vocoder, sessions, talk)
        return result if result.late(0.95) <= first_audio_s and result.broken_share <= broken else None

    best, low, high = None, 0, 1
    while high <= most and (found := good(high)) is not None:
        best, low, high = found, high, 2 * high
    high = min(high, most + 1)  # the fewest that are known, or not allowed, to be too many
    while high - low > max(1, low // 16):
        middle = (low + high) // 2
        found = good(middle)
        if found is None:
            high = middle
        else:
            best, low = found, middle
    return best
