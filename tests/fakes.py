"""Deterministic stages: small enough to reason about, with the seams of real ones.

They count what they were asked and whether they were closed, can be slow, hang or fail, and need no weights.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from streaming.errors import InvalidRequest
from streaming.interleave import Detokenizer, InterleaveParser, Markers
from streaming.pace import Pace
from streaming.sentences import sentences
from streaming.spoken import SpokenForm
from streaming.stages import Exchange, Pcm, Peek, Sampling, Stages, TurnOptions, UnitCut

BOS, QUESTION, ANSWER, SPEECH_START, SPEECH_END, STOP, UNPLACED, CALL = range(8)
UNIT_BASE, N_UNITS = 10, 50
TEXT_BASE = 1000
"""Token of a character: `TEXT_BASE + ord(character)`."""

FRAME_SAMPLES = 320
"""20 ms at 16 kHz: one unit each, before repeats are merged."""


def text_ids(text: str) -> list[int]:
    """Tokens of a text, one a character."""
    return [TEXT_BASE + ord(character) for character in text]


def unit_ids(units: Sequence[int]) -> list[int]:
    """Tokens of units."""
    return [UNIT_BASE + unit for unit in units]


def answer_ids(transcript: str, *chunks: tuple[str, Sequence[int]]) -> list[int]:
    """An interleaved answer: transcript of the question, then text and units in turn."""
    ids = [QUESTION, *text_ids(f": {transcript}; "), ANSWER, *text_ids(": ")]
    for text, units in chunks:
        ids += [*text_ids(text), SPEECH_START, *unit_ids(units), SPEECH_END]
    return ids


TRANSCRIPT = "What is two plus three?"
TEXT = "It is five. 三加二是五。"
UNITS = tuple(range(1, 41))
SCRIPT = answer_ids(TRANSCRIPT, ("It is five. ", UNITS[:16]), ("三加二是五。", UNITS[16:]))
"""What the fake language model says unless told otherwise: 40 units in two chunks."""


@dataclass
class FakeEncoder:
    """Each 20 ms of audio becomes a unit of its loudness; repeats merged, across any split. `ahead`: frames it waits for more.

    `hang`: it answers nothing; `peeks`: how often it was asked what it would say if the speech ended.
    """

    error: Exception | None = None
    hang: bool = False
    ahead: int = 0
    calls: int = 0
    closed: int = 0
    peeks: int = 0

    async def encode(self, audio: AsyncIterator[Pcm | Peek]) -> AsyncGenerator[list[int]]:
        self.calls += 1
        rest, last = np.zeros(0, np.float32), -1
        try:
            if self.error is not None:
                raise self.error
            if self.hang:
                await asyncio.Event().wait()
            async for piece in audio:
                if isinstance(piece, Peek):
                    self.peeks += 1
                    piece.tell(_loudnesses(rest, last))
                    continue
                rest = np.concatenate([rest, piece])
                whole = max(0, rest.size // FRAME_SAMPLES - self.ahead) * FRAME_SAMPLES
                if merged := _loudnesses(rest[:whole], last):
                    last = merged[-1]
                    yield merged
                rest = rest[whole:]
            if merged := _loudnesses(rest, last):
                yield merged
        finally:
            self.closed += 1


def _loudnesses(pcm: Pcm, last: int) -> list[int]:
    """Units of whole frames, behind a frame of `last`."""
    whole = pcm.size // FRAME_SAMPLES * FRAME_SAMPLES
    frames = [loudness(frame) for frame in pcm[:whole].reshape(-1, FRAME_SAMPLES)]
    return [unit for before, unit in pairwise([last, *frames]) if unit != before]


def loudness(frame: Pcm) -> int:
    """Unit of a frame: 0 for silence, N_UNITS - 1 for full scale."""
    return min(N_UNITS - 1, int(float(np.abs(frame).mean()) * N_UNITS))


@dataclass
class FakeLM:
    """Says `script`, or what `script` makes of the prompt, `per_step` tokens every `delay_s`.

    `hang_after`: tokens after which it says nothing more before `released` is set; `fail_after`: tokens after which it raises `error`. `cancelled`
    counts answers that were closed before their end.
    """

    script: Sequence[int] | Callable[[list[int]], Sequence[int]] = tuple(SCRIPT)
    delay_s: float = 0.0
    per_step: int = 1
    hang_after: int | None = None
    released: asyncio.Event = field(default_factory=asyncio.Event)
    fail_after: int | None = None
    error: Exception = field(default_factory=lambda: RuntimeError("secret: /weights/lm exploded"))
    prompts: list[list[int]] = field(default_factory=list[list[int]])
    samplings: list[Sampling] = field(default_factory=list[Sampling])
    active: int = 0
    finished: int = 0
    cancelled: int = 0

    async def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        ids = list(prompt)
        self.prompts.append(ids)
        self.samplings.append(sampling)
        script = list(self.script(ids) if callable(self.script) else self.script)[: sampling.max_tokens]
        script = script[
            : next((at for at, token in enumerate(script) if token in sampling.stop_token_ids), len(script))
        ]
        self.active += 1
        complete = False
        try:
            for start in range(0, len(script), self.per_step):
                await asyncio.sleep(self.delay_s)
                if self.fail_after is not None and start >= self.fail_after:
                    complete = True
                    raise self.error
                if self.hang_after is not None and start >= self.hang_after:
                    await self.released.wait()
                yield script[start : start + self.per_step]
            complete = True
        finally:
            self.active -= 1
            self.finished += complete
            self.cancelled += not complete


@dataclass
class FakeDecoder:
    """Each unit becomes `per_unit` samples of a sine of its own pitch: the same for any cuts."""

    sample_rate: int = 24_000
    per_unit: int = 960
    delay_s: float = 0.0
    fail_after: int | None = None
    error: Exception = field(default_factory=lambda: RuntimeError("secret: /weights/vocoder exploded"))
    cuts: list[UnitCut] = field(default_factory=list[UnitCut])
    active: int = 0
    closed: int = 0

    async def synthesize(self, cuts: AsyncIterator[UnitCut]) -> AsyncGenerator[Pcm]:
        spoken = 0
        self.active += 1
        try:
            async for cut in cuts:
                self.cuts.append(cut)
                await asyncio.sleep(self.delay_s)
                if self.fail_after is not None and spoken >= self.fail_after:
                    raise self.error
                spoken += len(cut.units)
                yield self.speak(cut.units)
        finally:
            self.active -= 1
            self.closed += 1

    def speak(self, units: Sequence[int]) -> Pcm:
        """The audio of `units`, offline."""
        time = np.arange(self.per_unit, dtype=np.float32) / self.sample_rate
        pieces = [0.3 * np.sin(2 * np.pi * (200 + 10 * unit) * time) for unit in units]
        return np.concatenate([np.zeros(0), *pieces]).astype(np.float32)


class _Characters:
    def __call__(self, token: int) -> str:
        return chr(token - TEXT_BASE) if token >= TEXT_BASE else ""


def detokenizer() -> Detokenizer:
    """A decoder of one run of text."""
    return _Characters()


@dataclass
class FakePrompts:
    """A prompt format: BOS, who answers how, what was said before, the question, STOP. See `text_ids` for its text."""

    max_prompt_tokens: int = 2000
    keeps_units: bool = False
    apology: str = ""
    options: list[TurnOptions] = field(default_factory=list[TurnOptions])
    histories: list[list[Exchange]] = field(default_factory=list[list[Exchange]])

    def call_opening(self) -> list[int]:
        return [CALL, *text_ids("call ")]

    def answer_mark(self) -> int:
        return ANSWER

    def text_ids(self, text: str) -> list[int]:
        return text_ids(text)

    def text_decoder(self) -> Detokenizer:
        return detokenizer()

    def speech_prompt(
        self, options: TurnOptions, history: Sequence[Exchange], text: str = ""
    ) -> tuple[list[int], list[int]]:
        return [*self._head(options, history), *text_ids(text), SPEECH_START], [SPEECH_END, STOP]

    def text_prompt(self, text: str, options: TurnOptions, history: Sequence[Exchange]) -> list[int]:
        return [*self._head(options, history), *text_ids(text), STOP]

    def opening(self, options: TurnOptions) -> list[int]:
        return [SPEECH_START] if options.task == "read" else [ANSWER] if options.calls else []

    async def spoken_form(self, text: str, options: TurnOptions) -> SpokenForm:
        """All but emojis can be said."""
        dropped = re.findall("[\U0001f000-\U0001ffff]+", text)
        return SpokenForm(
            " ".join(re.sub("[\U0001f000-\U0001ffff]+", " ", text).split()) if dropped else text, tuple(dropped)
        )

    def sorry(self, language: str) -> str:
        return self.apology

    def sentences(self, text: str) -> list[str]:
        return sentences(text, 40)

    def pause(self) -> list[int]:
        return [SPEECH_START, *unit_ids([0]), SPEECH_END]

    def unit_ids(self, units: Sequence[int]) -> list[int]:
        return unit_ids(units)

    def sampling(self, options: TurnOptions, prompt_tokens: int) -> Sampling:
        if prompt_tokens > self.max_prompt_tokens:
            raise InvalidRequest("the question is too long for the model", code="context_length_exceeded")
        enough = {"transcribe": (ANSWER,), "read": (SPEECH_END,)}.get(options.task, ())
        defaults = Sampling(max_tokens=1024, stop_token_ids=(STOP, *enough))
        chosen = {key: getattr(options, key) for key in ("temperature", "top_p", "max_tokens")}
        return replace(defaults, **{key: value for key, value in chosen.items() if value is not None})

    def parser(self) -> InterleaveParser:
        units = {UNIT_BASE + unit: unit for unit in range(N_UNITS)}
        return InterleaveParser(Markers(QUESTION, ANSWER, SPEECH_START, SPEECH_END), units, detokenizer)

    def _head(self, options: TurnOptions, history: Sequence[Exchange]) -> list[int]:
        self.options.append(options)
        self.histories.append(list(history))
        before = "".join(f"{exchange.question}|{exchange.answer}|" for exchange in history)
        before += "".join(f"{call.name} {call.arguments}|{call.output}|" for call in options.calls)
        return [BOS, *text_ids(f"{options.reply_language} {options.schedule} {options.instructions}|{before}")]


@dataclass
class FakeVoiceActivity:
    """Speech is whatever is louder than -40 dB of full scale."""

    window_samples: int = 512

    def probability(self, window: Pcm) -> float:
        return 0.95 if float(np.abs(window).max()) > 0.01 else 0.02

    def reset(self) -> None:
        """Nothing is remembered."""


@dataclass
class FakeEndOfTurn:
    """Says `answers` in turn, then the last one again."""

    answers: Sequence[float] = (1.0,)
    window_samples: int = 16_000
    asked: list[Pcm] = field(default_factory=list[Pcm])

    async def finished(self, audio: Pcm) -> float:
        self.asked.append(audio)
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


def fake_stages(**replaced: Any) -> Stages:
    """All stages; pass any of `Stages` to replace it. Scripts say what they like: the pace has no bound."""
    stages: dict[str, Any] = {
        "encoder": FakeEncoder(),
        "lm": FakeLM(),
        "decoder": FakeDecoder(),
        "prompts": FakePrompts(),
        "voice_activity": FakeVoiceActivity,
        "end_of_turn": FakeEndOfTurn(),
        "pace": Pace(units=10**9),
    }
    return Stages(**(stages | replaced))


async def in_pieces(pcm: Pcm, samples: int = 1600) -> AsyncGenerator[Pcm]:
    """Audio in pieces, as a microphone gives it."""
    for start in range(0, pcm.size, samples):
        await asyncio.sleep(0)
        yield pcm[start : start + samples]


async def encoded(encoder: FakeEncoder, pcm: Pcm) -> list[int]:
    """All units of `pcm`."""
    async with aclosing(encoder.encode(in_pieces(pcm))) as units:
        return [unit async for piece in units for unit in piece]
