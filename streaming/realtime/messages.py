"""Client events: what is accepted, and a clear error for everything else."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainValidator,
    PrivateAttr,
    Tag,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError, PydanticKnownError, from_json

from streaming.audio import AudioFrame, WireFormat
from streaming.base64_text import bytes_of
from streaming.errors import InvalidRequest
from streaming.json_limits import check_text, check_value
from streaming.names import Language
from streaming.realtime.config import (
    AnyConfig,
    AudioOutput,
    MaxTokens,
    Modalities,
    Off,
    Reasoning,
    Temperature,
    ToolChoice,
    ToolName,
    Tools,
)
from streaming.realtime.shapes import ClientEventError, Listed, Name, Strict, Text, described, first_fault, shown


class ClientMessage(Strict):
    """What every client event has."""

    event_id: Name | None = None


E = TypeVar("E", bound=ClientMessage)


def _sound(value: object, info: ValidationInfo) -> AudioFrame:
    """Base64 text in the wire format of the context, 24 kHz PCM16 unless it says; a transport of its own gives audio as it is."""
    if isinstance(value, AudioFrame):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    wire = info.context if isinstance(info.context, WireFormat) else WireFormat()
    try:
        return AudioFrame(wire.decode(bytes_of(value)), wire.rate_hz)
    except ValueError:
        raise PydanticCustomError("invalid_audio", "the audio is not valid base64") from None
    except InvalidRequest as error:
        raise PydanticCustomError("half_a_sample", "{why}", {"why": error.message}) from None


Sound = Annotated[AudioFrame, PlainValidator(_sound)]
"""Audio: base64 on the wire, PCM with its rate inside."""


class SessionUpdate(ClientMessage):
    """`refused`: what of it cannot be done and was left out of `session`."""

    type: Literal["session.update"]
    session: AnyConfig
    _refused: tuple[ClientEventError, ...] = PrivateAttr(())

    @property
    def refused(self) -> tuple[ClientEventError, ...]:
        return self._refused


class Append(ClientMessage):
    type: Literal["input_audio_buffer.append"] = "input_audio_buffer.append"
    audio: Sound


class Commit(ClientMessage):
    type: Literal["input_audio_buffer.commit"]


class Clear(ClientMessage):
    type: Literal["input_audio_buffer.clear"]


class InputText(Strict):
    type: Literal["input_text"]
    text: Text


class InputAudio(Strict):
    type: Literal["input_audio"]
    audio: Sound
    transcript: Text | None = None


class OutputText(Strict):
    type: Literal["output_text"]
    text: Text


class OutputAudio(Strict):
    """What was said before, as text; its audio is of no use to the model."""

    type: Literal["output_audio"]
    transcript: Text
    audio: None = None


ItemId = Annotated[str, Field(min_length=1, max_length=64)]


class _Item(Strict):
    id: ItemId | None = None
    object: Literal["realtime.item"] = "realtime.item"
    type: Literal["message"]
    status: Literal["completed", "incomplete", "in_progress"] = "completed"


def _one_recording(content: list[InputText | InputAudio]) -> list[InputText | InputAudio]:
    if sum(isinstance(part, InputAudio) for part in content) > 1:
        raise ValueError("a message may have one input_audio, and input_text before and after it")
    return content


class UserItem(_Item):
    role: Literal["user"]
    content: Annotated[
        Listed[Annotated[InputText | InputAudio, Field(discriminator="type")]],
        Field(min_length=1, max_length=16),
        AfterValidator(_one_recording),
    ]


class SystemItem(_Item):
    role: Literal["system"]
    content: Annotated[Listed[InputText], Field(min_length=1, max_length=16)]


class AssistantItem(_Item):
    role: Literal["assistant"]
    content: Annotated[
        Listed[Annotated[OutputText | OutputAudio, Field(discriminator="type")]], Field(min_length=1, max_length=16)
    ]


def _accepts(*types: str) -> BeforeValidator:
    """Names the `type` of an item that is none of `types`, before its shape is looked for by the role that it need not have."""

    def check(item: object) -> object:
        kind = item.get("type") if isinstance(item, dict) else None
        if isinstance(kind, str) and kind not in types:
            said = {"discriminator": "'type'", "tag": kind, "expected_tags": ", ".join(map(repr, types))}
            raise PydanticKnownError("union_tag_invalid", said)
        return item

    return BeforeValidator(check)


class _OfCall(Strict):
    id: ItemId | None = None
    object: Literal["realtime.item"] = "realtime.item"
    status: Literal["completed", "incomplete", "in_progress"] = "completed"
    call_id: Name


class CallItem(_OfCall):
    """A call of a tool, as of an earlier session."""

    type: Literal["function_call"]
    name: ToolName
    arguments: Text


class CallOutputItem(_OfCall):
    """What a tool gave back."""

    type: Literal["function_call_output"]
    output: Text


_CALLS = ("function_call", "function_call_output")


def _kind_of_item(value: object) -> str:
    """Which shape an item has, by its type."""
    data = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    kind = data.get("type")
    return kind if kind in _CALLS else "message"


Message = Annotated[UserItem | SystemItem | AssistantItem, Field(discriminator="role")]
ClientItem = Annotated[
    Annotated[Message, Tag("message")]
    | Annotated[CallItem, Tag("function_call")]
    | Annotated[CallOutputItem, Tag("function_call_output")],
    Discriminator(_kind_of_item),
    _accepts("message", *_CALLS),
]


class ItemReference(Strict):
    """An item of the conversation, named by its id."""

    type: Literal["item_reference"]
    id: Name


def _kind_of_input(value: object) -> str | None:
    """Which shape an element of `input` has: a reference, or the item of a role."""
    data = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    kind = data.get("type")
    return kind if kind in ("item_reference", *_CALLS) else data.get("role")


InputItem = Annotated[
    Annotated[CallItem, Tag("function_call")]
    | Annotated[CallOutputItem, Tag("function_call_output")]
    | Annotated[UserItem, Tag("user")]
    | Annotated[SystemItem, Tag("system")]
    | Annotated[AssistantItem, Tag("assistant")]
    | Annotated[ItemReference, Tag("item_reference")],
    Discriminator(
        _kind_of_input,
        custom_error_type="no_item",
        custom_error_message="Input should be a message of the `role` user, system or assistant, or an item_reference",
    ),
    _accepts("message", "item_reference", *_CALLS),
]


class ItemCreate(ClientMessage):
    type: Literal["conversation.item.create"]
    item: ClientItem
    previous_item_id: Name | None = None


class ItemDelete(ClientMessage):
    type: Literal["conversation.item.delete"]
    item_id: Name


class ItemRetrieve(ClientMessage):
    type: Literal["conversation.item.retrieve"]
    item_id: Name


class ItemTruncate(ClientMessage):
    type: Literal["conversation.item.truncate"] = "conversation.item.truncate"
    item_id: Name
    content_index: Literal[0]
    audio_end_ms: Annotated[int, Field(ge=0)]


class ResponseAudio(Strict):
    output: AudioOutput = AudioOutput()


class ResponseParams(Strict):
    """`response` of a `response.create`: overrides for this response alone.

    `conversation: none` keeps it out of the conversation; `input` replaces the conversation as what is answered.
    """

    conversation: Literal["auto", "none"] = "auto"
    input: Annotated[Listed[InputItem], Field(max_length=64)] | None = None
    instructions: Text | None = None
    output_modalities: Modalities | None = None
    audio: ResponseAudio | None = None
    max_output_tokens: MaxTokens | None = None
    metadata: Annotated[dict[Annotated[str, Field(max_length=64)], Name], Field(max_length=16)] | None = None
    reply_language: Language | None = None
    temperature: Temperature | None = None
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    prompt: None = None
    reasoning: Annotated[Reasoning | None, Off] = None


class ResponseCreate(ClientMessage):
    type: Literal["response.create"]
    response: ResponseParams = ResponseParams()


class ResponseCancel(ClientMessage):
    type: Literal["response.cancel"]
    response_id: Name | None = None


class OutputClear(ClientMessage):
    """Only transports that play the audio themselves (WebRTC) have something to clear; they take this event away."""

    type: Literal["output_audio_buffer.clear"]


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
    | OutputClear
)


def by_type(*shapes: type[E]) -> dict[str, type[E]]:
    """Client events by their `type`."""
    return {get_args(shape.model_fields["type"].annotation)[0]: shape for shape in shapes}


CLIENT_EVENTS: dict[str, type[ClientEvent]] = by_type(*get_args(ClientEvent))


def parse(message: str | bytes) -> ClientEvent:
    """One message. Raises ClientEventError naming what was wrong, what is accepted and the client's `event_id`."""
    return validated(CLIENT_EVENTS, json_object(message))


