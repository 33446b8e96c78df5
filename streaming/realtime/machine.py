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
from streaming.endpointing import Paused, Resumed, SpeechStarted, SpeechStopped
from streaming.errors import InvalidRequest, SpeechServerError
from streaming.interleave import TranscriptDone
from streaming.realtime import effects as do
from streaming.realtime import events as out
from streaming.realtime import messages as msg
from streaming.realtime.config import AnyConfig, SemanticVad, SessionConfig, TranscriptionConfig
from streaming.realtime.continuation import Continuation
from streaming.realtime.conversation import Conversation, Item, ItemIdTaken, new_id
from streaming.realtime.editing import Items
from streaming.realtime.input_buffer import SILENCE, InputBuffer, Utterance
from streaming.realtime.items import Recording, check_kind, item_of
from streaming.realtime.limits import SessionExpired, SessionLimits, SessionModel
from streaming.realtime.playing import follow_playing
from streaming.realtime.response_request import response_request
from streaming.realtime.responses import ResponseRequest, Responses
from streaming.realtime.server_shapes import SessionShape
from streaming.realtime.settings import (
    audio_in,
    changed_settings,
    idle_timeout_ms,
    initial_settings,
    settings_shape,
    speculates,
    without_tools,
    wrong_type,
)
from streaming.realtime.speculation import Held, Speculation
from streaming.realtime.steps import Handler, Steps
from streaming.realtime.transcripts import Captions, recorded

log = logging.getLogger(__name__)

