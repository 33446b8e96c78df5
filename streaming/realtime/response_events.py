"""The events of one response, in protocol order: a state machine from turn events to server events."""

from __future__ import annotations

from typing import Literal

from streaming.audio import AudioFrame, WireFormat
from streaming.errors import SpeechServerError
from streaming.interleave import TextDelta
from streaming.realtime import events as out
from streaming.realtime.conversation import Item
from streaming.realtime.events import ServerEvent
from streaming.realtime.server_shapes import (
    AnyItemShape,
    AudioPart,
    RateLimit,
    ResponseShape,
    StatusDetails,
    TextPart,
    Usage,
)
from streaming.report import SHORTFALLS, Incomplete, TurnReport
from streaming.tools import ArgumentsDelta, CallBegun
from streaming.turn import AudioDelta

Reason = Literal["turn_detected", "client_cancelled"]


class ResponseEvents:
    """Tells of one response with one message of one content part, or with one call of a tool.

    `conversation_id` is None for one apart from the conversation: its item is then told as output alone. `may_call`: whether it is
    a message or a call is known with its first piece.

    `start` → any number of `text` and `audio`, or `call` and any number of `arguments` → exactly one of `completed`, `cancelled`,
    `failed`.
    """

    def __init__(
        self,
        *,
        id_: str,
        item: Item,
        conversation_id: str | None,
        previous_item_id: str | None,
        wire: WireFormat,
        voice: str,
        decoder_rate_hz: int,
        max_output_tokens: int | str,
        metadata: dict[str, str] | None,
        may_call: bool = False,
    ) -> None:
        self.id = id_
        self.item = item
        self._spoken = item.spoken
        self.conversation_id = conversation_id
        self._previous_item_id = previous_item_id
        self._wire = wire
        self._voice = voice
        self._decoder_rate_hz = decoder_rate_hz
        self._max_output_tokens = max_output_tokens
        self._metadata = metadata
        self._may_call = may_call
        self._shown = False
        self._samples = 0

    def start(self, rate_limit: RateLimit) -> list[ServerEvent]:
        """Everything before the first delta."""
        created: list[ServerEvent] = [out.ResponseCreated(self._response()), out.RateLimitsUpdated(rate_limit)]
        return created if self._may_call else [*created, *self._show()]

    def text(self, delta: TextDelta) -> list[ServerEvent]:
        """Next text of the answer."""
        shown = self._show()
        self.item.text += delta.text
        kind = out.OutputTranscriptDelta if self.item.spoken else out.OutputTextDelta
        return [*shown, kind(*self._at(), delta.text)]

    def audio(self, delta: AudioDelta) -> list[ServerEvent]:
        """Next audio of the answer."""
        shown = self._show()
        self._samples += delta.pcm.size
        self.item.audio_ms = self._samples * 1000 // self._decoder_rate_hz
        return [*shown, out.OutputAudioDelta(*self._at(), AudioFrame(delta.pcm, self._decoder_rate_hz))]

    def call(self, begun: CallBegun) -> list[ServerEvent]:
        """It is a call."""
        self.item.becomes_call(begun.name)
        return self._show()

    def arguments(self, delta: ArgumentsDelta) -> list[ServerEvent]:
        """Next piece of a call's arguments."""
        self.item.text += delta.text
        return [out.CallArgumentsDelta(*self._in_call(), delta.text)]

    def _show(self) -> list[ServerEvent]:
        """The item, if it was not shown yet."""
        if self._shown:
            return []
        self._shown = True
        added = [out.OutputItemAdded(self.id, 0, self.item.shape()), *self._in_conversation(out.ItemAdded)]
        return added if self.item.role == "call" else [*added, out.ContentPartAdded(*self._at(), self._part())]

    def completed(self, report: TurnReport) -> list[ServerEvent]:
        """The answer is complete, or as long as it may become."""
        if report.incomplete is not None:
            return self.incomplete(report.incomplete, report)
        self.item.status = "completed"
        return self._end(StatusDetails("completed"), report)

    def incomplete(self, reason: Incomplete, report: TurnReport) -> list[ServerEvent]:
        """The answer is not a whole one."""
        self.item.status = "incomplete"
        if reason == "max_output_tokens":
            return self._end(StatusDetails("incomplete", reason), report)
        # Clients that check the protocol accept no reasons but its own; the code of an error may be any.
        return self._end(StatusDetails("incomplete", error=SpeechServerError(SHORTFALLS[reason], code=reason)), report)

    def cancelled(self, reason: Reason, report: TurnReport) -> list[ServerEvent]:
        """Interrupted by the speaker or cancelled by the client."""
        self.item.status = "incomplete"
        return self._end(StatusDetails("cancelled", reason), report)

    def failed(self, error: SpeechServerError, report: TurnReport) -> list[ServerEvent]:
        """A stage failed; the session goes on."""
        self.item.status = "incomplete"
        return self._end(StatusDetails("failed", error=error), report)

    def _end(self, details: StatusDetails, report: TurnReport) -> list[ServerEvent]:
        shown, item = self._show(), self.item.shape()
        return [
            *shown,
            *self._closing(),
            *self._in_conversation(out.ItemDone),
            out.OutputItemDone(self.id, 0, item),
            out.ResponseDone(self._response(details, report, (item,))),
        ]

    def _closing(self) -> list[ServerEvent]:
        """The end of what the item holds."""
        at, text = self._at(), self.item.text
        if self.item.role == "call":
            return [out.CallArgumentsDone(*self._in_call(), self.item.name, text)]
        if self.item.spoken:
            done: list[ServerEvent] = [out.OutputAudioDone(*at), out.OutputTranscriptDone(*at, text)]
        else:
            done = [out.OutputTextDone(*at, text)]
        return [*done, out.ContentPartDone(*at, self._part())]

    def _in_call(self) -> tuple[str, int, str, str]:
        """`response_id`, `output_index`, `item_id`, `call_id`."""
        return self.id, 0, self.item.id, self.item.call_id

    def _in_conversation(self, kind: type[out.ItemAdded] | type[out.ItemDone]) -> list[ServerEvent]:
        return [] if self.conversation_id is None else [kind(self._previous_item_id, self.item.shape())]

    def _at(self) -> tuple[str, int, str, int]:
        """`response_id`, `output_index`, `item_id`, `content_index`."""
        return self.id, 0, self.item.id, 0

    def _part(self) -> TextPart | AudioPart:
        return AudioPart("audio", self.item.text) if self.item.spoken else TextPart("text", self.item.text)

    def _response(
        self,
        details: StatusDetails | None = None,
        report: TurnReport | None = None,
        output: tuple[AnyItemShape, ...] = (),
    ) -> ResponseShape:
        return ResponseShape(
            id=self.id,
            conversation_id=self.conversation_id,
            spoken=self._spoken,
            max_output_tokens=self._max_output_tokens,
            format=self._wire,
            voice=self._voice,
            metadata=self._metadata,
            details=details,
            output=output,
            usage=None if report is None else usage(report),
            warnings=() if report is None else tuple(report.notices),
        )


def usage(report: TurnReport) -> Usage:
    """Tokens of the turn."""
    return Usage(
        text_in=report.input_tokens - report.input_units,
        audio_in=report.input_units,
        text_out=report.output_tokens - report.output_units,
        audio_out=report.output_units,
    )
