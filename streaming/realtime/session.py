"""One realtime connection: client events in, server events out, at most one response at a time.

Transport-free: `run` takes messages from an async iterator and hands events to `send`. Every task lives in the session's
TaskGroup, so nothing of a session outlives it. An error of the client or of a turn is an `error` event or a failed
response; only the transport ends a session.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from streaming.audio import MODEL_RATE_HZ, Resampler, WireFormat
from streaming.endpointing import EndpointerConfig, SpeechStarted, SpeechStopped
from streaming.errors import InvalidRequest, SpeechServerError
from streaming.interleave import TextDelta, TranscriptDelta, TranscriptDone
from streaming.realtime import messages as msg
from streaming.realtime.conversation import Conversation, Item, ItemIdTaken, new_id
from streaming.realtime.hearing import Hearing
from streaming.realtime.listening import Listener, Speech
from streaming.realtime.response import Event, Reason, ResponseWriter
from streaming.stages import Pcm
from streaming.turn import AudioDelta, Question, Stages, Turn, TurnEvent, TurnOptions, TurnReport

log = logging.getLogger(__name__)

Outcome = Literal["completed", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """`max_question_s`: a longer spoken question is ended there; `min_question_s`: a shorter one is refused.

    `max_items`: of a longer conversation the oldest items are forgotten.
    """

    max_question_s: float = 30.0
    min_question_s: float = 0.1
    max_items: int = 256


@dataclass(frozen=True, slots=True)
class SessionModel:
    """What a session needs to know of the model it talks to; the first voice is the default."""

    name: str
    voices: tuple[str, ...]
    stages: Stages


Send = Callable[[Event], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Observer:
    """Where a session reports to: finished turns and refused client events."""

    turn: Callable[[TurnReport, Outcome], None] = lambda report, outcome: None
    error: Callable[[SpeechServerError], None] = lambda error: None


@dataclass(slots=True)
class _Active:
    """The response under way."""

    writer: ResponseWriter
    turn: Turn
    task: asyncio.Task[None]


class _HangUp(Exception):
    """The peer has gone."""


class RealtimeSession:
    """The conversation over one connection."""

    def __init__(self, model: SessionModel, send: Send, *, limits: SessionLimits, observer: Observer) -> None:
        self._model = model
        self._send_event = send
        self._limits = limits
        self._observer = observer
        self.id = new_id("sess")
        self._config = msg.SessionConfig(type="realtime", audio=_default_audio(model))
        self._conversation = Conversation()
        self._hearing: Hearing | None = None
        self._hearing_item_id = new_id("item")
        self._active: _Active | None = None
        self._clock = 0
        self._sending = asyncio.Lock()
        self._tasks: asyncio.TaskGroup
        self._resampler: Resampler
        self._configure_input()

    async def run(self, received: AsyncIterator[str | bytes]) -> None:
        """Until `received` ends. What is still running then is cancelled."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                await self._send({"type": "session.created", "session": self._public()})
                async for message in received:
                    await self._handle(message)
                raise _HangUp  # the way to cancel what a TaskGroup still runs
        except* _HangUp:
            pass

    # Client events

    async def _handle(self, message: str | bytes) -> None:
        event_id: str | None = None
        try:
            if isinstance(message, bytes):
                raise InvalidRequest("binary messages are not accepted; send JSON text", code="invalid_json")
            event = msg.parse(message)
            event_id = event.event_id
            await self._dispatch(event)
        except SpeechServerError as error:
            about = error.event_id if isinstance(error, msg.ClientEventError) and error.event_id else event_id
            await self._refuse(error, about)
        except Exception:
            log.exception("client event failed")
            await self._refuse(SpeechServerError("the event failed inside the server"), event_id)

    async def _refuse(self, error: SpeechServerError, event_id: str | None) -> None:
        self._observer.error(error)
        await self._send({"type": "error", "error": {**error.body(), "event_id": event_id}})

    async def _dispatch(self, event: msg.ClientEvent) -> None:
        match event:
            case msg.Append():
                await self._append(event)
            case msg.Commit():
                await self._commit()
            case msg.Clear():
                self._drop_hearing()
                self._configure_input()
                await self._send({"type": "input_audio_buffer.cleared"})
            case msg.SessionUpdate():
                await self._update(event.session)
            case msg.ItemCreate():
                await self._create_item(event)
            case msg.ItemDelete():
                self._conversation.delete(event.item_id)
                await self._send({"type": "conversation.item.deleted", "item_id": event.item_id})
            case msg.ItemRetrieve():
                item = self._conversation.get(event.item_id, "retrieve").public()
                await self._send({"type": "conversation.item.retrieved", "item": item})
            case msg.ItemTruncate():
                await self._truncate(event)
            case msg.ResponseCreate():
                await self._respond(event.response)
            case msg.ResponseCancel():
                await self._cancel(event)

    async def _update(self, patch: msg.SessionConfig) -> None:
        config = self._config.updated(patch)
        if patch.model is not None and patch.model != self._model.name:
            raise InvalidRequest(
                f"this session talks to {self._model.name}; connect with ?model= for another", param="session.model"
            )
        self._check_voice(config.audio.output.voice, "session.audio.output.voice")
        old, self._config = self._config.audio.input, config
        if (old.format, old.turn_detection) != (config.audio.input.format, config.audio.input.turn_detection):
            self._drop_hearing()
            self._configure_input()
        await self._send({"type": "session.updated", "session": self._public()})

    async def _append(self, event: msg.Append) -> None:
        pcm = self._resampler.push(self._wire_in.decode(_from_base64(event.audio, "audio")))
        have = self._hearing.samples if self._hearing else 0
        if self._listener is None and have + pcm.size > self._limits.max_question_s * MODEL_RATE_HZ:
            raise InvalidRequest(
                f"the input audio buffer would exceed {self._limits.max_question_s:g} s, the most a question may have; "
                "commit or clear it",
                code="audio_too_long",
                param="audio",
            )
        await self._listen(pcm)

    async def _listen(self, pcm: Pcm) -> None:
        """Next audio of the session: all of it is the question, or what voice activity finds in it."""
        start, self._clock = self._clock, self._clock + pcm.size
        if self._listener is None:
            await self._hear(pcm)
            return
        for heard in self._listener.feed(pcm, start):
            match heard:
                case SpeechStarted():
                    await self._speech_started(heard)
                case Speech():
                    await self._hear(heard.pcm)
                case SpeechStopped():
                    await self._speech_stopped(heard)

    async def _hear(self, pcm: Pcm) -> None:
        if not pcm.size:
            return
        if self._hearing is None:
            self._hearing = Hearing(self._model.stages.encoder)
            self._hearing_task = self._tasks.create_task(self._hearing.run(), name="encoder")
        await self._hearing.feed(pcm)

    async def _speech_started(self, event: SpeechStarted) -> None:
        at_ms = event.at_sample * 1000 // MODEL_RATE_HZ
        item_id = self._hearing_item_id
        await self._send(
            {"type": "input_audio_buffer.speech_started", "audio_start_ms": at_ms, "item_id": item_id},
        )
        detection = self._config.audio.input.turn_detection
        if detection and detection.interrupt_response:
            await self._stop_active("turn_detected")

    async def _speech_stopped(self, event: SpeechStopped) -> None:
        at_ms = event.at_sample * 1000 // MODEL_RATE_HZ
        item_id = self._hearing_item_id
        await self._send({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": at_ms, "item_id": item_id})
        await self._commit_hearing()
        detection = self._config.audio.input.turn_detection
        if detection and detection.create_response and self._active is None:
            await self._respond(msg.ResponseParams())

    async def _commit(self) -> None:
        if self._hearing is not None:
            await self._listen(self._resampler.push(np.zeros(0, np.float32), final=True))
            self._resampler = Resampler(self._wire_in.rate_hz, MODEL_RATE_HZ)
        if self._hearing is not None and self._listener is not None:
            await self._hear(self._listener.flush())
        enough = self._limits.min_question_s * MODEL_RATE_HZ
        if self._hearing is None or self._hearing.samples < enough:
            have_ms = (self._hearing.samples if self._hearing else 0) * 1000 // MODEL_RATE_HZ
            raise InvalidRequest(
                f"the input audio buffer holds {have_ms} ms of speech; "
                f"at least {self._limits.min_question_s * 1000:g} ms are needed",
                code="input_audio_buffer_commit_empty",
            )
        await self._commit_hearing()
        if self._listener is not None:
            self._configure_listener()

    async def _commit_hearing(self) -> None:
        """The buffered speech becomes a user message."""
        hearing, self._hearing = self._hearing, None
        if hearing is None:
            return
        await hearing.close()
        item = Item("user", hearing=hearing, spoken=True, id=self._hearing_item_id)
        self._hearing_item_id = new_id("item")
        previous = self._conversation.last_id()
        await self._send(
            {"type": "input_audio_buffer.committed", "previous_item_id": previous, "item_id": item.id},
        )
        await self._add(item)

    async def _create_item(self, event: msg.ItemCreate) -> None:
        shape, first = event.item, event.item.content[0]
        item = Item(shape.role)
        if shape.id is not None:
            item.id = shape.id
        if item.id == self._hearing_item_id:
            raise ItemIdTaken(f"{item.id} is what the user is saying")
        if not isinstance(first, msg.InputAudio):
            item.text = "\n".join(part.text for part in shape.content if not isinstance(part, msg.InputAudio))
            await self._add(item, after=event.previous_item_id)
            return
        pcm = self._recording(first)
        item.spoken, item.text = True, first.transcript or ""
        item.hearing = Hearing(self._model.stages.encoder)
        await self._add(item, after=event.previous_item_id)
        self._tasks.create_task(item.hearing.run(), name="encoder")
        await item.hearing.feed(pcm)
        await item.hearing.close()

    def _recording(self, part: msg.InputAudio) -> Pcm:
        """A recording that came as a conversation item, in the session's input format."""
        data = self._wire_in.decode(_from_base64(part.audio, "item.content.0.audio"))
        pcm = Resampler(self._wire_in.rate_hz, MODEL_RATE_HZ).push(data, final=True)
        shortest, longest = (
            round(s * MODEL_RATE_HZ) for s in (self._limits.min_question_s, self._limits.max_question_s)
        )
        if not shortest <= pcm.size <= longest:
            raise InvalidRequest(
                f"the recording has {pcm.size / MODEL_RATE_HZ:.2f} s; accepted: {self._limits.min_question_s:g} "
                f"to {self._limits.max_question_s:g} s",
                code="audio_too_short" if pcm.size < shortest else "audio_too_long",
                param="item.content.0.audio",
            )
        return pcm

    async def _add(self, item: Item, after: str | None = None) -> None:
        previous = self._conversation.add(item, after)
        for kind in ("added", "done"):
            await self._send(
                {"type": f"conversation.item.{kind}", "previous_item_id": previous, "item": item.public()},
            )
        while len(self._conversation) > self._limits.max_items:
            forgotten = self._conversation.oldest().id
            self._conversation.delete(forgotten)
            await self._send({"type": "conversation.item.deleted", "item_id": forgotten})

    async def _truncate(self, event: msg.ItemTruncate) -> None:
        item = self._conversation.get(event.item_id, "truncate")
        if item.role != "assistant" or not item.spoken:
            raise InvalidRequest("only spoken answers can be truncated", code="invalid_value", param="item_id")
        if self._active and self._active.writer.item is item:
            await self._stop_active("client_cancelled")
        end_ms = item.truncate(event.audio_end_ms)
        await self._send(
            {
                "type": "conversation.item.truncated",
                "item_id": item.id,
                "content_index": 0,
                "audio_end_ms": end_ms,
            }
        )

    # Responses

    async def _respond(self, params: msg.ResponseParams) -> None:
        if self._active is not None:
            raise InvalidRequest(
                f"response {self._active.writer.id} is still under way; cancel it or wait for response.done",
                code="conversation_already_has_active_response",
            )
        question = self._conversation.last_question()
        if question is None:
            raise InvalidRequest(
                "there is nothing to answer: commit audio or create a user message first", code="nothing_to_answer"
            )
        output = self._config.audio.output
        if params.audio is not None:
            output = output.updated(params.audio.output)
        self._check_voice(output.voice, "response.audio.output.voice")
        options = self._options(params)
        history = self._conversation.history(until=question)
        answer = Item("assistant", spoken=options.speak, status="in_progress")
        previous = self._conversation.add(answer)
        writer = ResponseWriter(
            item=answer,
            previous_item_id=previous,
            wire=_wire(output.format),
            voice=output.voice or self._model.voices[0],
            decoder_rate_hz=self._model.stages.decoder.sample_rate,
            max_output_tokens=params.max_output_tokens or self._config.max_output_tokens,
            metadata=params.metadata,
        )
        if question.hearing:
            asked = Question(units=question.hearing.units(), history=history)
        else:
            asked = Question(text=question.text, history=history)
        await self._send_all(writer.start())

        async def emit(event: TurnEvent) -> None:
            async with self._sending:
                for each in self._wire_events(writer, question, turn.report, event):
                    await self._write(each)

        turn = Turn(self._model.stages, asked, options, emit)
        task = self._tasks.create_task(self._answer(writer, turn), name="response")
        self._active = _Active(writer, turn, task)

    def _options(self, params: msg.ResponseParams) -> TurnOptions:
        modalities = params.output_modalities or self._config.output_modalities
        limit = params.max_output_tokens or self._config.max_output_tokens
        instructions = self._config.instructions if params.instructions is None else params.instructions
        return TurnOptions(
            reply_language=params.reply_language or self._config.reply_language,
            instructions="\n".join(part for part in (instructions, self._conversation.instructions()) if part),
            speak="audio" in modalities,
            max_tokens=limit if isinstance(limit, int) else None,
        )

    async def _answer(self, writer: ResponseWriter, turn: Turn) -> None:
        failure: SpeechServerError | None = None
        try:
            await turn.run()
        except SpeechServerError as error:
            failure = error
        except asyncio.CancelledError:
            self._observer.turn(turn.report, "cancelled")
            raise
        except Exception:
            log.exception("turn failed")
            failure = SpeechServerError("the turn failed inside the server")
        self._active = None
        if failure is None:
            self._observer.turn(turn.report, "completed")
            await self._send_all(writer.completed(turn.report))
        else:
            self._observer.error(failure)
            self._observer.turn(turn.report, "failed")
            await self._send_all(writer.failed(failure, turn.report))

    def _wire_events(
        self, writer: ResponseWriter, question: Item, report: TurnReport, event: TurnEvent
    ) -> Sequence[Event]:
        match event:
            case TextDelta():
                return writer.text(event)
            case AudioDelta():
                return writer.audio(event)
            case TranscriptDelta() | TranscriptDone() if question.hearing and not question.transcribed:
                return self._transcription(question, report, event)
            case _:
                return ()

    def _transcription(
        self, question: Item, report: TurnReport, event: TranscriptDelta | TranscriptDone
    ) -> Sequence[Event]:
        """The question as the model heard it, told once however often it is answered."""
        kind = "conversation.item.input_audio_transcription"
        at = {"item_id": question.id, "content_index": 0}
        question.text = report.transcript
        question.transcribed = isinstance(event, TranscriptDone)
        if self._config.audio.input.transcription is None or question.hearing is None:
            return ()
        if isinstance(event, TranscriptDelta):
            return [{"type": f"{kind}.delta", **at, "delta": event.text}]
        duration = {"type": "duration", "seconds": round(question.hearing.samples / MODEL_RATE_HZ, 3)}
        return [{"type": f"{kind}.completed", **at, "transcript": question.text, "usage": duration}]

    async def _cancel(self, event: msg.ResponseCancel) -> None:
        active = self._active
        if active is None or event.response_id not in (None, active.writer.id):
            # LiveKit takes it as harmless by these first words, not by its code.
            raise InvalidRequest(
                "Cancellation failed: no such response is under way", code="response_cancel_not_active"
            )
        await self._stop_active("client_cancelled")

    async def _stop_active(self, reason: Reason) -> None:
        """Cancel the response under way, free its stages, then close it towards the client."""
        active = self._active
        if active is None:
            return
        active.task.cancel()
        await asyncio.wait([active.task])
        if self._active is active:  # it did not end by itself meanwhile
            self._active = None
            await self._send_all(active.writer.cancelled(reason, active.turn.report))

    # Input side

    def _configure_input(self) -> None:
        self._wire_in = _wire(self._config.audio.input.format)
        self._resampler = Resampler(self._wire_in.rate_hz, MODEL_RATE_HZ)
        self._configure_listener()

    def _configure_listener(self) -> None:
        detection = self._config.audio.input.turn_detection
        self._listener: Listener | None = None
        if detection is not None:
            config = EndpointerConfig(
                threshold=detection.threshold,
                prefix_padding_ms=detection.prefix_padding_ms,
                silence_duration_ms=detection.silence_duration_ms,
                max_turn_ms=round(self._limits.max_question_s * 1000),
            )
            self._listener = Listener(self._model.stages.voice_activity(), config)

    def _drop_hearing(self) -> None:
        if self._hearing is not None:
            self._hearing_task.cancel()
            self._hearing = None
            self._hearing_item_id = new_id("item")

    # Output side

    def _check_voice(self, voice: str | None, param: str) -> None:
        if voice is not None and voice not in self._model.voices:
            accepted = ", ".join(self._model.voices)
            raise InvalidRequest(f"{self._model.name} has no voice {voice!r}; accepted: {accepted}", param=param)

    def _public(self) -> dict[str, Any]:
        shown = self._config.model_dump(exclude={"model", "prompt", "parallel_tool_calls", "tracing"})
        shown["audio"]["output"]["voice"] = self._config.audio.output.voice or self._model.voices[0]
        return {"object": "realtime.session", "id": self.id, "model": self._model.name, **shown}

    async def _send_all(self, events: Sequence[Event]) -> None:
        """Events that belong together; those of another task come before or after them."""
        async with self._sending:
            for event in events:
                await self._write(event)

    async def _send(self, event: Event) -> None:
        await self._send_all([event])

    async def _write(self, event: Event) -> None:
        await self._send_event({"event_id": new_id("event"), **event})


def _default_audio(model: SessionModel) -> msg.Audio:
    return msg.Audio(input=msg.AudioInput(transcription=msg.Transcription(model=model.name)))


def _wire(shape: msg.AudioFormat) -> WireFormat:
    return WireFormat(shape.type, 24_000 if shape.type == "audio/pcm" else 8_000)


def _from_base64(text: str, param: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("audio is not valid base64", code="invalid_audio", param=param) from None
