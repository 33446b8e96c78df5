"""The beta dialect of the protocol, for clients that ask for it (`OpenAI-Beta: realtime=v1`): events translated, nothing else.

Shapes as in `openai.types.beta.realtime`. What the beta did not have is not told; what it names that the server does not know is
left as it is, so that it is refused by its own name.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from streaming.audio import WireFormat
from streaming.errors import InvalidRequest
from streaming.realtime.effects import Unreadable
from streaming.realtime.events import ServerEvent
from streaming.realtime.ga import Ga
from streaming.realtime.messages import ClientMessage, json_object

_FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
_FORMATS_BACK = {name: beta for beta, name in _FORMATS.items()}
_PARTS = {"text": "output_text", "audio": "output_audio"}
_PARTS_BACK = {name: beta for beta, name in _PARTS.items()}

_WHERE = {
    "input_audio_format": ("audio", "input", "format"),
    "input_audio_noise_reduction": ("audio", "input", "noise_reduction"),
    "input_audio_transcription": ("audio", "input", "transcription"),
    "turn_detection": ("audio", "input", "turn_detection"),
    "output_audio_format": ("audio", "output", "format"),
    "voice": ("audio", "output", "voice"),
    "speed": ("audio", "output", "speed"),
    "modalities": ("output_modalities",),
    "max_response_output_tokens": ("max_output_tokens",),
}
"""Where a field of the beta's flat sessions and responses stands now."""

_RENAMED = {
    "conversation.item.added": "conversation.item.created",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
}
_UNKNOWN = ("conversation.item.done", "input_audio_buffer.timeout_triggered", "session.queued")


class Beta:
    """One connection's dialect."""

    def __init__(self) -> None:
        self._ga = Ga()

    def decode(self, message: str | bytes, audio: WireFormat) -> ClientMessage | Unreadable:
        """See `Dialect`."""
        try:
            data = json_object(message)
            return self._ga.event(_translated(data), audio)
        except InvalidRequest as error:
            return Unreadable(error)

    def encode(self, event: ServerEvent) -> list[str]:
        """See `Dialect`; none for what the beta did not have."""
        told = [each for data in self._ga.data(event) for each in to_client(data)]
        return [to_json(data).decode() for data in told]


def _translated(data: dict[str, Any]) -> dict[str, Any]:
    try:
        return from_client(data)
    except (AttributeError, TypeError):
        return data  # which will be refused by its own names


def from_client(event: dict[str, Any]) -> dict[str, Any]:
    """A client event of the beta as one of today."""
    kind = event.get("type")
    if kind == "session.update" and isinstance(event.get("session"), dict):
        return {**event, "session": {"type": "realtime", **nested(event["session"])}}
    if kind == "transcription_session.update" and isinstance(event.get("session"), dict):
        return {**event, "type": "session.update", "session": {"type": "transcription", **nested(event["session"])}}
    if kind == "response.create" and isinstance(event.get("response"), dict):
        response = nested(event["response"])
        if isinstance(response.get("input"), list):
            response["input"] = [_item(item, _PARTS) for item in response["input"]]
        return {**event, "response": response}
    if kind == "conversation.item.create":
        return {**event, "item": _item(event.get("item"), _PARTS)}
    return event


def to_client(event: dict[str, Any]) -> list[dict[str, Any]]:
    """A server event of today as the beta told it, if it did."""
    kind = event["type"]
    if kind in _UNKNOWN:
        return []
    event = {**event, "type": _RENAMED.get(kind, kind)}
    if "item" in event:
        event["item"] = _item(event["item"], _PARTS_BACK)
    if "response" in event:
        event["response"] = _response(event["response"])
    if kind == "response.function_call_arguments.done":
        del event["name"]
    if "session" in event:
        if event["session"]["type"] == "transcription" and kind == "session.updated":
            event["type"] = "transcription_session.updated"
        event["session"] = flat_session(event["session"])
    return [event]


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """The settings of a flat session or response of the beta, where they stand now; as they are where they do not fit."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = _WHERE.get(name, (name,))
        at = nested
        for part in path:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                return flat
        at[last] = _value(name, value)
    return nested


def _value(name: str, value: Any) -> Any:
    if name.endswith("_audio_format") and isinstance(value, str):
        return {"type": _FORMATS.get(value, value)}
    if name == "modalities" and isinstance(value, list):
        return ["audio"] if "audio" in value else value  # the beta always named both where it meant speech
    return value


def _item(item: Any, parts: dict[str, str]) -> Any:
    if not isinstance(item, dict) or not isinstance(item.get("content"), list) or item.get("role") != "assistant":
        return item
    content = [
        {**part, "type": parts.get(part.get("type", ""), part.get("type"))} if isinstance(part, dict) else part
        for part in item["content"]
    ]
    return {**item, "content": content}


def _response(response: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in response.items() if name not in ("audio", "output_modalities", "output")}
    output = response["audio"]["output"]
    return {
        **kept,
        "output": [_item(item, _PARTS_BACK) for item in response["output"]],
        "modalities": _modalities(response["output_modalities"]),
        "output_audio_format": _FORMATS_BACK[output["format"]["type"]],
        "voice": output["voice"],
    }


def flat_session(session: dict[str, Any]) -> dict[str, Any]:
    """A session as the beta showed it."""
    input_ = session["audio"]["input"]
    flat = {
        "input_audio_format": _FORMATS_BACK[input_["format"]["type"]],
        "input_audio_transcription": _without(input_["transcription"], "delay"),
        "turn_detection": _without(input_["turn_detection"], "idle_timeout_ms"),
    }
    if session["type"] == "transcription":
        return flat | ({"recorded": True} if "recorded" in session else {})
    output = session["audio"]["output"]
    kept = (
        "id",
        "object",
        "expires_at",
        "recorded",
        "model",
        "instructions",
        "temperature",
        "tools",
        "tool_choice",
        "reply_language",
    )
    return {
        **{name: session[name] for name in kept if name in session},
        **flat,
        "modalities": _modalities(session["output_modalities"]),
        "max_response_output_tokens": session["max_output_tokens"],
        "output_audio_format": _FORMATS_BACK[output["format"]["type"]],
        "voice": output["voice"],
        "speed": output["speed"],
    }


def _without(shape: dict[str, Any] | None, name: str) -> dict[str, Any] | None:
    return shape and {key: value for key, value in shape.items() if key != name}


def _modalities(modalities: list[str]) -> list[str]:
    return ["text", "audio"] if "audio" in modalities else modalities
