"""One turn: units or text of the question in; transcript, text and speech of the answer out, as they come.

The only concurrency of a turn is here: the language model and the decoder run side by side, joined by a bounded queue.
Cancelling the caller is barge-in: both stages are closed before `run` returns.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TypeVar

from streaming.calling import CallWatch, follows, write_call
from streaming.errors import (
    EmptyAnswer,
    EngineUnavailable,
    NothingCame,
    NothingToAnswer,
    NothingToSay,
    TurnTimeout,
)
from streaming.interleave import (
    AnswerParser,
    LMEvent,
    SpeechChunkDone,
    TextDelta,
    TranscriptDelta,
    TranscriptDone,
    UnitsDelta,
)
from streaming.outlook import HandedCut
from streaming.planning import CutScheduler
from streaming.report import ChunkMark, Notice, StageTime, TurnReport
from streaming.stages import Exchange, Pcm, Stages, TurnOptions, UnitCut
from streaming.task_groups import TaskGroup, first_cause
from streaming.telling import characters, encoded
from streaming.tools import ArgumentsDelta, CallBegun
from streaming.watch import AnswerWatch, TranscriptWatch


@dataclass(frozen=True, slots=True)
class Question:
    """A spoken question as its units, live or complete, a typed one, or both: speech with text beside it.

    `audio_s`: how long was spoken.
    """

    units: AsyncIterator[list[int]] | None = None
    text: str | None = None
    history: Sequence[Exchange] = ()
    audio_s: float = 0.0


@dataclass(frozen=True, slots=True)
class AudioDelta:
    """Next audio of the answer: float32 mono [T] at the decoder's rate."""

    pcm: Pcm


