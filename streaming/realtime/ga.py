"""The protocol as OpenAI's API has it today: text of the client to events, server events to text.

Base64, the rates and formats of the line, and JSON are here and nowhere else. Shapes as in `openai.types.realtime`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, Protocol

import numpy as np
from pydantic_core import to_json

from streaming.audio import MODEL_RATE_HZ, AudioFrame, Resampler, WireFormat
from streaming.errors import InvalidRequest
from streaming.realtime import events as out
from streaming.realtime.conversation import new_id
from streaming.realtime.effects import Unreadable
from streaming.realtime.messages import CLIENT_EVENTS, ClientMessage, json_object, validated
from streaming.realtime.server_shapes import (
    AnyItemShape,
    AudioPart,
    CallOutputShape,
    CallShape,
    ItemShape,
    ResponseShape,
    SessionShape,
    StatusDetails,
    TextPart,
    Usage,
)
from streaming.realtime.translation_events import TranslatedAudio

_TRANSLATION = WireFormat()


class Dialect(Protocol):
    """How one client speaks."""

    def decode(self, message: str | bytes, audio: WireFormat) -> ClientMessage | Unreadable:
        """The event in `message`, whose audio is in the format `audio`; or why there is none."""
        ...

    def encode(self, event: out.ServerEvent) -> list[str]:
        """The messages that say `event`: one, or none or two where audio waits for more of it."""
        ...


class Ga:
    """One connection's dialect. `client_events`: what the client may send, by its type.

    Audio of answers is resampled as a stream, so that it needs one of its own for each connection.
    """

    def __init__(self, client_events: Mapping[str, type[ClientMessage]] = CLIENT_EVENTS) -> None:
        self._client_events = client_events
        self._lines: dict[str, _Line] = {}

    def decode(self, message: str | bytes, audio: WireFormat) -> ClientMessage | Unreadable:
        """See `Dialect`."""
        try:
            return self.event(json_object(message), audio)
        except InvalidRequest as error:
            return Unreadable(error)

    def event(self, data: dict[str, object], audio: WireFormat) -> ClientMessage:
        """The event that `data` is. Raises ClientEventError."""
        return validated(self._client_events, data, audio)

    def encode(self, event: out.ServerEvent) -> list[str]:
        """See `Dialect`."""
        return [to_json(data).decode() for data in self.data(event)]

    def data(self, event: out.ServerEvent) -> list[dict[str, Any]]:
        """What `encode` makes JSON of."""
        match event:
            case out.OutputAudioDelta():
                return _with_audio(event, self._lines[event.response_id].push(event.audio))
            case out.OutputAudioDone():
                tail = self._lines[event.response_id].flush()
                delta = out.OutputAudioDelta(**{name: getattr(event, name) for name in _IN_CONTENT}, audio=_SILENCE)
                return [*_with_audio(delta, tail), _data(event)]
            case TranslatedAudio():
                return _with_audio(event, self._translated(event))
            case out.ResponseCreated():
                self._lines[event.response.id] = _Line(event.response.format)
            case out.ResponseDone():
                self._lines.pop(event.response.id, None)
        return [_data(event)]

    def _translated(self, event: TranslatedAudio) -> bytes:
        line = self._lines.setdefault("translation", _Line(_TRANSLATION))
        return line.push(event.audio) + (line.flush() if event.last else b"")


class _Line:
    """Audio on its way to the client, in a format of the wire."""

    def __init__(self, wire: WireFormat) -> None:
        self._wire = wire
        self._resampler: Resampler | None = None

    def push(self, audio: AudioFrame) -> bytes:
        """What `audio` completes."""
        if self._resampler is None:
            self._resampler = Resampler(audio.rate_hz, self._wire.rate_hz)
        return self._wire.encode(self._resampler.push(audio.pcm))

    def flush(self) -> bytes:
        """What is left, where the audio ends."""
        return b"" if self._resampler is None else self._wire.encode(self._resampler.flush())


_SILENCE = AudioFrame(np.zeros(0, np.float32), MODEL_RATE_HZ)
_IN_CONTENT = ("response_id", "output_index", "item_id", "content_index")
_TRANSLATED = {"format": "pcm16", "sample_rate": _TRANSLATION.rate_hz, "channels": 1}


def _with_audio(event: out.OutputAudioDelta | TranslatedAudio, audio: bytes) -> list[dict[str, Any]]:
    """The event with `audio`, if there is any."""
    if not audio:
        return []
    delta = base64.b64encode(audio).decode()
    if isinstance(event, TranslatedAudio):
        return [{**_head(event), "delta": delta, **_TRANSLATED, "elapsed_ms": event.elapsed_ms}]
    return [{**_head(event), **{name: getattr(event, name) for name in _IN_CONTENT}, "delta": delta}]


def _head(event: out.ServerEvent) -> dict[str, Any]:
    return {"type": event.type, "event_id": new_id("event")}


def _data(event: out.ServerEvent) -> dict[str, Any]:
    """An event without audio."""
    match event:
        case out.Failed(error, event_id):
            return {**_head(event), "error": {**error.body(), "event_id": event_id}}
        case out.RateLimitsUpdated(requests):
            return {**_head(event), "rate_limits": [{"name": "requests", **_fields(requests)}]}
        case out.InputTranscriptCompleted(seconds=seconds):
            said = {name: getattr(event, name) for name in ("item_id", "content_index", "transcript")}
            return {**_head(event), **said, "usage": {"type": "duration", "seconds": seconds}}
        case out.InputTranscriptFailed(item_id, content_index, error):
            about = {"item_id": item_id, "content_index": content_index}
            return {**_head(event), **about, "error": error.body()}
        case _:
            return {**_head(event), **_fields(event)}


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _fields(value: Any) -> dict[str, Any]:
    """An object of the fields of a dataclass."""
    return {name: _plain(getattr(value, name)) for name in _names(value.__class__)}


def _plain(value: Any) -> Any:
    """A value of an event as JSON has it."""
    shape = _OBJECTS.get(type(value))
    return value if shape is None else shape(value)


def _item(item: AnyItemShape) -> dict[str, Any]:
    head = {"id": item.id, "object": "realtime.item", "status": item.status}
    if isinstance(item, CallShape):
        called = {"call_id": item.call_id, "name": item.name, "arguments": item.arguments}
        return {**head, "type": "function_call", **called}
    if isinstance(item, CallOutputShape):
        return {**head, "type": "function_call_output", "call_id": item.call_id, "output": item.output}
    return {
        **head,
        "type": "message",
        "role": item.role,
        "content": [_fields(part) for part in item.content],
    }


def session_object(session: SessionShape) -> dict[str, Any]:
    """The protocol's `session` object."""
    head = {"id": session.id, "expires_at": session.expires_at, **({"recorded": True} if session.recorded else {})}
    kind = {"realtime": "realtime.session", "transcription": "realtime.transcription_session"}.get(session.kind)
    return {**({"object": kind} if kind else {}), **head, **session.settings}


