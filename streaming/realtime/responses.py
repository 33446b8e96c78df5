"""Responses under way: at most one of the conversation, and a few apart from it, each a turn in a task of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streaming.errors import InvalidRequest, SpeechServerError
from streaming.interleave import TextDelta, TranscriptDelta, TranscriptDone
from streaming.realtime.config import AudioOutput, MaxTokens, wire_of
from streaming.realtime.conversation import Item
from streaming.realtime.limits import Observer, SessionLimits, SessionModel
from streaming.realtime.outbox import Event, Outbox
from streaming.realtime.response import Reason, ResponseWriter
from streaming.realtime.transcripts import heard_all, heard_so_far
from streaming.turn import AudioDelta, Question, Turn, TurnEvent, TurnOptions, TurnReport

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Request:
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


@dataclass(slots=True, eq=False)
class _Active:
    """A response under way."""

    writer: ResponseWriter
    turn: Turn
    task: asyncio.Task[None]


class Responses:
    """Starts, stops and finishes responses. Each that was created is done exactly once, whatever happens.

    `ended` is called with the writer and report of each that ends by itself.
    """

    def __init__(
        self,
        model: SessionModel,
        outbox: Outbox,
        observer: Observer,
        limits: SessionLimits,
        ended: Callable[[ResponseWriter, TurnReport], None],
    ) -> None:
        self._model = model
        self._outbox = outbox
        self._observer = observer
        self._limits = limits
        self._ended = ended
        self._active: dict[str, _Active] = {}
        self.tasks: asyncio.TaskGroup | None = None

    @property
    def of_conversation(self) -> str | None:
        """Id of the conversation's response under way."""
        inside = (id_ for id_, active in self._active.items() if active.writer.conversation_id is not None)
        return next(inside, None)

    def answering(self, item: Item) -> str | None:
        """Id of the response that is writing `item`."""
        return next((id_ for id_, active in self._active.items() if active.writer.item is item), None)

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

    async def start(self, request: Request) -> None:
        """Begin `request`: everything before its first delta is sent when this returns."""
        assert self.tasks is not None, "the session is not running"
        writer = ResponseWriter(
            item=request.answer,
            conversation_id=request.conversation_id,
            previous_item_id=request.previous_item_id,
            wire=wire_of(request.output.format),
            voice=request.voice,
            decoder_rate_hz=self._model.stages.decoder.sample_rate,
            max_output_tokens=request.max_output_tokens,
            metadata=request.metadata,
        )

        async def emit(event: TurnEvent) -> None:
            await self._outbox.send_made(lambda: _wire_events(writer, request, turn.report, event))

        turn = Turn(self._model.stages, request.question, request.options, emit)
        request.answer.marks = turn.report.marks
        limit = {
            "name": "requests",
            "limit": self._limits.max_responses,
            "remaining": self._limits.max_responses - len(self._active) - 1,
            "reset_seconds": 0.0,
        }
        await self._outbox.send(*writer.start([limit]))
        task = self.tasks.create_task(self._run(writer, turn), name="response")
        self._active[writer.id] = _Active(writer, turn, task)

    async def cancel(self, response_id: str | None) -> None:
        """Stop the response named, or the conversation's. Raises InvalidRequest if there is none."""
        wanted = response_id or self.of_conversation
        if wanted is None or wanted not in self._active:
            # LiveKit takes it as harmless by these first words, not by its code.
            raise InvalidRequest(
                "Cancellation failed: no such response is under way", code="response_cancel_not_active"
            )
        await self.stop(wanted, "client_cancelled")

    async def stop(self, response_id: str | None, reason: Reason) -> None:
        """Cancel a response, free its stages, then close it towards the client."""
        active = self._active.get(response_id or "")
        if active is not None and await self._halt(active):
            await self._outbox.send_made(lambda: active.writer.cancelled(reason, active.turn.report))

    async def fail_all(self, error: SpeechServerError) -> None:
        """End every response under way with `error`."""
        for active in list(self._active.values()):
            if await self._halt(active):
                failed = active.writer.failed(error, active.turn.report)
                await self._outbox.send(*failed)

    async def _halt(self, active: _Active) -> bool:
        """Cancel its task. False if it came to its end by itself."""
        if active.writer.id not in self._active:
            return False
        active.task.cancel()
        await asyncio.wait([active.task])
        return self._active.pop(active.writer.id, None) is not None

    async def _run(self, writer: ResponseWriter, turn: Turn) -> None:
        failure: SpeechServerError | None = None
        try:
            await turn.run(self._limits.max_turn_s)
        except SpeechServerError as error:
            failure = error
        except asyncio.CancelledError:
            self._observer.turn(turn.report, "cancelled")
            raise
        except Exception:
            log.exception("turn failed")
            failure = SpeechServerError("the turn failed inside the server")
        del self._active[writer.id]
        if failure is None:
            self._observer.turn(turn.report, "completed")
            await self._outbox.send_made(lambda: writer.completed(turn.report))
            self._ended(writer, turn.report)
        else:
            self._observer.error(failure)
            self._observer.turn(turn.report, "failed")
            await self._outbox.send_made(lambda: writer.failed(failure, turn.report))


def _wire_events(writer: ResponseWriter, request: Request, report: TurnReport, event: TurnEvent) -> Sequence[Event]:
    match event:
        case TextDelta():
            return writer.text(event)
        case AudioDelta():
            return writer.audio(event)
        case TranscriptDelta() | TranscriptDone():
            return _heard(request, report, complete=isinstance(event, TranscriptDone))


def _heard(request: Request, report: TurnReport, *, complete: bool) -> Sequence[Event]:
    item = request.asked
    if item is None or item.hearing is None or item.transcribed:
        return ()
    tell = heard_all if complete else heard_so_far
    return tell(item, report.transcript, shown=request.transcribe)
