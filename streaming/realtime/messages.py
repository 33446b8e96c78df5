"""Client events: what is accepted, and a clear error for everything else.

Shapes follow `openai.types.realtime`. A field that the server cannot honour is refused, never ignored; `reply_language`
is the one extension.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from streaming.errors import InvalidRequest
from streaming.turn import ReplyLanguage

Modality = Literal["text", "audio"]
MaxTokens = Annotated[int, Field(ge=1, le=4096)] | Literal["inf"]
Name = Annotated[str, Field(max_length=512)]
Text = Annotated[str, Field(max_length=32_768)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AudioPcm(_Strict):
    type: Literal["audio/pcm"]
    rate: Literal[24000] = 24000


class AudioPcmu(_Strict):
    type: Literal["audio/pcmu"]


class AudioPcma(_Strict):
    type: Literal["audio/pcma"]


AudioFormat = Annotated[AudioPcm | AudioPcmu | AudioPcma, Field(discriminator="type")]


class ServerVad(_Strict):
    """Turn detection by voice activity."""

    type: Literal["server_vad"]
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    prefix_padding_ms: Annotated[int, Field(ge=0, le=10_000)] = 300
    silence_duration_ms: Annotated[int, Field(ge=0, le=10_000)] = 500
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: None = None


class Transcription(_Strict):
    """The transcript comes from the model itself, so what is named here changes nothing."""

    model: Name | None = None
    language: Name | None = None
    prompt: Text | None = None


class AudioInput(_Strict):
    format: AudioFormat = AudioPcm(type="audio/pcm")
    turn_detection: ServerVad | None = ServerVad(type="server_vad")
    transcription: Transcription | None = None
    noise_reduction: None = None


class AudioOutput(_Strict):
    format: AudioFormat = AudioPcm(type="audio/pcm")
    voice: Name | None = None
    speed: Annotated[float, Field(ge=1, le=1)] = 1.0

    def updated(self, patch: AudioOutput) -> AudioOutput:
        """This output with the fields that `patch` sets."""
        return AudioOutput.model_validate(_merged(self.model_dump(), patch.model_dump(exclude_unset=True)))


class Audio(_Strict):
    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


class Tracing(_Strict):
    """Names of a trace, as OpenAI's platform keeps them."""

    workflow_name: Name | None = None
    group_id: Name | None = None
    metadata: dict[str, Any] | None = None


class SessionConfig(_Strict):
    """A session's settings, and the shape of `session` in a `session.update`: there only the fields sent are changed."""

    type: Literal["realtime"]
    model: Name | None = None
    instructions: Text = ""
    output_modalities: Annotated[list[Modality], Field(min_length=1, max_length=1)] = ["audio"]
    audio: Audio = Audio()
    max_output_tokens: MaxTokens = "inf"
    reply_language: ReplyLanguage = "auto"
    tools: Annotated[list[Any], Field(max_length=0)] = []
    tool_choice: Literal["auto", "none"] = "auto"
    parallel_tool_calls: bool | None = None
    tracing: Literal["auto"] | Tracing | None = None  # asked for unasked by @openai/agents; no traces are kept
    include: Annotated[list[str], Field(max_length=0)] | None = None
    truncation: Literal["auto", "disabled"] = "auto"
    prompt: None = None

    def updated(self, patch: SessionConfig) -> SessionConfig:
        """This configuration with the fields that `patch` sets, at any depth."""
        return SessionConfig.model_validate(_merged(self.model_dump(), patch.model_dump(exclude_unset=True)))


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        before = old.get(key)
        if isinstance(before, dict) and isinstance(value, dict) and before.get("type") == value.get("type"):
            merged[key] = _merged(before, value)
        else:
            merged[key] = value
    return merged


class _Event(_Strict):
    event_id: Name | None = None


class SessionUpdate(_Event):
    type: Literal["session.update"]
    session: SessionConfig


class Append(_Event):
    type: Literal["input_audio_buffer.append"]
    audio: str


class Commit(_Event):
    type: Literal["input_audio_buffer.commit"]


class Clear(_Event):
    type: Literal["input_audio_buffer.clear"]


class InputText(_Strict):
    type: Literal["input_text"]
    text: Text


class InputAudio(_Strict):
    type: Literal["input_audio"]
    audio: str
    transcript: Text | None = None


class OutputText(_Strict):
    type: Literal["output_text"]
    text: Text


class _Item(_Strict):
    id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    object: Literal["realtime.item"] = "realtime.item"
    type: Literal["message"]
    status: Literal["completed", "incomplete", "in_progress"] = "completed"


class UserItem(_Item):
    role: Literal["user"]
    content: Annotated[
        list[Annotated[InputText | InputAudio, Field(discriminator="type")]], Field(min_length=1, max_length=1)
    ]


class SystemItem(_Item):
    role: Literal["system"]
    content: Annotated[list[InputText], Field(min_length=1, max_length=16)]