def _response(response: ResponseShape) -> dict[str, Any]:
    details = response.details
    return {
        "object": "realtime.response",
        "id": response.id,
        "conversation_id": response.conversation_id,
        "status": "in_progress" if details is None else details.type,
        "status_details": None if details is None else _details(details),
        "output": [_item(item) for item in response.output],
        "output_modalities": ["audio" if response.spoken else "text"],
        "max_output_tokens": response.max_output_tokens,
        "audio": {"output": {"format": _format(response.format), "voice": response.voice}},
        "usage": None if response.usage is None else _usage(response.usage),
        "metadata": response.metadata,
        **({"warnings": [notice.body() for notice in response.warnings]} if response.warnings else {}),
    }


def _details(details: StatusDetails) -> dict[str, Any]:
    told: dict[str, Any] = {"type": details.type}
    if details.reason is not None:
        told["reason"] = details.reason
    if details.error is not None:
        error = details.error
        told["error"] = {name: value for name, value in error.body().items() if name != "param"}
    return told


def _format(wire: WireFormat) -> dict[str, Any]:
    return {"type": wire.type, "rate": wire.rate_hz} if wire.type == "audio/pcm" else {"type": wire.type}


def _usage(usage: Usage) -> dict[str, Any]:
    text_in, audio_in, text_out, audio_out = usage.text_in, usage.audio_in, usage.text_out, usage.audio_out
    return {
        "total_tokens": text_in + audio_in + text_out + audio_out,
        "input_tokens": text_in + audio_in,
        "output_tokens": text_out + audio_out,
        "input_token_details": {
            "text_tokens": text_in,
            "audio_tokens": audio_in,
            "image_tokens": 0,
            "cached_tokens": 0,
            "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out},
    }


_OBJECTS: dict[type[Any], Callable[[Any], dict[str, Any]]] = {
    AudioPart: _fields,
    CallOutputShape: _item,
    CallShape: _item,
    ItemShape: _item,
    ResponseShape: _response,
    SessionShape: session_object,
    TextPart: _fields,
}
"""What events hold that is more than a string, a number or nothing."""
