"""A request to /v1/chat/completions: its options and messages, as they come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field

from server.http.validation import refuse_unsupported
from server.http.voices import Voice
from server.media.encode import OutputFormat
from server.routes.chat.tools import ToolCallParam, ToolChoiceParam, ToolParams
from streaming.names import Language
from streaming.realtime.config import MOST_TOOLS
from streaming.realtime.shapes import Listed

_NEUTRAL: dict[str, tuple[Any, ...]] = {
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
_WHY = "this model gives one answer at a time, and no say over single tokens; functions are offered as `tools`"

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
    tool_calls: Annotated[Listed[ToolCallParam], Field(max_length=MOST_TOOLS)] | None = None


class ToolMessageParam(BaseModel):
    """What a tool gave back."""

    model_config = _LENIENT

    role: Literal["tool"]
    tool_call_id: str
    content: str | Listed[TextPart]


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


Message = Annotated[
    SystemMessageParam | UserMessageParam | AssistantMessageParam | ToolMessageParam, Discriminator("role")
]


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
    tools: ToolParams = Field(
        [], description="functions that the model may call in place of an answer, if it has learned to"
    )
    tool_choice: ToolChoiceParam | None = Field(None, description="default: auto")


def without_neutral(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that matter. Raises InvalidRequest (`unsupported_parameter`) for what the model cannot do."""
    plain = refuse_unsupported(fields, _NEUTRAL, _WHY)
    return {name: value for name, value in plain.items() if name not in _FOR_THE_CALLER}
