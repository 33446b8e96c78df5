"""How much of its stages a server uses, measured where they are called: 1 is as much as it may.

Stages are asked through the same seams as ever. What is measured is what the sessions see: how long they wait for a stage to give
them a second of speech, the queue before it included, and how long their listeners wait in the middle of an answer.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, TypeVar

from streaming.audio import MODEL_RATE_HZ
from streaming.stages import LanguageModel, Pcm, Peek, Sampling, SpeechDecoder, SpeechEncoder, Stages, UnitCut

Stage = Literal["encoder", "language_model", "vocoder", "playback"]

FULL: Mapping[Stage, float] = {"encoder": 0.85, "language_model": 0.85, "vocoder": 0.85, "playback": 0.02}
"""Seconds of waiting in a second of speech at which a stage is full. At 1 it is too slow for real time; of playback these are
gaps."""

_MEMORY_S = 5.0
"""What was measured so long ago counts a third (1/e)."""
_WORST = 2.0
_CALM_S = 2.0
"""Speech without waiting that is taken as measured beside the rest: one slow answer on a quiet server is not a full server."""
_UNITS_S = 25.0
"""Units in a second of speech, until it is measured."""
_WITH_TEXT = 1.25
"""Tokens that an answer has for each of its units: text is written between them."""


class Meter:
    """Seconds of waiting in a second of speech, of late, divided by `full`. Pure: the caller's clock, in seconds, is all it knows
    of time.

    Waiting under way counts as long as it has lasted, so that a queue shows before its end. Twice full is all that is remembered:
    how bad it was does not say how long it lasts.
    """

    def __init__(self, full: float = 1.0) -> None:
        self._full = full
        self._waited_s = self._speech_s = self._at_s = 0.0
        self._waiting: dict[object, float] = {}

    def begin(self, who: object, now_s: float) -> None:
        """Somebody begins to wait."""
        self._waiting[who] = now_s

    def end(self, who: object, now_s: float) -> None:
        """Somebody has waited; nothing where that was known."""
        if (began_s := self._waiting.pop(who, None)) is not None:
            self.add(now_s, waited_s=_of_late(now_s - began_s))

    def add(self, now_s: float, *, waited_s: float = 0.0, speech_s: float = 0.0) -> None:
        """Account for waiting that is over, and for speech that came."""
        self._forget(now_s)
        self._speech_s += speech_s
        self._waited_s = min(self._waited_s + waited_s, _WORST * self._full * (self._speech_s + _CALM_S))

    def value(self, now_s: float) -> float:
        """As it is at `now_s`."""
        self._forget(now_s)
        waiting_s = sum(_of_late(now_s - began_s) for began_s in self._waiting.values())
        return (self._waited_s + waiting_s) / (self._full * (self._speech_s + _CALM_S))

    def _forget(self, now_s: float) -> None:
        kept = math.exp(min(0.0, self._at_s - now_s) / _MEMORY_S)
        self._waited_s *= kept
        self._speech_s *= kept
        self._at_s = now_s


def _of_late(waited_s: float) -> float:
    """What counts of waiting until now that began so long ago: who is stuck counts as one who is, and no more."""
    return _MEMORY_S * -math.expm1(-max(0.0, waited_s) / _MEMORY_S)


@dataclass(slots=True)
class Load:
    """Of all sessions together. `clock`: seconds, monotonic."""

    clock: Callable[[], float] = time.monotonic
    meters: dict[Stage, Meter] = field(default_factory=lambda: {stage: Meter(full) for stage, full in FULL.items()})
    units: float = _UNITS_S
    units_speech_s: float = 1.0

    def stages(self) -> dict[Stage, float]:
        """How full each stage is."""
        now_s = self.clock()
        return {stage: meter.value(now_s) for stage, meter in self.meters.items()}

    def value(self) -> float:
        """How full the fullest stage is."""
        return max(self.stages().values())

    def metered(self, stages: Stages) -> Stages:
        """The same stages, whose use is measured."""
        return replace(
            stages,
            encoder=_Encoder(stages.encoder, self),
            lm=_LanguageModel(stages.lm, self),
            decoder=_Decoder(stages.decoder, self),
        )

    def spoken(self, units: int, speech_s: float) -> None:
        """Units were spoken. How many make a second decides how much speech a token is worth."""
        self.units, self.units_speech_s = self.units + units, self.units_speech_s + speech_s

    @property
    def tokens_s(self) -> float:
        """Tokens that a second of speech takes."""
        return _WITH_TEXT * self.units / self.units_speech_s


class _Wait:
    """The waiting of one caller for one stage, now and then."""

    def __init__(self, load: Load, stage: Stage) -> None:
        self._clock, self._meter = load.clock, load.meters[stage]

    def begin(self) -> None:
        """The stage has what it needs."""
        self._meter.begin(self, self._clock())

    def end(self) -> None:
        """The stage gave something, or asks for more; nothing where that was known."""
        self._meter.end(self, self._clock())

    def gave(self, speech_s: float) -> None:
        """So much speech went through the stage."""
        self._meter.add(self._clock(), speech_s=speech_s)


T = TypeVar("T")


class _Fed(Generic[T]):
    """What a stage takes: it works from when it got a piece until it asks for the next. After the last it has the rest to do."""

    def __init__(self, pieces: AsyncIterator[T], wait: _Wait, taken: Callable[[T], None]) -> None:
        self._pieces, self._wait, self._taken = pieces, wait, taken

    def __aiter__(self) -> _Fed[T]:
        return self

    async def __anext__(self) -> T:
        self._wait.end()
        try:
            piece = await anext(self._pieces)
            self._taken(piece)
            return piece
        finally:
            self._wait.begin()


@dataclass(frozen=True, slots=True)
class _Encoder:
    encoder: SpeechEncoder
    load: Load

    async def encode(self, audio: AsyncIterator[Pcm | Peek]) -> AsyncGenerator[list[int]]:
        wait = _Wait(self.load, "encoder")

        def taken(piece: Pcm | Peek) -> None:
            if not isinstance(piece, Peek):
                wait.gave(piece.size / MODEL_RATE_HZ)

        try:
            async with aclosing(self.encoder.encode(_Fed(audio, wait, taken))) as pieces:
                async for units in pieces:
                    wait.end()
                    yield units
        finally:
            wait.end()


@dataclass(frozen=True, slots=True)
class _LanguageModel:
    lm: LanguageModel
    load: Load

    async def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        wait = _Wait(self.load, "language_model")
        try:
            wait.begin()
            async with aclosing(self.lm.generate(prompt, sampling)) as answer:
                async for ids in answer:
                    wait.end()
                    wait.gave(len(ids) / self.load.tokens_s)
                    yield ids
                    wait.begin()
        finally:
            wait.end()


@dataclass(frozen=True, slots=True)
class _Decoder:
    decoder: SpeechDecoder
    load: Load

    @property
    def sample_rate(self) -> int:
        return self.decoder.sample_rate

    async def synthesize(self, cuts: AsyncIterator[UnitCut]) -> AsyncGenerator[Pcm]:
        wait, playback = _Wait(self.load, "vocoder"), self.load.meters["playback"]
        due_s, units, heard = 0.0, 0, False

        def taken(cut: UnitCut) -> None:
            nonlocal due_s, units
            due_s, units = self.load.clock() + cut.buffered_s, units + len(cut.units)

        try:
            async with aclosing(self.decoder.synthesize(_Fed(cuts, wait, taken))) as pieces:
                async for pcm in pieces:
                    wait.end()
                    speech_s, now_s = pcm.size / self.decoder.sample_rate, self.load.clock()
                    wait.gave(speech_s)
                    self.load.spoken(units, speech_s)
                    playback.add(now_s, waited_s=max(0.0, now_s - due_s) if heard else 0.0, speech_s=speech_s)
                    due_s, units, heard = max(due_s, now_s) + speech_s, 0, heard or speech_s > 0
                    yield pcm
        finally:
            wait.end()
