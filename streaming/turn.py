"""One turn: units or text of the question in; transcript, text and speech of the answer out, as they come.

The only concurrency of a turn is here: the language model and the decoder run side by side, joined by a bounded queue.
Cancelling the caller is barge-in: both stages are closed before `run` returns.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from streaming.errors import EngineUnavailable, SpeechServerError, TurnTimeout
from streaming.interleave import (
    AnswerParser,
    LMEvent,
    SpeechChunkDone,
    TextDelta,
    TranscriptDelta,
    TranscriptDone,
    UnitsDelta,
)
from streaming.planning import CutScheduler, PlayoutClock
from streaming.stages import Exchange, Pcm, Stages, TurnOptions, UnitCut


@dataclass(frozen=True, slots=True)
class Question:
    """A spoken question as its units, live or complete, a typed one, or both: speech with text beside it."""

    units: AsyncIterator[list[int]] | None = None
    text: str | None = None
    history: Sequence[Exchange] = ()


@dataclass(frozen=True, slots=True)
class AudioDelta:
    """Next audio of the answer: float32 mono [T] at the decoder's rate."""

    pcm: Pcm


@dataclass(frozen=True, slots=True)
class ChunkMark:
    """Where a speech chunk ends: after `text_chars` characters of the answer, and after `audio_s` seconds of its audio."""

    text_chars: int
    audio_s: float


@dataclass(slots=True)
class TurnReport:
    """What happened in a turn. Times are seconds since the turn was made, None where it did not come to that.

    `heard_s`: question fully encoded; `first_token_s`, `first_units_s`, `first_audio_s`: first of each out; `done_s`: end.
    `first_chunk_s`: transcript, first text and first speech chunk are complete: the latency of arXiv 2604.11096.
    `decode_busy_s`: sum over the cuts of the time from handing one to the decoder until its audio came. `marks`: ends of the
    speech chunks spoken so far. `cut_off`: the answer met the limit of its tokens.
    """

    transcript: str = ""
    text: str = ""
    heard_s: float | None = None
    first_token_s: float | None = None
    first_units_s: float | None = None
    first_chunk_s: float | None = None
    first_audio_s: float | None = None
    lm_done_s: float | None = None
    done_s: float | None = None
    input_units: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    output_units: int = 0
    dropped_ids: int = 0
    audio_s: float = 0.0
    decode_busy_s: float = 0.0
    cut_off: bool = False
    marks: list[ChunkMark] = field(default_factory=list[ChunkMark])
    playout: PlayoutClock = field(default_factory=PlayoutClock)

    def figures(self) -> dict[str, float | int | None]:
        """What a log may tell of the turn: nothing that was said in it."""
        return {
            "first_audio_ms": None if self.first_audio_s is None else round(1000 * self.first_audio_s),
            "input_units": self.input_units,
            "output_units": self.output_units,
            "audio_s": round(self.audio_s, 2),
            "underruns": self.playout.underruns,
        }


