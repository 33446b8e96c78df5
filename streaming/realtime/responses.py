"""Responses under way: at most one of the conversation, and a few apart from it, each a turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from streaming.errors import InvalidRequest, NothingCame, SpeechServerError
from streaming.interleave import TextDelta, TranscriptDelta, TranscriptDone
from streaming.realtime.config import AudioOutput, MaxTokens, wire_of
from streaming.realtime.conversation import Item, new_id
from streaming.realtime.effects import (
    CancelTurn,
    Output,
    RefuseTurn,
    ShowTurn,
    StartTurn,
    TurnClosed,
    TurnProgress,
)
from streaming.realtime.events import ServerEvent
from streaming.realtime.limits import SessionLimits
from streaming.realtime.response_events import Reason, ResponseEvents
from streaming.realtime.server_shapes import RateLimit
from streaming.realtime.steps import Handler
from streaming.realtime.transcripts import heard_all, heard_so_far
from streaming.stages import TurnOptions
from streaming.tools import ArgumentsDelta, CallBegun
from streaming.turn import AudioDelta, Question


@dataclass(frozen=True, slots=True, eq=False)
class ResponseRequest:
    """A response to be made. `asked`: the item that is answered, if it is one; `answer`: the item that will hold the answer.

    `conversation_id`: None for a response apart from the conversation. `transcribe`: tell what was heard of `asked`.
    """

    asked: Item | None
    question: Question
    options: TurnOptions
    answer: Item
    output: AudioOutput
    voice: str
    max_output_tokens: MaxTokens
    metadata: dict[str, str] | None
    conversation_id: str | None
    previous_item_id: str | None = None
    transcribe: bool = True
    id: str = field(default_factory=lambda: new_id("resp"))

    @property
    def turn(self) -> StartTurn:
        """What makes the answer."""
        return StartTurn(self.id, self.question, self.options)


@dataclass(slots=True, eq=False)
class _Active:
    """A response under way. `transcript`: what was heard of the question; `stopping`: why its stages are being closed."""

    request: ResponseRequest
    events: ResponseEvents
    transcript: str = ""
    stopping: Reason | SpeechServerError | None = None


class Responses:
    """Starts, stops and finishes responses. Each that was created is done exactly once, when all its stages are closed.

    `emit` takes what is to be told and done.
    """

    def __init__(self, decoder_rate_hz: int, limits: SessionLimits, emit: Callable[[Output], None]) -> None:
        self._decoder_rate_hz = decoder_rate_hz
        self._limits = limits
        self._emit = emit
        self._active: dict[str, _Active] = {}

    @property
    def of_conversation(self) -> str | None:
        """Id of the conversation's response under way."""
        inside = (id_ for id_, active in self._active.items() if active.events.conversation_id is not None)
        return next(inside, None)

    def answering(self, item: Item) -> str | None:
        """Id of the response that is writing `item`."""
        return next((id_ for id_, active in self._active.items() if active.events.item is item), None)

    def check_room(self, *, apart: bool) -> None:
        """Raises InvalidRequest where one more cannot be started."""
        under_way = self.of_conversation
        if under_way is not None and not apart:
            raise InvalidRequest(
                f"response {under_way} is still under way; cancel it or wait for response.done",
                code="conversation_already_has_active_response",
            )
        if len(self._active) - (under_way is not None) >= self._limits.max_responses - 1 and apart:
            raise InvalidRequest(
                f"{self._limits.max_responses - 1} responses apart from the conversation are under way; wait for one",
                code="too_many_responses",
            )

    def start(self, request: ResponseRequest, *, turn: ShowTurn | None = None) -> None:
        """Begin `request`. `turn`: of one whose turn is under way, what shows it.

        One that the caller's allowance does not cover fails as soon as it was told.
        """
        begin: ShowTurn | StartTurn | RefuseTurn = turn or request.turn
        allowance = self._limits.allowance
        try:
            allowance.take_turn()
        except SpeechServerError as error:
            begin = RefuseTurn(request.id, error)
        events = ResponseEvents(
            id_=request.id,
            item=request.answer,
            conversation_id=request.conversation_id,
            previous_item_id=request.previous_item_id,
            wire=wire_of(request.output.format),
            voice=request.voice,
            decoder_rate_hz=self._decoder_rate_hz,
            max_output_tokens=request.max_output_tokens,
            metadata=request.metadata,
            may_call=bool(request.options.tools),
        )
        self._active[events.id] = _Active(request, events)
        at_once = self._limits.max_responses
        self._tell(events.start(allowance.turns or RateLimit(at_once, at_once - len(self._active))))
        self._emit(begin)

    def cancel(self, response_id: str | None) -> Handler:
        """Stop the response named, or the conversation's. Raises InvalidRequest if there is none."""
        wanted = response_id or self.of_conversation
        if wanted is None or wanted not in self._active:
            # LiveKit takes it as harmless by these first words, not by its code.
            raise InvalidRequest(
                "Cancellation failed: no such response is under way", code="response_cancel_not_active"
            )
        yield from self.stop(wanted, "client_cancelled")

    def stop(self, response_id: str | None, why: Reason | SpeechServerError) -> Handler:
        """Cancel a response, and wait until its stages are closed and it is done towards the client."""
        active = self._active.get(response_id or "")
        if active is None:
            return
        if active.stopping is None:
            active.stopping = why
            self._emit(CancelTurn(active.events.id))
        while active.events.id in self._active:
            yield

    def fail_all(self, error: SpeechServerError) -> Handler:
        """End every response under way with `error`."""
        for response_id in list(self._active):
            yield from self.stop(response_id, error)

    def progress(self, progress: TurnProgress) -> None:
        """A turn says something."""
        active = self._active[progress.turn_id]
        match progress.event:
            case TextDelta() as delta:
                self._tell(active.events.text(delta))
            case AudioDelta() as delta:
                self._tell(active.events.audio(delta))
            case CallBegun() as begun:
                self._tell(active.events.call(begun))
            case ArgumentsDelta() as delta:
                self._tell(active.events.arguments(delta))
            case TranscriptDelta(text):
                active.transcript += text
                self._heard(active, complete=False)
            case TranscriptDone():
                self._heard(active, complete=True)

    def closed(self, closed: TurnClosed) -> bool:
        """A turn is over: its response is done. True if it is a completed answer in the conversation."""
        active = self._active.pop(closed.turn_id)
        active.events.item.marks = closed.report.marks
        failure = closed.failure
        if closed.cancelled and isinstance(active.stopping, SpeechServerError):
            failure = active.stopping
        if isinstance(failure, NothingCame):
            self._tell(active.events.incomplete(failure.shortfall, closed.report))
        elif failure is not None:
            self._tell(active.events.failed(failure, closed.report))
        elif closed.cancelled:
            reason = active.stopping if isinstance(active.stopping, str) else "client_cancelled"
            self._tell(active.events.cancelled(reason, closed.report))
        else:
            self._tell(active.events.completed(closed.report))
            return active.events.conversation_id is not None and closed.report.call is None
        return False

    def _heard(self, active: _Active, *, complete: bool) -> None:
        item = active.request.asked
        if item is not None and item.encoding is not None and not item.transcribed:
            tell = heard_all if complete else heard_so_far
            self._tell(tell(item, active.transcript, shown=active.request.transcribe))

    def _tell(self, events: Sequence[ServerEvent]) -> None:
        for event in events:
            self._emit(event)