class AssistantItem(_Item):
    role: Literal["assistant"]
    content: Annotated[list[OutputText], Field(min_length=1, max_length=16)]


ClientItem = Annotated[UserItem | SystemItem | AssistantItem, Field(discriminator="role")]


class ItemCreate(_Event):
    type: Literal["conversation.item.create"]
    item: ClientItem
    previous_item_id: Name | None = None


class ItemDelete(_Event):
    type: Literal["conversation.item.delete"]
    item_id: Name


class ItemRetrieve(_Event):
    type: Literal["conversation.item.retrieve"]
    item_id: Name


class ItemTruncate(_Event):
    type: Literal["conversation.item.truncate"]
    item_id: Name
    content_index: Literal[0]
    audio_end_ms: Annotated[int, Field(ge=0)]


class ResponseAudio(_Strict):
    output: AudioOutput = AudioOutput()


class ResponseParams(_Strict):
    """`response` of a `response.create`: overrides for this response alone."""

    conversation: Literal["auto"] = "auto"
    instructions: Text | None = None
    output_modalities: Annotated[list[Modality], Field(min_length=1, max_length=1)] | None = None
    audio: ResponseAudio | None = None
    max_output_tokens: MaxTokens | None = None
    metadata: Annotated[dict[Annotated[str, Field(max_length=64)], Name], Field(max_length=16)] | None = None
    reply_language: ReplyLanguage | None = None
    tools: Annotated[list[Any], Field(max_length=0)] = []
    tool_choice: Literal["auto", "none"] = "auto"


class ResponseCreate(_Event):
    type: Literal["response.create"]
    response: ResponseParams = ResponseParams()


class ResponseCancel(_Event):
    type: Literal["response.cancel"]
    response_id: Name | None = None


ClientEvent = (
    SessionUpdate
    | Append
    | Commit
    | Clear
    | ItemCreate
    | ItemDelete
    | ItemRetrieve
    | ItemTruncate
    | ResponseCreate
    | ResponseCancel
)

_BY_TYPE: dict[str, type[ClientEvent]] = {
    cls.model_fields["type"].annotation.__args__[0]: cls for cls in ClientEvent.__args__
}

_CODES = {
    "extra_forbidden": "unknown_parameter",
    "missing": "missing_required_parameter",
    "none_required": "unsupported_parameter",
    "string_too_long": "string_above_max_length",
    "union_tag_not_found": "missing_required_parameter",
}


def parse(message: str) -> ClientEvent:
    """One text message. Raises ClientEventError naming what was wrong, what is accepted and the client's `event_id`."""
    try:
        data = from_json(message, allow_inf_nan=False)  # unlike json, refuses deep nesting and half a surrogate pair
    except ValueError:
        raise ClientEventError("the message is not valid JSON", code="invalid_json") from None
    if not isinstance(data, dict):
        raise ClientEventError("the message must be a JSON object with a `type`", code="invalid_json")
    event_id = data.get("event_id")
    if not isinstance(event_id, str) or len(event_id) > 512:
        event_id = None
    kind = data.get("type")
    model = _BY_TYPE.get(kind) if isinstance(kind, str) else None
    if model is None:
        accepted = ", ".join(sorted(_BY_TYPE))
        raise ClientEventError(
            f"unknown event type {_shown(kind)}; accepted: {accepted}",
            code="unknown_event_type",
            param="type",
            event_id=event_id,
        )
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise described(error, data, event_id) from None


class ClientEventError(InvalidRequest):
    """A client event that cannot be taken; carries the client's own `event_id`."""

    def __init__(
        self, message: str, *, code: str | None = None, param: str | None = None, event_id: str | None = None
    ) -> None:
        super().__init__(message, code=code, param=param)
        self.event_id = event_id


def described(error: ValidationError, data: object, event_id: str | None) -> ClientEventError:
    """The first validation failure of `data` as a protocol error: its field, what was wrong, what is accepted."""
    first = error.errors(include_url=False)[0]
    param = _path(first["loc"], data)
    code = _CODES.get(first["type"], "invalid_value")
    if code == "unsupported_parameter":
        message = f"{param} is not supported; only null is accepted"
    elif code == "unknown_parameter":
        message = f"unknown field {param}"
    else:
        message = f"{param}: {first['msg']}; got {_shown(first.get('input'))}"
    return ClientEventError(message, code=code, param=param, event_id=event_id)


def _path(loc: tuple[int | str, ...], data: object) -> str:
    """Where in `data` it is: pydantic's location without the names of union members, which are no fields."""
    path: list[str] = []
    for at, part in enumerate(loc):
        if isinstance(data, dict) and (part in data or at == len(loc) - 1):
            path.append(str(part))
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int):
            path.append(str(part))
            data = data[part]
    return ".".join(path)[:200]


def _shown(value: object) -> str:
    text = json.dumps(value[:80] if isinstance(value, str) else value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."