def validated(known: Mapping[str, type[E]], data: dict[str, object], audio: WireFormat | None = None) -> E:
    """`data` as one of the events in `known`, its audio in the format `audio`. Raises ClientEventError, as `parse`."""
    event_id = data.get("event_id")
    if not isinstance(event_id, str) or len(event_id) > 512:
        event_id = None
    kind = data.get("type")
    model = known.get(kind) if isinstance(kind, str) else None
    if model is None:
        accepted = ", ".join(sorted(known))
        raise ClientEventError(
            f"unknown event type {shown(kind)}; accepted: {accepted}",
            code="unknown_event_type",
            param="type",
            event_id=event_id,
        )
    try:
        return model.model_validate(data, context=audio)
    except ValidationError as error:
        faults = [first_fault(each, data, event_id) for each in error.errors(include_url=False)]
        refused = dict[str, ClientEventError]()
        for fault in faults:
            if (field := _alone(fault.param)) is None:
                raise described(error, data, event_id) from None
            refused.setdefault(field, fault)
    rest = model.model_validate(_without(data, refused), context=audio)
    if isinstance(rest, SessionUpdate):
        rest._refused = tuple(refused.values())
    return rest


_ALONE = ("session.tools", "session.tool_choice", "session.prompt", "session.audio.output.speed")
"""What models cannot do, by field: refused alone, so that the rest of an update, its audio formats above all, holds."""


def _alone(param: str | None) -> str | None:
    """The field of `_ALONE` that a fault is in."""
    return next((field for field in _ALONE if param and f"{param}.".startswith(f"{field}.")), None)


def _without(data: dict[str, object], fields: Iterable[str]) -> dict[str, object]:
    """A copy of `data` without these dotted `fields`."""
    kept = copy.deepcopy(data)
    for field in fields:
        *path, last = field.split(".")
        at: Any = kept
        for part in path:
            at = at[part]
        del at[last]
    return kept


def json_object(message: str | bytes) -> dict[str, object]:
    """The JSON object in a text message. Raises ClientEventError (`invalid_json`), and TooComplex before it is parsed."""
    if isinstance(message, bytes):
        raise ClientEventError("binary messages are not accepted; send JSON text", code="invalid_json")
    check_text(message)
    try:
        data = from_json(message, allow_inf_nan=False)  # unlike json, refuses deep nesting and half a surrogate pair
    except ValueError:
        raise ClientEventError("the message is not valid JSON", code="invalid_json") from None
    if not isinstance(data, dict):
        raise ClientEventError("the message must be a JSON object with a `type`", code="invalid_json")
    check_value(data)
    return data
