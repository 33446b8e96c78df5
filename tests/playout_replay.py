"""Answers of a recorded run again, on virtual time: the real turn, cut scheduler and vocoder queue between a language model that
says what it said then, when it said it, and a vocoder that takes as long as it took.

`python -m tests.bench.playout record` writes such a trace.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from deploy.capacity.virtual import run
from model.vocoders.streams import Cut, Failure
from model.vocoders.worker import VocoderWorker
from model.workers.supervisor import WorkerState
from streaming.outlook import Outlook
from streaming.planning import CutSchedule
from streaming.report import TurnReport
from streaming.stages import Pcm, Sampling, TurnOptions
from streaming.turn import AudioDelta, Question, Turn, TurnEvent
from tests.fakes import SPEECH_END, SPEECH_START, fake_stages, unit_ids

RATE_HZ = 1000
"""Samples are milliseconds here."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`at_ms`: when its question was complete; `tokens`: [milliseconds after that, 1 for a unit, 0 for the end of a chunk].

    `audio_ms`: what the vocoder gives of its first n units, for n from 0 on; the last number is the whole answer's.
    """

    at_ms: float
    tokens: list[tuple[float, int]]
    audio_ms: list[int]


@dataclass(frozen=True, slots=True)
class Trace:
    """A run of `callers`. `cuts`: units and milliseconds of every cut that the vocoder took."""

    callers: int
    answers: list[Answer]
    cuts: list[tuple[int, float]]

    @classmethod
    def load(cls, path: Path) -> Trace:
        """As `save` wrote it."""
        read = json.loads(path.read_text(encoding="utf-8"))
        answers = [Answer(at, [(ms, kind) for ms, kind in tokens], audio) for at, tokens, audio in read["answers"]]
        return cls(read["callers"], answers, [(units, ms) for units, ms in read["cuts"]])

    def save(self, path: Path, **origin: Any) -> None:
        """A line for each answer."""
        compact = partial(json.dumps, separators=(",", ":"))
        answers = ",\n".join(compact([each.at_ms, each.tokens, each.audio_ms]) for each in self.answers)
        head = compact({**origin, "callers": self.callers, "cuts": self.cuts})
        path.write_text(f'{head[:-1]},"answers":[\n{answers}\n]}}\n', encoding="utf-8")


def replay(trace: Trace, schedule: CutSchedule, *, lead_s: float = 0.0) -> list[TurnReport]:
    """What listeners would have met with `schedule`."""
    return run(_replayed(trace, schedule, lead_s))


async def _replayed(trace: Trace, schedule: CutSchedule, lead_s: float) -> list[TurnReport]:
    loop = asyncio.get_running_loop()
    worker = VocoderWorker(_Vocoder(trace), RATE_HZ)
    await worker.start()
    outlook, reports = Outlook(schedule.unit_s, 0.4), list[TurnReport]()

    async def emit(event: TurnEvent) -> None:
        assert not isinstance(event, AudioDelta) or event.pcm.size

    async def answer(number: int) -> None:
        await asyncio.sleep(trace.answers[number].at_ms / 1000)
        stages = fake_stages(lm=_Said(trace.answers[number]), decoder=worker, cuts=schedule, outlook=outlook)
        options = TurnOptions(voice=str(number), playout_lead_s=lead_s)
        reports.append(await Turn(stages, Question(text="?"), options, emit, clock=loop.time).run())

    async with asyncio.TaskGroup() as turns:
        for number in range(len(trace.answers)):
            turns.create_task(answer(number))
    await worker.close()
    return reports


@dataclass(frozen=True, slots=True)
class _Said:
    """A language model that says it again."""

    answer: Answer

    async def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        loop = asyncio.get_running_loop()
        began_s, units, speaking = loop.time(), 0, False
        for ms, is_unit in self.answer.tokens:
            await asyncio.sleep(began_s + ms / 1000 - loop.time())
            if is_unit:
                yield [*([] if speaking else [SPEECH_START]), *unit_ids([units % 2])]
                units += 1
            else:
                yield [SPEECH_END]
            speaking = bool(is_unit)


class _Vocoder:
    """A vocoder's process that takes as long as it took for as many units."""

    def __init__(self, trace: Trace) -> None:
        self._audio_ms = [answer.audio_ms for answer in trace.answers]
        times = defaultdict[int, list[float]](list)
        for units, ms in trace.cuts:
            times[units].append(ms)
        self._times = {units: cycle(ms) for units, ms in times.items()}
        self._spoken = defaultdict[int, int](int)
        self._given = defaultdict[int, int](int)
        self.serving = self

    async def start(self) -> int:
        return 1

    async def close(self) -> None:
        """Nothing runs."""

    async def wait(self) -> object:
        return self

    def forget(self, stream: int) -> None:
        """Nothing is kept."""

    def state(self) -> WorkerState:
        return WorkerState("vocoder", None, {}, 0.0, ())

    async def decode(self, cuts: Sequence[Cut]) -> list[Pcm | Failure]:
        return [await self._decode(cut) for cut in cuts]

    async def _decode(self, cut: Cut) -> Pcm:
        size = len(cut.units)
        await asyncio.sleep(next(self._times[min(self._times, key=lambda units: abs(units - size))]) / 1000)
        number = int(cut.voice or 0)
        self._spoken[number] += size
        audio_ms = self._audio_ms[number]
        whole_ms = audio_ms[-1] if cut.final else audio_ms[self._spoken[number]]
        given_ms, self._given[number] = self._given[number], whole_ms
        return np.zeros(whole_ms - given_ms, np.float32)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What listeners met: answers, those with a gap of a millisecond or more, milliseconds to first audio (p50, p95)."""

    answers: int
    broken: int
    first_audio_ms: tuple[int, int]


def outcome(reports: Sequence[TurnReport]) -> Outcome:
    """Of all the answers of a run."""
    first = sorted(report.first_audio_s for report in reports if report.first_audio_s is not None)
    p50, p95 = (round(1000 * first[int(share * (len(first) - 1))]) for share in (0.5, 0.95))
    return Outcome(len(reports), sum(report.playout.gap_s >= 0.001 for report in reports), (p50, p95))
