"""A request to /v1/chat/completions: its options, and its messages as a question and earlier turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field

from server.http.validation import refuse_unsupported
from server.http.voices import Voice
from server.media.encode import OutputFormat
from streaming.base64_text import bytes_of
from streaming.errors import InvalidRequest
from streaming.names import Language
from streaming.realtime.shapes import Listed
from streaming.telling import told

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "n": (1,),
    "seed": (),
    "stop": ([], ""),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "response_format": ({"type": "text"},),
    "store": (False,),
    "service_tier": ("auto", "default"),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
    "prediction": (),
    "web_search_options": (),
    "moderation": (),
}
_FOR_THE_CALLER = ("user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention")
"""Labels of the caller's own; an answer does not depend on them."""
_WHY = "this model has no tools, one answer at a time, and no say over single tokens"

_FROZEN = ConfigDict(extra="forbid", frozen=True)
_LENIENT = ConfigDict(extra="ignore", frozen=True)
"""Of what the server sent before: clients hand it back as it came."""


class TextPart(BaseModel):
    """Written."""

    model_config = _LENIENT

    type: Literal["text"]
    text: str


class RefusalPart(BaseModel):
    """Of an earlier answer of another model."""

    model_config = _LENIENT

    type: Literal["refusal"]
    refusal: str

    @property
    def text(self) -> str:
        return self.refusal


class Recording(BaseModel):
    """`data`: base64. `format` is what the sender says; the bytes decide."""

    model_config = _FROZEN

    data: str
    format: str = Field("wav", description="any that /v1/speech reads")


class AudioPart(BaseModel):
    """Spoken."""

    model_config = _LENIENT

    type: Literal["input_audio"]
    input_audio: Recording


class SystemMessageParam(BaseModel):
    """Instructions."""

    model_config = _LENIENT

    role: Literal["system", "developer"]
    content: str | Listed[TextPart]


class UserMessageParam(BaseModel):
    """A question, typed, spoken, or spoken with text beside it."""

    model_config = _LENIENT

    role: Literal["user"]
    content: str | Annotated[Listed[Annotated[TextPart | AudioPart, Discriminator("type")]], Field(min_length=1)]


class SpokenAnswer(BaseModel):
    """An earlier spoken answer, by its id."""

    model_config = _LENIENT

    id: str
    transcript: str | None = None


class AssistantMessageParam(BaseModel):
    """An earlier answer."""

    model_config = _LENIENT

    role: Literal["assistant"]
    content: str | Listed[Annotated[TextPart | RefusalPart, Discriminator("type")]] | None = None
    audio: SpokenAnswer | None = None


class AudioOptions(BaseModel):
    """Of the spoken answer."""

    model_config = _FROZEN

    voice: str | Voice | None = Field(None, description="one of the model's voices; default: its first")
    format: Literal["wav", "mp3", "flac", "opus", "aac", "pcm16"] = Field(description="pcm16: 24 kHz, little-endian")

    @property
    def output_format(self) -> OutputFormat:
        """As `server.media.encode` calls it."""
        return "pcm" if self.format == "pcm16" else self.format


class StreamOptions(BaseModel):
    """What a stream tells besides the answer."""

    model_config = _FROZEN

    include_usage: bool = False
    include_obfuscation: bool = Field(False, description="accepted; nothing is obfuscated")


Message = Annotated[SystemMessageParam | UserMessageParam | AssistantMessageParam, Discriminator("role")]


class ChatRequest(BaseModel):
    """The body of POST /v1/chat/completions, without what has no effect."""

    model_config = _FROZEN

    model: str | None = Field(None, max_length=200, description="the model's name; default: the server's model")
    messages: Listed[Message] = Field(min_length=1, max_length=512)
    modalities: Listed[Literal["text", "audio"]] = Field(["text"], min_length=1)
    audio: AudioOptions | None = Field(None, description="required if modalities include audio")
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    max_completion_tokens: int | None = Field(None, ge=1, description="text and speech units together")
    max_tokens: int | None = Field(None, ge=1, description="older name of max_completion_tokens")
    reply_language: Language = Field("auto", description="language of the answer; an extension")


def without_neutral(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that matter. Raises InvalidRequest (`unsupported_parameter`) for what the model cannot do."""
    plain = refuse_unsupported(fields, _NEUTRAL, _WHY)
    return {name: value for name, value in plain.items() if name not in _FOR_THE_CALLER}


@dataclass(frozen=True, slots=True)
class UserMessage:
    """A user's message: `text` typed, `audio` an encoded recording, or both; `param` and `audio_param` name them in errors."""

    text: str
    audio: bytes | None
    param: str
    audio_param: str = ""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Messages understood. `earlier`: what was asked before, with the answer to it, oldest first."""

    instructions: str
    earlier: Sequence[tuple[UserMessage, str]]
    question: UserMessage


Spoken = Callable[[str], str | None]


def dialogue(messages: Sequence[Message], spoken: Spoken, *, most_turns: int) -> Dialogue:
    """The messages as turns. `spoken` finds an earlier spoken answer's text by its id. `most_turns`: how many to keep.

    A question that was never answered is left out, as in a realtime session. Raises InvalidRequest: `invalid_value` where the
    last message is not the user's, `invalid_audio`, `audio_not_found`.
    """
    if not isinstance(messages[-1], UserMessageParam):
        raise InvalidRequest("the last message must be the user's", param="messages")
    instructions, earlier = list[str](), list[tuple[UserMessage, str]]()
    asked: UserMessage | None = None
    for number, message in enumerate(messages):
        param = f"messages.{number}"
        match message:
            case SystemMessageParam():
                instructions.append(_text(message.content))
            case UserMessageParam():
                asked = _user_message(message, param)
            case AssistantMessageParam():
                if asked is not None:
                    earlier.append((asked, _answered(message, spoken, param)))
                asked = None
    assert asked is not None
    return Dialogue("\n".join(filter(None, instructions)), list(told(earlier, most_turns)), asked)


def _text(content: str | Sequence[TextPart | RefusalPart] | None) -> str:
    return content if isinstance(content, str) else "\n".join(part.text for part in content or ())


def _answered(message: AssistantMessageParam, spoken: Spoken, param: str) -> str:
    text = _text(message.content)
    if text or message.audio is None:
        return text
    found = message.audio.transcript or spoken(message.audio.id)
    if found is None:
        raise InvalidRequest(
            f"there is no spoken answer {message.audio.id[:60]!r}, or it has expired; send its transcript as content",
            code="audio_not_found",
            param=f"{param}.audio.id",
        )
    return found


def _user_message(message: UserMessageParam, param: str) -> UserMessage:
    if isinstance(message.content, str):
        return UserMessage(_worded(message.content, param), None, param)
    recordings = [(at, part) for at, part in enumerate(message.content) if isinstance(part, AudioPart)]
    if len(recordings) > 1:
        raise InvalidRequest("a message may hold one recording", param=f"{param}.content")
    text = _text([part for part in message.content if isinstance(part, TextPart)])
    if not recordings:
        return UserMessage(_worded(text, param), None, param)
    [(at, part)] = recordings
    audio_param = f"{param}.content.{at}.input_audio.data"
    return UserMessage(text.strip(), _decoded(part, audio_param), param, audio_param)


def _worded(text: str, param: str) -> str:
    if not text.strip():
        raise InvalidRequest("the message is empty", param=f"{param}.content")
    return text.strip()


def _decoded(part: AudioPart, param: str) -> bytes:
    try:
        return bytes_of(part.input_audio.data)
    except ValueError:
        raise InvalidRequest("the recording is not base64", code="invalid_audio", param=param) from None
