"""The events of one response, in protocol order: a state machine from turn events to wire events."""

from __future__ import annotations

import base64
from typing import Any, Literal

import numpy as np

from streaming.audio import Resampler, WireFormat
from streaming.errors import SpeechServerError
from streaming.interleave import TextDelta
from streaming.realtime.conversation import Item, new_id
from streaming.realtime.outbox import Event
from streaming.stages import Pcm
from streaming.turn import AudioDelta, TurnReport

Reason = Literal["turn_detected", "client_cancelled"]


class ResponseWriter:
    """Writes one response with one message of one content part. `conversation_id` is None for one apart from the conversation:
    its item is then told as output alone.

    `start` → any number of `text` and `audio` → exactly one of `completed`, `cancelled`, `failed`.
    """

    def __init__(
        self,
        *,
        item: Item,
        conversation_id: str | None,
        previous_item_id: str | None,
        wire: WireFormat,
        voice: str,
        decoder_rate_hz: int,
        max_output_tokens: int | str,
        metadata: dict[str, str] | None,
    ) -> None:
        self.id = new_id("resp")
        self.item = item
        self.conversation_id = conversation_id
        self._previous_item_id = previous_item_id
        self._wire = wire
        self._voice = voice
        self._resampler = Resampler(decoder_rate_hz, wire.rate_hz)
        self._max_output_tokens = max_output_tokens
        self._metadata = metadata
        self._samples = 0

    def start(self, rate_limits: list[dict[str, Any]]) -> list[Event]:
        """Everything before the first delta."""
        return [
            {"type": "response.created", "response": self._response("in_progress")},
            {"type": "rate_limits.updated", "rate_limits": rate_limits},
            {"type": "response.output_item.added", **self._at(), "item": self.item.public()},
            *self._in_conversation("added"),
            {"type": "response.content_part.added", **self._in_item(), "part": self._part()},
        ]

    def text(self, delta: TextDelta) -> list[Event]:
        """Next text of the answer."""
        self.item.text += delta.text
        kind = "output_audio_transcript" if self.item.spoken else "output_text"
        return [{"type": f"response.{kind}.delta", **self._in_item(), "delta": delta.text}]

    def audio(self, delta: AudioDelta) -> list[Event]:
        """Next audio of the answer, at the wire's rate and format."""
        return self._audio(self._resampler.push(delta.pcm))

    def completed(self, report: TurnReport) -> list[Event]:
        """The answer is complete, or as long as it may become."""
        tail = self._audio(self._resampler.push(np.zeros(0, np.float32), final=True)) if self._samples else []
        if report.cut_off:
            self.item.status = "incomplete"
            return tail + self._end("incomplete", {"type": "incomplete", "reason": "max_output_tokens"}, report)
        self.item.status = "completed"
        return tail + self._end("completed", {"type": "completed"}, report)

    def cancelled(self, reason: Reason, report: TurnReport) -> list[Event]:
        """Interrupted by the speaker or cancelled by the client."""
        self.item.status = "incomplete"
        return self._end("cancelled", {"type": "cancelled", "reason": reason}, report)

    def failed(self, error: SpeechServerError, report: TurnReport) -> list[Event]:
        """A stage failed; the session goes on."""
        self.item.status = "incomplete"
        public = {"type": error.type, "code": error.code, "message": error.message}
        return self._end("failed", {"type": "failed", "error": public}, report)

    def _audio(self, pcm: Pcm) -> list[Event]:
        if not pcm.size:
            return []
        self._samples += pcm.size
        self.item.audio_ms = self._samples * 1000 // self._wire.rate_hz
        delta = base64.b64encode(self._wire.encode(pcm)).decode()
        return [{"type": "response.output_audio.delta", **self._in_item(), "delta": delta}]

    def _end(self, status: str, details: dict[str, Any], report: TurnReport) -> list[Event]:
        at = self._in_item()
        item = self.item.public()
        if self.item.spoken:
            closing = [
                {"type": "response.output_audio.done", **at},
                {"type": "response.output_audio_transcript.done", **at, "transcript": self.item.text},
            ]
        else:
            closing = [{"type": "response.output_text.done", **at, "text": self.item.text}]
        return [
            *closing,
            {"type": "response.content_part.done", **at, "part": self._part()},
            *self._in_conversation("done"),
            {"type": "response.output_item.done", **self._at(), "item": item},
            {"type": "response.done", "response": self._response(status, details, usage(report), [item])},
        ]

    def _in_conversation(self, kind: str) -> list[Event]:
        if self.conversation_id is None:
            return []
        previous = self._previous_item_id
        return [{"type": f"conversation.item.{kind}", "previous_item_id": previous, "item": self.item.public()}]

    def _at(self) -> dict[str, Any]:
        return {"response_id": self.id, "output_index": 0}

    def _in_item(self) -> dict[str, Any]:
        return {**self._at(), "item_id": self.item.id, "content_index": 0}

    def _part(self) -> dict[str, Any]:
        if self.item.spoken:
            return {"type": "audio", "transcript": self.item.text}
        return {"type": "text", "text": self.item.text}

    def _response(
        self,
        status: str,
        details: dict[str, Any] | None = None,
        use: dict[str, Any] | None = None,
        output: list[dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        return {
            "object": "realtime.response",
            "id": self.id,
            "conversation_id": self.conversation_id,
            "status": status,
            "status_details": details,
            "output": output or [],
            "output_modalities": ["audio" if self.item.spoken else "text"],
            "max_output_tokens": self._max_output_tokens,
            "audio": {"output": {"format": wire_format(self._wire), "voice": self._voice}},
            "usage": use,
            "metadata": self._metadata,
        }


def wire_format(wire: WireFormat) -> dict[str, Any]:
    """The protocol's `format` object."""
    return {"type": wire.type, "rate": 24000} if wire.type == "audio/pcm" else {"type": wire.type}


def usage(report: TurnReport) -> dict[str, Any]:
    """Tokens of the turn; speech units count as audio tokens."""
    text_in, text_out = report.input_tokens - report.input_units, report.output_tokens - report.output_units
    return {
        "total_tokens": report.input_tokens + report.output_tokens,
        "input_tokens": report.input_tokens,
        "output_tokens": report.output_tokens,
        "input_token_details": {
            "text_tokens": text_in,
            "audio_tokens": report.input_units,
            "image_tokens": 0,
            "cached_tokens": 0,
            "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": text_out, "audio_tokens": report.output_units},
    }