FAREWELL_S = 5.0
"""How long the end of a session waits for stages that close."""


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
        self._input = InputBuffer(
            stages, limits, self._config.audio.input, self._emit, speculate=speculates(self._config, limits)
        )
        self._responses = Responses(model.stages.decoder.sample_rate, limits, self._emit)
        self._captions = Captions(limits.allowance, self._emit)
        self._items = Items(self.conversation, self._responses, limits, self._emit)
        self._judging = self._idle = False
        self._speculation = Speculation(self._emit)
        self._continuation = Continuation(self._input)

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
            if not isinstance(input_, msg.Append):  # what it changes, the answer in the dark does not know
                self._speculation.discard()
            self._steps.add(self._checked(handler(self, input_), cast(msg.ClientMessage, input_).event_id))
        else:
            _INPUTS[type(input_)](self, input_)
        self._steps.advance()
        outputs = self._outputs[:]
        self._outputs.clear()
        detection = self._config.audio.input.turn_detection
        follow_playing(self._echo, outputs, interrupts=bool(detection and detection.interrupt_response))
        return outputs

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
        patch, refused = without_tools(self._model, event.session)
        self._configure(patch)
        for error in (*refused, *event.refused):
            self._refuse(error, event.event_id)
        self._emit(out.SessionUpdated(self.shape()))
        yield from ()

    def _configure(self, patch: AnyConfig) -> None:
        """Take what `patch` sets; nothing of it where something of it cannot be. Raises InvalidRequest."""
        empty = not len(self.conversation) and self._input.encoding is None
        config = changed_settings(self._model, self._config, patch, empty=empty)
        old, new = self._config.audio.input, config.audio.input
        if old.turn_detection != new.turn_detection or speculates(config, self._limits) != speculates(
            self._config, self._limits
        ):
            self._input.configure(new, speculate=speculates(config, self._limits))
        if not idle_timeout_ms(config):
            self._stop_waiting()
        self._config, self.audio_in = config, audio_in(config)

    # What the user says

    def _clear(self, _: msg.Clear) -> Handler:
        self._continuation.forget()
        self._continuation.take_begun()
        self._captions.forget()
        self._input.clear()
        self._emit(out.InputCleared())
        yield from ()

    def _append(self, event: msg.Append) -> Handler:
        for heard in self._input.feed(event.audio):
            match heard:
                case SpeechStarted():
                    yield from self._speech_started(heard)
                case SpeechStopped(at_sample):
                    yield from self._speech_stopped(at_sample)
                case Paused():
                    yield from self._paused()
                case Resumed():
                    self._speculation.discard()
                case _:
                    self._emit(do.Rest())
                    yield
        self._follow()
        self._continuation.listened()

    def _stalled(self, _: do.Stalled) -> None:
        self._steps.add(self._checked(self._fall_silent()))

    def _fall_silent(self) -> Handler:
        """A microphone that says nothing is silent, for as long as it takes to end the turn."""
        while self._input.speaking:
            yield from self._append(msg.Append(audio=SILENCE))

    def _speech_started(self, started: SpeechStarted) -> Handler:
        self._stop_waiting()
        self._emit(out.InputSpeechStarted(started.at_sample * 1000 // MODEL_RATE_HZ, self._input.item_id))
        detection = self._config.audio.input.turn_detection
        interrupts = bool(detection and detection.interrupt_response)
        if not interrupts:  # the answer to the last turn goes on, and is an answer to that
            self._continuation.forget()
        self._continuation.speech_started(started.onset_sample)
        if interrupts:
            yield from self._responses.stop(self._responses.of_conversation, "turn_detected")

    def _speech_stopped(self, at_sample: int) -> Handler:
        self._emit(out.InputSpeechStopped(at_sample * 1000 // MODEL_RATE_HZ, self._input.item_id))
        self._follow()
        detection, held = self._config.audio.input.turn_detection, self._speculation.held
        if isinstance(self._config, TranscriptionConfig) or not (detection and detection.create_response):
            yield from self._commit(self._input.take())
            return
        heard = self._input.part(held.heard if held else None)
        item = held.item if held else recorded(heard.item_id, heard.encoding)
        yield from self._commit(heard, item)
        self._respond_by_itself(item)
        if not detection.interrupt_response:
            self._continuation.forget()

    def _paused(self) -> Handler:
        """The turn may be over: answer it in the dark, and ask whether it sounds finished."""
        detection = self._config.audio.input.turn_detection
        if self._responses.of_conversation is None:
            self._speculate()
        if isinstance(detection, SemanticVad):
            self._judging = True
            self._emit(do.JudgePause(self._input.to_judge()))
            while self._judging:
                yield
        elif self._speculation.turn_id and self._model.stages.end_of_turn is not None:
            self._emit(do.JudgePause(self._input.to_judge(), self._speculation.turn_id))

    def _speculate(self) -> None:
        if isinstance(self._config, SessionConfig) and speculates(self._config, self._limits):
            heard, begun = self._input.glimpse(), self._continuation.begun
            self._speculation.begin(heard, self._config, self._model, self.conversation, self._limits, begun)
            self._input.peek(heard, self._speculation.turn_id)

    def _pause_judged(self, judged: do.PauseJudged) -> None:
        if judged.beside is None:
            self._judging = False
        elif judged.beside != self._speculation.turn_id:
            return
        if judged.finished is not None:
            self._input.judged(judged.finished)

    def _commit_by_client(self, _: msg.Commit) -> Handler:
        self._input.complete()
        self._follow()
        yield from self._commit(self._input.take(by_client=True))

    def _commit(self, heard: Utterance | None, item: Item | None = None) -> Handler:
        """Committed speech becomes a user message, in place of its beginning where that is one."""
        if heard is None:
            return
        begun = self._continuation.take_begun()
        if begun is not None and begun in self.conversation:
            yield from self._items.remove(begun)
        item = item or self._captions.committed() or recorded(heard.item_id, heard.encoding)
        self._emit(out.InputCommitted(self.conversation.last_id(), item.id))
        yield from self._items.add(item)
        yield from self._captions.catch_up()

    def _follow(self) -> None:
        """In a transcription session, write down what is being said."""
        if isinstance(self._config, TranscriptionConfig) and self._input.encoding is not None:
            config = self._config.audio.input.transcription
            self._captions.follow(self._input.item_id, self._input.encoding, config)

    def _create_item(self, event: msg.ItemCreate) -> Handler:
        if event.item.id == self._input.item_id:
            raise ItemIdTaken(f"{event.item.id} is what the user is saying")
        check_kind(self._model, event.item, "item")
        self._continuation.forget()
        yield from self._items.create(event)

    # Responses

    def _respond_to(self, event: msg.ResponseCreate) -> Handler:
        self._continuation.forget()
        self._respond(event.response)
        yield from ()

    def _clear_output(self, _: msg.OutputClear) -> Handler:
        yield from ()
        why = "over a WebSocket the client plays the audio: there is nothing here to clear"
        raise InvalidRequest(why, code="unsupported_event", param="type")

    def _respond(self, params: msg.ResponseParams) -> ResponseRequest:
        """Begin a response."""
        if isinstance(self._config, TranscriptionConfig):
            raise wrong_type("a transcription session writes down what it hears and answers nothing")
        self._responses.check_room(apart=params.conversation == "none")
        recordings: list[Recording] = []
        new_item = partial(item_of, limits=self._limits, recordings=recordings)
        request = response_request(params, self._config, self._model, self.conversation, self._limits, new_item)
        self._items.check_room(recordings)
        self._stop_waiting()
        if request.conversation_id is not None:
            previous = self.conversation.add(request.answer)
            request = replace(request, previous_item_id=previous)
        self._responses.start(request)
        self._items.encode(recordings)
        return request

    def _respond_by_itself(self, question: Item) -> None:
        """Answer the user, unless another answer is under way. What was said in the dark is told now."""
        if isinstance(self._config, TranscriptionConfig) or self._responses.of_conversation is not None:
            self._speculation.discard()
        elif (held := self._speculation.confirm(self._limits.allowance)) is not None:
            self._show(held)
        else:
            self._continuation.answered(question, self._respond(msg.ResponseParams()))

    def _show(self, held: Held) -> None:
        previous, request = self.conversation.add(held.request.answer), held.request
        self._responses.start(replace(request, previous_item_id=previous), turn=do.ShowTurn(request.id))
        self._continuation.answered(held.item, request)
        for progress in held.progress:
            self._turn_progress(progress)
        if held.closed is not None:
            self._turn_closed(replace(held.closed, buffered_s=held.closed.report.audio_s))

    def _turn_progress(self, progress: do.TurnProgress) -> None:
        if not self._speculation.take(progress):
            self._responses.progress(progress)
            self._continuation.progress(progress)
        elif isinstance(progress.event, TranscriptDone) and (text := self._speculation.transcript) is not None:
            self._input.understood(text, progress.event.certainty)

    def _turn_closed(self, closed: do.TurnClosed) -> None:
        if self._speculation.take(closed):
            return
        self._continuation.closed(closed.turn_id)
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
        self._speculation.discard()
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
        self._continuation.forget()
        item = recorded(heard.item_id, heard.encoding)
        yield from self._commit(heard, item)
        self._respond_by_itself(item)


_INPUTS: dict[type[Any], Callable[[RealtimeMachine, Any], None]] = {
    do.Opened: RealtimeMachine._open,
    do.Unreadable: lambda machine, unreadable: machine._refuse(
        unreadable.error, getattr(unreadable.error, "event_id", None)
    ),
    do.TurnProgress: RealtimeMachine._turn_progress,
    do.TurnClosed: RealtimeMachine._turn_closed,
    do.GiveWay: lambda machine, others: machine._speculation.discard(others.turn_id),
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
    msg.ItemDelete: lambda machine, event: machine._items.delete(event),
    msg.ItemRetrieve: lambda machine, event: machine._items.retrieve(event),
    msg.ItemTruncate: lambda machine, event: machine._items.truncate(event),
    msg.ResponseCreate: RealtimeMachine._respond_to,
    msg.ResponseCancel: lambda machine, event: machine._responses.cancel(event.response_id),
    msg.OutputClear: RealtimeMachine._clear_output,
}
