"""A conversation, or what is written down of one, as a state machine: client events and what became of effects in, server
events and effects out. No task, no clock, no socket: `streaming.realtime.session` has those.

A handler runs for one client event at a time and may wait, for example until the stages of an interrupted answer are closed;
what turns say is told at once, whatever is waited for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

from streaming.audio import MODEL_RATE_HZ
from streaming.echo import EchoGuard
from streaming.endpointing import Paused, SpeechStarted, SpeechStopped
from streaming.errors import InvalidRequest, SpeechServerError
from streaming.realtime import effects as do
from streaming.realtime import events as out
from streaming.realtime import messages as msg
from streaming.realtime.config import AnyConfig, TranscriptionConfig
from streaming.realtime.conversation import Conversation, Item, ItemIdTaken, new_id
from streaming.realtime.input_buffer import SILENCE, InputBuffer, Utterance
from streaming.realtime.items import Recording, check_characters, item_of
from streaming.realtime.limits import SessionLimits, SessionModel
from streaming.realtime.response_request import response_request
from streaming.realtime.responses import Responses
from streaming.realtime.server_shapes import SessionShape
from streaming.realtime.settings import (
    audio_in,
    changed_settings,
    idle_timeout_ms,
    initial_settings,
    settings_shape,
    wrong_type,
)
from streaming.realtime.steps import Handler, Steps
from streaming.realtime.transcripts import Captions, recorded
from streaming.realtime.utterance import UtteranceEncoding

log = logging.getLogger(__name__)

FAREWELL_S = 5.0
"""How long the end of a session waits for stages that close."""

MAX_RECORDINGS = 8
"""Recordings of items that may be on their way through the encoder, which live speech shares."""


class SessionExpired(SpeechServerError):
    """The session has lasted as long as a session may."""

    type = "invalid_request_error"
    code = "session_expired"

    @classmethod
    def after(cls, seconds: float) -> SessionExpired:
        """The error of a session that may last `seconds`."""
        return cls(f"the session has lasted {seconds:g} s, the most it may; open another")


class RealtimeMachine:
    """One session. `config`: the settings to begin with, as a client would send them.

    Raises InvalidRequest where the model cannot serve them. Errors of the client and of turns are events: only `HangUp` ends it.
    """

    def __init__(self, model: SessionModel, limits: SessionLimits, config: AnyConfig | None = None) -> None:
        self._model = model
        self._limits = limits
        self.id = new_id("sess")
        self.expires_at = int(time.time() + limits.max_session_s)
        self._outputs: list[do.Output] = []
        self._emit = self._outputs.append  # no method of this: a session that is over is freed at once, without cycles
        self._steps = Steps()
        self._config = initial_settings(model, config)
        self.audio_in = audio_in(self._config)
        self.conversation = Conversation()
        self._echo = EchoGuard()
        stages = self._echo.guarding(model.stages) if limits.echo_guard else model.stages
        self._input = InputBuffer(stages, limits, self._config.audio.input, self._emit)
        self._responses = Responses(model.stages.decoder.sample_rate, limits, self._emit)
        self._captions = Captions(self._emit)
        self._recordings: list[UtteranceEncoding] = []
        self._judging = self._idle = False

    @property
    def waiting(self) -> bool:
        """See `Machine`."""
        return self._steps.waiting

    @property
    def listening(self) -> bool:
        """See `Machine`."""
        return self._input.speaking

    def shape(self) -> SessionShape:
        """The session as the protocol shows it."""
        return settings_shape(self._model, self._config, self.id, self.expires_at)

    def receive(self, input_: do.Input) -> list[do.Output]:
        """See `Machine`."""
        handler = _CLIENT_EVENTS.get(type(input_))
        if handler is not None:
            self._steps.add(self._checked(handler(self, input_), cast(msg.ClientMessage, input_).event_id))
        else:
            _INPUTS[type(input_)](self, input_)
        self._steps.advance()
        outputs = self._outputs[:]
        self._outputs.clear()
        self._follow_playing(outputs)
        return outputs

    def _follow_playing(self, outputs: list[do.Output]) -> None:
        detection = self._config.audio.input.turn_detection
        for output in outputs:
            match output:
                case out.OutputAudioDelta():
                    self._echo.sent(output.audio)
                case out.InputSpeechStarted() if detection and detection.interrupt_response:
                    self._echo.stopped()
                case out.ItemTruncated():
                    self._echo.stopped()

    def _checked(self, handler: Handler, event_id: str | None = None) -> Handler:
        """`handler`, whose failure is told and ends nothing."""
        try:
            yield from handler
        except SpeechServerError as error:
            self._refuse(error, event_id)
        except Exception:
            log.exception("client event failed")
            self._refuse(SpeechServerError("the event failed inside the server"), event_id)

    def _refuse(self, error: SpeechServerError, event_id: str | None = None) -> None:
        self._emit(out.Failed(error, event_id))

    # The session

    def _open(self, _: do.Opened) -> None:
        self._emit(out.SessionCreated(self.shape()))
        self._emit(do.StartTimer("expiry", self._limits.max_session_s))

    def _update(self, event: msg.SessionUpdate) -> Handler:
        self._configure(event.session)
        for error in event.refused:
            self._refuse(error, event.event_id)
        self._emit(out.SessionUpdated(self.shape()))
        yield from ()

    def _configure(self, patch: AnyConfig) -> None:
        """Take what `patch` sets; nothing of it where something of it cannot be. Raises InvalidRequest."""
        empty = not len(self.conversation) and self._input.encoding is None
        config = changed_settings(self._model, self._config, patch, empty=empty)
        old, new = self._config.audio.input, config.audio.input
        if (old.format, old.turn_detection) != (new.format, new.turn_detection) or config.type != self._config.type:
            self._input.configure(new)
            self._captions.forget()
        if not idle_timeout_ms(config):
            self._stop_waiting()
        self._config, self.audio_in = config, audio_in(config)

    # What the user says

    def _clear(self, _: msg.Clear) -> Handler:
        self._captions.forget()
        self._input.clear()
        self._emit(out.InputCleared())
        yield from ()

    def _append(self, event: msg.Append) -> Handler:
        for heard in self._input.feed(event.audio):
            match heard:
                case SpeechStarted(at_sample):
                    yield from self._speech_started(at_sample)
                case SpeechStopped(at_sample):
                    yield from self._speech_stopped(at_sample)
                case Paused():
                    yield from self._judge_pause()
                case _:
                    self._emit(do.Rest())
                    yield
        self._follow()

    def _stalled(self, _: do.Stalled) -> None:
        self._steps.add(self._checked(self._fall_silent()))

    def _fall_silent(self) -> Handler:
        """A microphone that says nothing is silent, for as long as it takes to end the turn."""
        while self._input.speaking:
            yield from self._append(msg.Append(audio=SILENCE))

    def _speech_started(self, at_sample: int) -> Handler:
        self._stop_waiting()
        self._emit(out.InputSpeechStarted(at_sample * 1000 // MODEL_RATE_HZ, self._input.item_id))
        detection = self._config.audio.input.turn_detection
        if detection and detection.interrupt_response:
            yield from self._responses.stop(self._responses.of_conversation, "turn_detected")

    def _speech_stopped(self, at_sample: int) -> Handler:
        self._emit(out.InputSpeechStopped(at_sample * 1000 // MODEL_RATE_HZ, self._input.item_id))
        self._follow()
        yield from self._commit(self._input.take())
        detection = self._config.audio.input.turn_detection
        if detection and detection.create_response:
            self._respond_by_itself()

    def _judge_pause(self) -> Handler:
        self._judging = True
        self._emit(do.JudgePause(self._input.to_judge()))
        while self._judging:
            yield

    def _pause_judged(self, judged: do.PauseJudged) -> None:
        self._judging = False
        if judged.finished is not None:
            self._input.judged(judged.finished)

    def _commit_by_client(self, _: msg.Commit) -> Handler:
        self._input.complete()
        self._follow()
        yield from self._commit(self._input.take(by_client=True))

    def _commit(self, heard: Utterance | None) -> Handler:
        """Committed speech becomes a user message."""
        if heard is None:
            return
        item = self._captions.committed() or recorded(heard.item_id, heard.encoding)
        self._emit(out.InputCommitted(self.conversation.last_id(), item.id))
        yield from self._add(item)
        yield from self._captions.catch_up()

    def _follow(self) -> None:
        """In a transcription session, write down what is being said."""
        if isinstance(self._config, TranscriptionConfig) and self._input.encoding is not None:
            config = self._config.audio.input.transcription
            self._captions.follow(self._input.item_id, self._input.encoding, config)

    # Items

    def _retrieve(self, event: msg.ItemRetrieve) -> Handler:
        self._emit(out.ItemRetrieved(self.conversation.get(event.item_id, "retrieve").shape()))
        yield from ()

    def _create_item(self, event: msg.ItemCreate) -> Handler:
        if event.item.id == self._input.item_id:
            raise ItemIdTaken(f"{event.item.id} is what the user is saying")
        recordings: list[Recording] = []
        item = item_of(event.item, "item", self._limits, recordings)
        check_characters([item], self._limits, "item.content")
        self._check_room(recordings)
        yield from self._add(item, after=event.previous_item_id)
        self._encode(recordings)

    def _add(self, item: Item, after: str | None = None) -> Handler:
        previous, shown = self.conversation.add(item, after), item.shape()
        self._emit(out.ItemAdded(previous, shown))
        self._emit(out.ItemDone(previous, shown))
        limits, conversation = self._limits, self.conversation
        while len(conversation) > limits.max_items or conversation.characters > limits.max_characters:
            yield from self._delete(conversation.oldest())

    def _delete_item(self, event: msg.ItemDelete) -> Handler:
        yield from self._delete(self.conversation.get(event.item_id, "delete"))

    def _delete(self, item: Item) -> Handler:
        """Forget an item; an answer that is still being written ends first."""
        yield from self._responses.stop(self._responses.answering(item), "client_cancelled")
        self.conversation.delete(item)
        self._emit(out.ItemDeleted(item.id))

    def _truncate(self, event: msg.ItemTruncate) -> Handler:
        item = self.conversation.get(event.item_id, "truncate")
        if item.role != "assistant" or not item.spoken:
            raise InvalidRequest("only spoken answers can be truncated", code="invalid_value", param="item_id")
        yield from self._responses.stop(self._responses.answering(item), "client_cancelled")
        self._emit(out.ItemTruncated(item.id, 0, item.truncate(event.audio_end_ms)))

    def _check_room(self, recordings: list[Recording]) -> None:
        """Raises InvalidRequest (`too_many_recordings`) where these cannot be encoded, too."""
        self._recordings = [each for each in self._recordings if not each.ended]
        if recordings and len(self._recordings) + len(recordings) > MAX_RECORDINGS:
            raise InvalidRequest(
                f"{len(self._recordings)} recordings of items are being encoded, and {len(recordings)} more would exceed "
                f"{MAX_RECORDINGS}; send fewer at once, or wait",
                code="too_many_recordings",
            )

    def _encode(self, recordings: list[Recording]) -> None:
        for recording in recordings:
            self._recordings.append(recording.encoding)
            self._emit(do.Encode(recording.encoding, recording.pcm))

    # Responses

    def _respond_to(self, event: msg.ResponseCreate) -> Handler:
        self._respond(event.response)
        yield from ()

    def _clear_output(self, _: msg.OutputClear) -> Handler:
        yield from ()
        raise InvalidRequest(
            "over a WebSocket the client plays the audio: there is nothing here to clear",
            code="unsupported_event",
            param="type",
        )

    def _respond(self, params: msg.ResponseParams) -> None:
        if isinstance(self._config, TranscriptionConfig):
            raise wrong_type("a transcription session writes down what it hears and answers nothing")
        self._responses.check_room(apart=params.conversation == "none")
        recordings: list[Recording] = []
        new_item = partial(item_of, limits=self._limits, recordings=recordings)
        request = response_request(params, self._config, self._model, self.conversation, self._limits, new_item)
        self._check_room(recordings)
        self._stop_waiting()
        if request.conversation_id is not None:
            previous = self.conversation.add(request.answer)
            request = replace(request, previous_item_id=previous)
        self._responses.start(request)
        self._encode(recordings)

    def _respond_by_itself(self) -> None:
        if not isinstance(self._config, TranscriptionConfig) and self._responses.of_conversation is None:
            self._respond(msg.ResponseParams())

    def _turn_closed(self, closed: do.TurnClosed) -> None:
        if self._responses.closed(closed) and (timeout_ms := idle_timeout_ms(self._config)):
            self._idle = True
            self._emit(do.StartTimer("idle", max(0.0, closed.buffered_s) + timeout_ms / 1000))

    # Time

    def _timer_due(self, due: do.TimerDue) -> None:
        match due.name:
            case "idle":
                self._steps.add(self._checked(self._answer_silence()))
            case "expiry":
                self._emit(do.StartTimer("farewell", FAREWELL_S))
                self._steps.add(self._expire())
            case "farewell":  # a stage that never closes does not keep the session
                self._emit(do.HangUp())

    def _expire(self) -> Handler:
        over = SessionExpired.after(self._limits.max_session_s)
        yield from self._responses.fail_all(over)
        self._refuse(over)
        self._emit(do.HangUp())

    def _stop_waiting(self) -> None:
        """The user is not idle, or may be."""
        if self._idle:
            self._idle = False
            self._emit(do.StopTimer("idle"))

    def _answer_silence(self) -> Handler:
        """The user has been silent for `idle_timeout_ms` after an answer: the silence is what is answered."""
        idle, self._idle = self._idle, False
        if not idle or self._responses.of_conversation is not None:
            return
        heard = self._input.take_silence()
        if heard is None:
            return
        self._emit(out.InputTimeout(heard.start_ms, heard.end_ms, heard.item_id))
        yield from self._commit(heard)
        self._respond_by_itself()


_INPUTS: dict[type[Any], Callable[[RealtimeMachine, Any], None]] = {
    do.Opened: RealtimeMachine._open,
    do.Unreadable: lambda machine, unreadable: machine._refuse(
        unreadable.error, getattr(unreadable.error, "event_id", None)
    ),
    do.TurnProgress: lambda machine, progress: machine._responses.progress(progress),
    do.TurnClosed: RealtimeMachine._turn_closed,
    do.Captioned: lambda machine, captioned: machine._captions.captioned(captioned),
    do.PauseJudged: RealtimeMachine._pause_judged,
    do.TimerDue: RealtimeMachine._timer_due,
    do.Rested: lambda machine, rested: None,
    do.Stalled: RealtimeMachine._stalled,
}
_CLIENT_EVENTS: dict[type[Any], Callable[[RealtimeMachine, Any], Handler]] = {
    msg.Append: RealtimeMachine._append,
    msg.Commit: RealtimeMachine._commit_by_client,
    msg.Clear: RealtimeMachine._clear,
    msg.SessionUpdate: RealtimeMachine._update,
    msg.ItemCreate: RealtimeMachine._create_item,
    msg.ItemDelete: RealtimeMachine._delete_item,
    msg.ItemRetrieve: RealtimeMachine._retrieve,
    msg.ItemTruncate: RealtimeMachine._truncate,
    msg.ResponseCreate: RealtimeMachine._respond_to,
    msg.ResponseCancel: lambda machine, event: machine._responses.cancel(event.response_id),
    msg.OutputClear: RealtimeMachine._clear_output,
}
