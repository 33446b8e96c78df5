"""One realtime connection: client events in, server events out.

Transport-free: `run` takes messages from an async iterator and hands events to `send`. Every task lives in the session's
TaskGroup, so nothing of a session outlives it. An error of the client or of a turn is an `error` event or a failed
response; only the transport, or the session's own time limit, ends a session.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from streaming.audio import MODEL_RATE_HZ
from streaming.endpointing import SpeechStarted, SpeechStopped
from streaming.errors import InvalidRequest, SpeechServerError
from streaming.realtime import messages as msg
from streaming.realtime.asking import request_for
from streaming.realtime.config import (
    AnyConfig,
    Audio,
    AudioInput,
    ServerVad,
    SessionConfig,
    Transcription,
    TranscriptionAudio,
    TranscriptionConfig,
    wire_of,
)
from streaming.realtime.conversation import Conversation, Item, ItemIdTaken, new_id
from streaming.realtime.hearing import Hearing
from streaming.realtime.input_buffer import Heard, InputBuffer
from streaming.realtime.items import Recording, Recordings, from_base64, item_of
from streaming.realtime.limits import Observer, Outcome, SessionLimits, SessionModel
from streaming.realtime.outbox import Outbox, Send
from streaming.realtime.response import ResponseWriter
from streaming.realtime.responses import Responses
from streaming.realtime.shapes import ClientEventError
from streaming.realtime.timer import Timer
from streaming.realtime.transcripts import Captions
from streaming.turn import TurnReport

__all__ = ["Observer", "Outcome", "RealtimeSession", "SessionLimits", "SessionModel"]

log = logging.getLogger(__name__)

_FAREWELL_S = 5.0
"""How long the end of a session waits for an event that is still being handled."""


class SessionExpired(SpeechServerError):
    """The session has lasted as long as a session may."""

    type = "invalid_request_error"
    code = "session_expired"
    close_code = 1000

    @classmethod
    def after(cls, seconds: float) -> SessionExpired:
        """The error of a session that may last `seconds`."""
        return cls(f"the session has lasted {seconds:g} s, the most it may; open another")


class _HangUp(Exception):
    """The peer has gone, or its time is over."""


class RealtimeSession:
    """The conversation over one connection, or what is written down there (`transcription`).

    `config`: the settings to begin with, as a client would send them; raises InvalidRequest where the model cannot serve them.
    """

    def __init__(
        self,
        model: SessionModel,
        send: Send,
        *,
        limits: SessionLimits,
        observer: Observer,
        config: AnyConfig | None = None,
    ) -> None:
        self._model = model
        self._limits = limits
        self._observer = observer
        self.id = new_id("sess")
        self.expires_at = int(time.time() + limits.max_session_s)
        self._outbox = Outbox(send)
        self._conversation = Conversation()
        self._responses = Responses(model, self._outbox, observer, limits, self._answered)
        self._captions = Captions(model.stages, self._outbox, observer, max_turn_s=limits.max_turn_s)
        self._captioned: _Captioned | None = None
        self._recordings = Recordings()
        self._handling = asyncio.Lock()
        self._idle = Timer(self._nobody_speaks)
        self._config: AnyConfig = _defaults(model, config)
        self._input = InputBuffer(model.stages, limits, self._config.audio.input, self._hearing_began)
        if config is not None:
            self._configure(config)

    async def run(self, received: AsyncIterator[str | bytes]) -> None:
        """Until `received` ends, or the session's time is over. What is still running then is cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._input.tasks = self._responses.tasks = self._idle.tasks = tasks
                self._captions.tasks = self._recordings.tasks = tasks
                tasks.create_task(self._expire(), name="expiry")
                await self._outbox.send({"type": "session.created", "session": self.public()})
                async for message in received:
                    async with self._handling:
                        await self._handle(message)
                raise _HangUp  # the way to cancel what a TaskGroup still runs
        except* _HangUp:
            pass

    async def _expire(self) -> None:
        await asyncio.sleep(self._limits.max_session_s)
        over = SessionExpired.after(self._limits.max_session_s)
        with suppress(TimeoutError):  # a stage that never answers does not keep the session
            async with asyncio.timeout(_FAREWELL_S), self._handling:
                await self._responses.fail_all(over)
                await self._refuse(over, None)
        raise _HangUp

    # Client events

    async def _handle(self, message: str | bytes) -> None:
        event_id: str | None = None
        try:
            event = msg.parse(message)
            event_id = event.event_id
            await self._dispatch(event)
        except SpeechServerError as error:
            about = error.event_id if isinstance(error, ClientEventError) and error.event_id else event_id
            await self._refuse(error, about)
        except Exception:
            log.exception("client event failed")
            await self._refuse(SpeechServerError("the event failed inside the server"), event_id)

    async def _refuse(self, error: SpeechServerError, event_id: str | None) -> None:
        self._observer.error(error)
        await self._outbox.send({"type": "error", "error": {**error.body(), "event_id": event_id}})

    async def _dispatch(self, event: msg.ClientEvent) -> None:
        match event:
            case msg.Append():
                await self._append(event)
            case msg.Commit():
                await self._input.complete()
                await self._commit(await self._input.take(by_client=True))
            case msg.Clear():
                self._forget_captions()
                self._input.clear()
                await self._outbox.send({"type": "input_audio_buffer.cleared"})
            case msg.SessionUpdate():
                self._configure(event.session)
                await self._outbox.send({"type": "session.updated", "session": self.public()})
            case msg.ItemCreate():
                await self._create_item(event)
            case msg.ItemDelete():
                await self._delete(self._conversation.get(event.item_id, "delete"))
            case msg.ItemRetrieve():
                item = self._conversation.get(event.item_id, "retrieve").public()
                await self._outbox.send({"type": "conversation.item.retrieved", "item": item})
            case msg.ItemTruncate():
                await self._truncate(event)
            case msg.ResponseCreate():
                await self._respond(event.response)
            case msg.ResponseCancel():
                await self._responses.cancel(event.response_id)
            case msg.OutputClear():
                raise InvalidRequest(
                    "over a WebSocket the client plays the audio: there is nothing here to clear",
                    code="unsupported_event",
                    param="type",
                )

    # Settings

    def _configure(self, patch: AnyConfig) -> None:
        """Take what `patch` sets; nothing of it where something of it cannot be. Raises InvalidRequest."""
        config = self._patched(patch)
        if isinstance(config, SessionConfig):
            if config.model not in (None, self._model.name):
                raise InvalidRequest(
                    f"this session talks to {self._model.name}; connect with ?model= for another", param="session.model"
                )
            self._model.voice(config.audio.output.voice, "session.audio.output.voice")
            self._model.check_reply_language(config.reply_language, "session.reply_language")
        old, new = self._config.audio.input, config.audio.input
        if (old.format, old.turn_detection) != (new.format, new.turn_detection) or config.type != self._config.type:
            self._input.configure(new)
            self._forget_captions()
        if not _idle_timeout_ms(new):
            self._idle.stop()
        self._config = config

    def _patched(self, patch: AnyConfig) -> AnyConfig:
        config = self._config
        if isinstance(config, SessionConfig) and isinstance(patch, SessionConfig):
            return config.updated(patch)
        if isinstance(config, TranscriptionConfig) and isinstance(patch, TranscriptionConfig):
            return config.updated(patch)
        if len(self._conversation) or not self._input.empty:
            raise _wrong_type(f"this is a {config.type} session; it can become another only before anything was said")
        fresh = _defaults(self._model, patch)
        return fresh.updated(patch)  # type: ignore[arg-type]  # of one type, because one was made for the other

    def public(self) -> dict[str, Any]:
        """The session as the protocol shows it."""
        config = self._config
        head = {"id": self.id, "expires_at": self.expires_at}
        if isinstance(config, TranscriptionConfig):
            return {"object": "realtime.transcription_session", **head, **config.model_dump()}
        shown = config.model_dump(exclude={"model", "prompt", "reasoning", "parallel_tool_calls", "tracing"})
        shown["audio"]["output"]["voice"] = self._model.voice(config.audio.output.voice, "")
        return {"object": "realtime.session", **head, "model": self._model.name, **shown}

    # What the user says

    async def _append(self, event: msg.Append) -> None:
        async with aclosing(self._input.feed(from_base64(event.audio, "audio"))) as turns:
            async for turn in turns:
                if isinstance(turn, SpeechStarted):
                    await self._speech_started(turn)
                else:
                    await self._speech_stopped(turn)

    async def _speech_started(self, event: SpeechStarted) -> None:
        self._idle.stop()
        at_ms = event.at_sample * 1000 // MODEL_RATE_HZ
        item_id = self._input.item_id
        await self._outbox.send(
            {"type": "input_audio_buffer.speech_started", "audio_start_ms": at_ms, "item_id": item_id}
        )
        detection = self._config.audio.input.turn_detection
        if detection and detection.interrupt_response:
            await self._responses.stop(self._responses.of_conversation, "turn_detected")

    async def _speech_stopped(self, event: SpeechStopped) -> None:
        at_ms = event.at_sample * 1000 // MODEL_RATE_HZ
        item_id = self._input.item_id
        await self._outbox.send(
            {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": at_ms, "item_id": item_id}
        )
        await self._commit(await self._input.take())
        detection = self._config.audio.input.turn_detection
        if detection and detection.create_response:
            await self._respond_by_itself()

    async def _respond_by_itself(self) -> None:
        if isinstance(self._config, SessionConfig) and self._responses.of_conversation is None:
            await self._respond(msg.ResponseParams())

    async def _commit(self, heard: Heard | None) -> None:
        """Committed speech becomes a user message."""
        if heard is None:
            return
        captioned, self._captioned = self._captioned, None
        item = captioned.item if captioned else _recorded(heard.item_id, heard.hearing)
        previous = self._conversation.last_id()
        await self._outbox.send(
            {"type": "input_audio_buffer.committed", "previous_item_id": previous, "item_id": item.id}
        )
        await self._add(item)
        if captioned:
            captioned.committed.set()
            await self._captions.catch_up()

    async def _nobody_speaks(self) -> None:
        """The user has been silent for `idle_timeout_ms` after an answer: the silence is what is answered."""
        async with self._handling:
            try:
                await self._answer_silence()
            except SpeechServerError as error:
                await self._refuse(error, None)
            except Exception:
                log.exception("idle timeout failed")
                await self._refuse(SpeechServerError("the idle timeout failed inside the server"), None)

    async def _answer_silence(self) -> None:
        if self._responses.of_conversation is not None:
            return
        heard = await self._input.take_silence()
        if heard is None:
            return
        await self._outbox.send(
            {
                "type": "input_audio_buffer.timeout_triggered",
                "audio_start_ms": heard.start_ms,
                "audio_end_ms": heard.end_ms,
                "item_id": heard.item_id,
            }
        )
        await self._commit(heard)
        await self._respond_by_itself()

    def _hearing_began(self, item_id: str, hearing: Hearing) -> None:
        if isinstance(self._config, TranscriptionConfig):
            item, committed = _recorded(item_id, hearing), asyncio.Event()
            following = self._captions.follow(item, self._config.audio.input.transcription, committed)
            self._captioned = _Captioned(item, committed, following)

    def _forget_captions(self) -> None:
        if self._captioned is not None:
            self._captioned.task.cancel()
            self._captioned = None

    # Items

    async def _create_item(self, event: msg.ItemCreate) -> None:
        if event.item.id == self._input.item_id:
            raise ItemIdTaken(f"{event.item.id} is what the user is saying")
        recordings: list[Recording] = []
        item = self._make_item(recordings, event.item, "item")
        self._recordings.check_room(recordings)
        await self._add(item, after=event.previous_item_id)
        self._recordings.encode(recordings)

    def _make_item(self, recordings: list[Recording], shape: msg.ClientItem, param: str) -> Item:
        wire = wire_of(self._config.audio.input.format)
        return item_of(shape, param, self._model.stages.encoder, wire, self._limits, recordings)

    async def _add(self, item: Item, after: str | None = None) -> None:
        previous = self._conversation.add(item, after)
        shown = {"previous_item_id": previous, "item": item.public()}
        await self._outbox.send(*({"type": f"conversation.item.{kind}", **shown} for kind in ("added", "done")))
        while len(self._conversation) > self._limits.max_items:
            await self._delete(self._conversation.oldest())

    async def _delete(self, item: Item) -> None:
        """Forget an item; an answer that is still being written ends first."""
        await self._responses.stop(self._responses.answering(item), "client_cancelled")
        self._conversation.delete(item)
        await self._outbox.send({"type": "conversation.item.deleted", "item_id": item.id})

    async def _truncate(self, event: msg.ItemTruncate) -> None:
        item = self._conversation.get(event.item_id, "truncate")
        if item.role != "assistant" or not item.spoken:
            raise InvalidRequest("only spoken answers can be truncated", code="invalid_value", param="item_id")
        await self._responses.stop(self._responses.answering(item), "client_cancelled")
        end_ms = item.truncate(event.audio_end_ms)
        at = {"item_id": item.id, "content_index": 0, "audio_end_ms": end_ms}
        await self._outbox.send({"type": "conversation.item.truncated", **at})

    # Responses

    async def _respond(self, params: msg.ResponseParams) -> None:
        if isinstance(self._config, TranscriptionConfig):
            raise _wrong_type("a transcription session writes down what it hears and answers nothing")
        self._responses.check_room(apart=params.conversation == "none")
        recordings: list[Recording] = []
        new_item = partial(self._make_item, recordings)
        request = request_for(params, self._config, self._model, self._conversation, new_item)
        self._recordings.check_room(recordings)
        self._idle.stop()
        if request.conversation_id is not None:
            previous = self._conversation.add(request.answer)
            request = replace(request, previous_item_id=previous)
        await self._responses.start(request)
        self._recordings.encode(recordings)

    def _answered(self, writer: ResponseWriter, report: TurnReport) -> None:
        timeout_ms = _idle_timeout_ms(self._config.audio.input)
        if timeout_ms and writer.conversation_id is not None:
            self._idle.start(max(0.0, report.playout.buffered_s(time.monotonic())) + timeout_ms / 1000)


@dataclass(frozen=True, slots=True, eq=False)
class _Captioned:
    """What is being said in a transcription session, and the task that writes it down."""

    item: Item
    committed: asyncio.Event
    task: asyncio.Task[None]


def _recorded(item_id: str, hearing: Hearing) -> Item:
    return Item("user", typed=(None,), hearing=hearing, spoken=True, id=item_id)


def _defaults(model: SessionModel, like: AnyConfig | None) -> AnyConfig:
    """Settings of a session that was told nothing: transcripts come with every answer, they cost nothing."""
    audio = AudioInput(transcription=Transcription(model=model.name))
    if isinstance(like, TranscriptionConfig):
        return TranscriptionConfig(type="transcription", audio=TranscriptionAudio(input=audio))
    return SessionConfig(type="realtime", audio=Audio(input=audio))


def _idle_timeout_ms(config: AudioInput) -> int:
    detection = config.turn_detection
    return (detection.idle_timeout_ms or 0) if isinstance(detection, ServerVad) else 0


def _wrong_type(message: str) -> InvalidRequest:
    return InvalidRequest(message, code="wrong_session_type", param="type")