TurnEvent = TranscriptDelta | TranscriptDone | TextDelta | AudioDelta
Emit = Callable[[TurnEvent], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _SpeechDone:
    """The language model has said all."""


_Speech = UnitsDelta | SpeechChunkDone | _SpeechDone
_SpeechQueue = asyncio.Queue[_Speech]

_QUEUE_EVENTS = 256
_READ_TOKENS, _READ_TOKENS_PER_CHARACTER = 30, 8
"""Most units of a sentence read aloud: slow speech of the longest-winded script has fewer."""


class Turn:
    """Answers one question. `report` fills while it runs, so that a cancelled turn can still be accounted for."""

    def __init__(
        self,
        stages: Stages,
        question: Question,
        options: TurnOptions,
        emit: Emit,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stages = stages
        self._question = question
        self._options = options
        self._emit = emit
        self._clock = clock
        self._began_s = self._handed_s = clock()
        self._cut_to_end = False
        self._chunk_chars: deque[int] = deque()
        self.report = TurnReport()

    async def run(self, limit_s: float | None = None) -> TurnReport:
        """Run to the end. Raises SpeechServerError from the stage that failed, TurnTimeout after `limit_s`.

        Cancelling it frees every stage.
        """
        speech: _SpeechQueue = asyncio.Queue(_QUEUE_EVENTS)
        limit = asyncio.timeout(limit_s)
        try:
            async with limit, asyncio.TaskGroup() as stages:
                stages.create_task(self._think(speech), name="language-model")
                stages.create_task(self._speak(speech), name="decoder")
        except TimeoutError:
            raise TurnTimeout(f"the turn took longer than {limit_s:g} s") from None
        except ExceptionGroup as group:
            raise _first_cause(group) from group
        self.report.done_s = self._elapsed_s()
        return self.report

    def _elapsed_s(self) -> float:
        return self._clock() - self._began_s

    async def _prompt(self, text: str) -> list[int]:
        """The whole prompt. Units arrive while the user speaks; at the end of the turn only the tail is left."""
        prompts, question = self._stages.prompts, self._question
        history = [await _encoded(each) for each in question.history] if prompts.keeps_units else question.history
        if question.units is None:
            ids = prompts.text_prompt(text, self._options, history)
        else:
            before, after = prompts.speech_prompt(self._options, history, text)
            units = [unit async for piece in question.units for unit in piece]
            ids = before + prompts.unit_ids(units) + after
            self.report.input_units = len(units)
        if self.report.heard_s is None:
            self.report.heard_s = self._elapsed_s()
        self.report.input_tokens += len(ids)
        return ids

    async def _think(self, speech: _SpeechQueue) -> None:
        prompts, parser = self._stages.prompts, self._stages.prompts.parser()
        text = self._question.text or ""
        if self._options.task == "read":
            for number, sentence in enumerate(prompts.sentences(text)):
                if number:
                    await self._deliver(parser.feed(prompts.pause()), speech)
                await self._deliver([TextDelta(sentence if not number else f" {sentence}")], speech)
                await self._generate(sentence, parser, speech)
        else:
            await self._generate(text, parser, speech)
        self.report.dropped_ids = parser.dropped
        self.report.lm_done_s = self._elapsed_s()
        await speech.put(_SpeechDone())

    async def _generate(self, text: str, parser: AnswerParser, speech: _SpeechQueue) -> None:
        """One request to the language model: all of a question, or one sentence of a text to be read."""
        prompts, options = self._stages.prompts, self._options
        prompt = await self._prompt(text)
        sampling = prompts.sampling(options, len(prompt))
        if options.task == "read":  # a model that does not find the end of a sentence must not speak for ever
            most = _READ_TOKENS + _READ_TOKENS_PER_CHARACTER * len(text)
            sampling = replace(sampling, max_tokens=min(sampling.max_tokens, most))
        before = self.report.output_tokens
        await self._deliver(parser.feed(prompts.opening(options)), speech)
        async with aclosing(self._stages.lm.generate(prompt, sampling)) as answer:
            async for ids in answer:
                if self.report.first_token_s is None:
                    self.report.first_token_s = self._elapsed_s()
                self.report.output_tokens += len(ids)
                await self._deliver(parser.feed(ids), speech)
        await self._deliver(parser.finish(), speech)
        if self.report.output_tokens - before >= sampling.max_tokens:
            self.report.cut_off = True

    async def _deliver(self, events: list[LMEvent], speech: _SpeechQueue) -> None:
        for event in events:
            if isinstance(event, UnitsDelta | SpeechChunkDone):
                if isinstance(event, UnitsDelta):
                    self.report.output_units += len(event.units)
                    if self.report.first_units_s is None:
                        self.report.first_units_s = self._elapsed_s()
                else:
                    self._chunk_chars.append(len(self.report.text))
                    if self.report.first_chunk_s is None:
                        self.report.first_chunk_s = self._elapsed_s()
                await speech.put(event)
                continue
            if isinstance(event, TranscriptDelta):
                self.report.transcript += event.text
            elif isinstance(event, TextDelta):
                self.report.text += event.text
            await self._emit(event)

    async def _speak(self, speech: _SpeechQueue) -> None:
        if not self._options.speak:
            while not isinstance(await speech.get(), _SpeechDone):
                pass
            return
        decoder, report = self._stages.decoder, self.report
        async with aclosing(self._cuts(speech)) as cuts, aclosing(decoder.synthesize(cuts)) as audio:
            async for pcm in audio:
                report.decode_busy_s += self._clock() - self._handed_s
                if not pcm.size:
                    continue
                if report.first_audio_s is None:
                    report.first_audio_s = self._elapsed_s()
                duration_s = pcm.size / decoder.sample_rate
                report.audio_s += duration_s
                report.playout.sent(duration_s, self._clock())
                await self._emit(AudioDelta(pcm))
        if not self._cut_to_end:
            raise EngineUnavailable("the decoder stopped in the middle of the answer; try again")

    async def _cuts(self, speech: _SpeechQueue) -> AsyncGenerator[UnitCut]:
        """Units as the scheduler cuts them."""
        scheduler = CutScheduler(self._stages.cuts)
        while not scheduler.finished:
            event = await _next_speech(speech, scheduler.wait_s(self._buffered_s()))
            while isinstance(event, UnitsDelta):
                scheduler.push(event.units)
                event = None if speech.empty() else speech.get_nowait()
            if isinstance(event, SpeechChunkDone):
                scheduler.flush()
            elif isinstance(event, _SpeechDone):
                scheduler.finish()
            while (cut := scheduler.next_cut(self._buffered_s())) is not None:
                units, final = cut
                self._cut_to_end, self._handed_s = final, self._clock()
                yield UnitCut(units, final=final, buffered_s=self._buffered_s(), voice=self._options.voice)
            if isinstance(event, SpeechChunkDone):  # all of it was cut above, and what the decoder made of it has left
                held_s = self._stages.decoder_latency_s if scheduler.began else 0.0
                self.report.marks.append(ChunkMark(self._chunk_chars.popleft(), self.report.audio_s + held_s))
        self._cut_to_end = True

    def _buffered_s(self) -> float:
        return self.report.playout.buffered_s(self._clock())


async def _next_speech(speech: _SpeechQueue, wait_s: float | None) -> _Speech | None:
    """What comes next; None where nothing came within `wait_s`."""
    try:
        async with asyncio.timeout(wait_s):
            return await speech.get()
    except TimeoutError:
        return None


async def _encoded(exchange: Exchange) -> Exchange:
    """The exchange with all units of its question; with none where the recording cannot be encoded."""
    if exchange.recording is None:
        return exchange
    try:
        units = tuple([unit async for piece in exchange.recording() for unit in piece])
    except SpeechServerError:
        units = ()
    return replace(exchange, units=units, recording=None)


def _first_cause(group: ExceptionGroup[Exception]) -> Exception:
    first = group.exceptions[0]
    return _first_cause(first) if isinstance(first, ExceptionGroup) else first