TurnEvent = TranscriptDelta | TranscriptDone | TextDelta | AudioDelta | CallBegun | ArgumentsDelta | Notice
Emit = Callable[[TurnEvent], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _SpeechDone:
    """The language model has said all."""


_Speech = UnitsDelta | SpeechChunkDone | _SpeechDone
_SpeechQueue = asyncio.Queue[_Speech]

_QUEUE_EVENTS = 256
_QUICK_CHARACTERS = 2_000
"""Tokenized within a few milliseconds."""

T = TypeVar("T")
_HIDDEN_AUDIO_S = 1.5
"""So much audio is made of an answer before it is shown: enough to play on while the rest is made."""
_HIDDEN_SLACK_S = 1.0
"""So much later than those that are heard the decoder serves one that is not shown."""
_HAN = re.compile("[\u3400-\u9fff]")


class Turn:
    """Answers one question. `report` fills while it runs, so that a cancelled turn can still be accounted for.

    `hidden`: it is not certain that there is a listener, until `show`. What is said meanwhile is for the caller to keep back; it
    goes no further than the beginning of the answer, and lets others go first.
    """

    def __init__(
        self,
        stages: Stages,
        question: Question,
        options: TurnOptions,
        emit: Emit,
        *,
        hidden: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stages = stages
        self._question = question
        self._options = options
        self._emit = emit
        self._clock = clock
        self._began_s = clock()
        self._cut: HandedCut | None = None
        self._cut_to_end = self._spoke = False
        self._chunk_chars: deque[int] = deque()
        self._shown = asyncio.Event()
        if not hidden:
            self._shown.set()
        self.report = TurnReport(question_s=question.audio_s)

    async def run(self, limit_s: float | None = None) -> TurnReport:
        """Run to the end. Raises SpeechServerError from the stage that failed, TurnTimeout after `limit_s`.

        Cancelling it frees every stage.
        """
        speech: _SpeechQueue = asyncio.Queue(_QUEUE_EVENTS)
        limit = asyncio.timeout(limit_s)
        try:
            async with limit, TaskGroup() as stages:
                stages.create_task(self._think(speech), name="language-model")
                stages.create_task(self._speak(speech), name="decoder")
        except TimeoutError:
            raise TurnTimeout(f"the turn took longer than {limit_s:g} s") from None
        except ExceptionGroup as group:
            raise first_cause(group) from group
        self.report.done_s = self._elapsed_s()
        return self.report

    @property
    def hidden(self) -> bool:
        """It is not certain that there is a listener."""
        return not self._shown.is_set()

    def show(self) -> None:
        """There is a listener, who hears from now on what was made so far."""
        self._shown.set()
        self.report.lead_s = self._elapsed_s()
        if self.report.audio_s:
            self.report.playout.sent(self.report.audio_s, self._clock())

    def _elapsed_s(self) -> float:
        return self._clock() - self._began_s

    async def _prompt(self, text: str, options: TurnOptions) -> list[int]:
        """The whole prompt. Units arrive while the user speaks; at the end of the turn only the tail is left."""
        prompts, question = self._stages.prompts, self._question
        history = await self._history()
        if question.units is None or options.task == "read":
            ids = await self._off_the_loop(lambda: prompts.text_prompt(text, options, history))
        else:
            before, after = await self._off_the_loop(lambda: prompts.speech_prompt(options, history, text))
            units = [unit async for piece in question.units for unit in piece]
            ids = before + prompts.unit_ids(units) + after
            self.report.input_units = len(units)
        if self.report.heard_s is None:
            self.report.heard_s = self._elapsed_s()
        self.report.input_tokens += len(ids)
        return ids

    async def _off_the_loop(self, write: Callable[[], T]) -> T:
        """What `write` makes of the question; in a thread where there is much text to tokenize."""
        if characters(self._question.text or "", self._options, self._question.history) <= _QUICK_CHARACTERS:
            return write()
        return await asyncio.to_thread(write)

    async def _think(self, speech: _SpeechQueue) -> None:
        parser = self._stages.prompts.parser()
        try:
            text = await self._prepared()
            if self._options.task == "read":
                await self._read(text, parser, speech)
            else:
                watch = AnswerWatch(self._stages.pace)
                await self._generate(text, parser, speech, watch)
                lost = watch.transcript is not None and watch.transcript.ended
                if self._options.task == "answer" and (lost or not self._anything_came()):
                    raise EmptyAnswer("the model has no answer to this; ask it in other words")
        except NothingCame as failure:
            await self._apologise(failure, parser, speech)
        if self._options.speak and self.report.text and not self.report.output_units and not self.report.incomplete:
            self.report.shortfall = "no_speech"
        self.report.dropped_ids = parser.dropped
        self.report.lm_done_s = self._elapsed_s()
        await speech.put(_SpeechDone())

    def _anything_came(self) -> bool:
        report = self.report
        return bool(report.text.strip() or report.output_units or report.call or report.incomplete)

    async def _prepared(self) -> str:
        """What was typed, in the words that the model knows. Raises NothingCame where that leaves nothing to go by."""
        text = self._question.text or ""
        if not text:
            return text
        form = await self._stages.prompts.spoken_form(text, self._options)
        if not form.text and self._question.units is None:
            raise NothingToSay.of(form.dropped) if self._options.task == "read" else NothingToAnswer.of(form.dropped)
        if form.dropped:
            await self._notice(Notice("text_dropped", " ".join(form.dropped)))
        return form.text

    async def _history(self) -> Sequence[Exchange]:
        """Earlier turns, in the words that the model knows."""
        prompts, history = self._stages.prompts, self._question.history
        if prompts.keeps_units:
            return [await encoded(each) for each in history]
        forms = [await prompts.spoken_form(each.question, self._options) for each in history]
        return [replace(each, question=form.text) for each, form in zip(history, forms, strict=True)]

    async def _read(self, text: str, parser: AnswerParser, speech: _SpeechQueue) -> None:
        """Read `text` aloud, a sentence at a time."""
        prompts = self._stages.prompts
        options = replace(self._options, task="read")
        for number, sentence in enumerate(prompts.sentences(text)):
            if number:
                await self._deliver(parser.feed(prompts.pause()), speech)
            await self._deliver([TextDelta(sentence if not number else f" {sentence}")], speech)
            watch = AnswerWatch(self._stages.pace, sentence)
            await self._generate(sentence, parser, speech, watch, options)
            if self._options.speak and not watch.units:
                await self._notice(Notice("not_said", sentence))

    async def _apologise(self, failure: NothingCame, parser: AnswerParser, speech: _SpeechQueue) -> None:
        """Say that there is no answer; raise `failure` where nobody wants that or the bundle cannot."""
        language = self._options.reply_language
        if language == "auto":
            language = "zh" if _HAN.search(self._question.text or self.report.transcript) else "en"
        sorry = self._stages.prompts.sorry(language) if self._options.apologise else ""
        if not sorry:
            raise failure
        self.report.shortfall = failure.shortfall
        await self._read(sorry, parser, speech)

    async def _notice(self, notice: Notice) -> None:
        self.report.notices.append(notice)
        await self._emit(notice)

    async def _generate(
        self,
        text: str,
        parser: AnswerParser,
        speech: _SpeechQueue,
        watch: AnswerWatch,
        options: TurnOptions | None = None,
    ) -> None:
        """One request to the language model: all of a question, or one sentence of a text to be read."""
        prompts, options = self._stages.prompts, options or self._options
        prompt = await self._prompt(text, options)
        if self.report.input_units and options.task != "read":
            watch.transcript = TranscriptWatch(self.report.input_units, self.report.question_s)
        sampling = replace(prompts.sampling(options, len(prompt)), rated=self.hidden and self._stages.sure is not None)
        before, calling = self.report.output_tokens, CallWatch(options, prompts.call_opening(), prompts.answer_mark())
        await self._deliver(parser.feed(prompts.opening(options)), speech)
        async with aclosing(self._stages.lm.generate(prompt, sampling)) as answer:
            async for ids in answer:
                if self.report.first_token_s is None:
                    self.report.first_token_s = self._elapsed_s()
                self.report.output_tokens += len(ids)
                await self._deliver(watch.passed(parser.feed(calling.passed(ids)), ids), speech)
                if watch.ended or calling.calls:
                    break
            else:
                calling.ended()
        await self._deliver(watch.finished(parser.finish()), speech)
        if watch.ended:
            self.report.shortfall = watch.ended
            await self._notice(Notice(watch.ended, watch.text or self.report.transcript))
        elif self.report.output_tokens - before >= sampling.max_tokens:
            self.report.cut_off = True
        elif calling.calls:
            await self._call([*prompt, *calling.written], options)

    async def _call(self, prompt: list[int], options: TurnOptions) -> None:
        """Call a tool in place of an answer."""
        written = await write_call(self._stages, prompt, options, self._emit)
        if written is not None:
            self.report.call = written.call
            self.report.output_tokens += written.tokens
        if written is None or not follows(options.tools, written.call):
            self.report.cut_off = written is not None and written.cut_off
            self.report.shortfall = None if self.report.cut_off else "invalid_call"

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
        try:
            async with aclosing(self._cuts(speech)) as cuts, aclosing(decoder.synthesize(cuts)) as audio:
                async for pcm in audio:
                    self._arrived(pcm.size / decoder.sample_rate)
                    if not pcm.size:
                        continue
                    if report.first_audio_s is None:
                        report.first_audio_s = self._elapsed_s()
                    duration_s = pcm.size / decoder.sample_rate
                    report.audio_s += duration_s
                    if self._shown.is_set():
                        report.playout.sent(duration_s, self._clock())
                    await self._emit(AudioDelta(pcm))
                    if report.audio_s >= _HIDDEN_AUDIO_S:
                        await self._shown.wait()
        finally:
            if self._cut is not None:
                self._stages.outlook.dropped(self._cut)
        if not self._cut_to_end:
            raise EngineUnavailable("the decoder stopped in the middle of the answer; try again")
        self._mark(len(self._chunk_chars), held_s=0.0)

    async def _cuts(self, speech: _SpeechQueue) -> AsyncGenerator[UnitCut]:
        """Units as the scheduler cuts them."""
        stages, lead_s = self._stages, self._options.playout_lead_s
        scheduler = CutScheduler(stages.cuts, stages.outlook, stages.playout_lead_s if lead_s is None else lead_s)
        while not scheduler.finished:
            event = await _next_speech(speech, scheduler.wait_s(self._buffered_s(), self._clock()))
            while isinstance(event, UnitsDelta):
                scheduler.push(event.units, self._clock())
                event = None if speech.empty() else speech.get_nowait()
            if isinstance(event, SpeechChunkDone):
                scheduler.flush()
            elif isinstance(event, _SpeechDone):
                scheduler.finish()
            while (cut := scheduler.next_cut(self._buffered_s(), self._clock())) is not None:
                units, self._cut_to_end = cut
                yield self._handed(units)
                self._arrived(0.0)  # the decoder keeps all of it back
                if not self._cut_to_end:  # what the decoder made of the chunks that are complete has left
                    held_s = self._stages.decoder_latency_s if scheduler.began else 0.0
                    self._mark(scheduler.chunks - len(self.report.marks), held_s)
        self._cut_to_end = True

    def _handed(self, units: Sequence[int]) -> UnitCut:
        """A cut for the decoder, and from when on the time it takes is counted."""
        self._cut = self._stages.outlook.hand(len(units), self._clock())
        slack_s = self._buffered_s() + (0.0 if self._shown.is_set() else _HIDDEN_SLACK_S)
        return UnitCut(units, final=self._cut_to_end, buffered_s=slack_s, voice=self._options.voice)

    def _arrived(self, audio_s: float) -> None:
        """What the decoder makes of the cut that it was handed has come."""
        cut, self._cut = self._cut, None
        if cut is None:
            return
        now_s = self._clock()
        times = cut.handed_s - self._began_s, now_s - self._began_s
        self.report.cuts.append(StageTime("vocoder", *times, cut.units, audio_s))
        self._stages.outlook.arrived(cut, now_s)
        if not self._spoke and not self._cut_to_end:
            self._stages.outlook.began(cut.units, audio_s)
        self._spoke = True

    def _mark(self, chunks: int, held_s: float) -> None:
        """So many more chunks are spoken, but for the `held_s` that the decoder keeps back."""
        for _ in range(chunks):
            self.report.marks.append(ChunkMark(self._chunk_chars.popleft(), self.report.audio_s + held_s))

    def _buffered_s(self) -> float:
        if not self._shown.is_set():
            return self.report.audio_s
        return self.report.playout.buffered_s(self._clock())


async def _next_speech(speech: _SpeechQueue, wait_s: float | None) -> _Speech | None:
    """What comes next; None where nothing came within `wait_s`."""
    try:
        async with asyncio.timeout(wait_s):
            return await speech.get()
    except TimeoutError:
        return None
