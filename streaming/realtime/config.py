"""Session configurations: what `session` may say in a `session.update`, in a client secret, and what a session shows of itself.

Four extensions: `reply_language`, `temperature` (of the beta protocol, and of the language model), `speculative_turns`, and
`playout_lead_ms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator
from pydantic_core import to_json

from streaming.audio import WireFormat
from streaming.names import Language
from streaming.realtime.shapes import Listed, Name, Strict, Text, merged
from streaming.tools import check_schema

Modality = Literal["text", "audio"]
Modalities = Annotated[Listed[Modality], Field(min_length=1, max_length=1)]
MaxTokens = Annotated[int, Field(ge=1, le=4096)] | Literal["inf"]
Temperature = Annotated[float, Field(ge=0, le=2)]

Off = AfterValidator(lambda _: None)
"""Marks a setting that would change nothing heard or answered: it is taken, and shown as off."""


class AudioPcm(Strict):
    type: Literal["audio/pcm"]
    rate: Literal[24000] = 24000


class AudioPcmu(Strict):
    type: Literal["audio/pcmu"]


class AudioPcma(Strict):
    type: Literal["audio/pcma"]


AudioFormat = Annotated[AudioPcm | AudioPcmu | AudioPcma, Field(discriminator="type")]


def wire_of(shape: AudioFormat) -> WireFormat:
    """The format as the audio code knows it."""
    return WireFormat(shape.type, 24_000 if shape.type == "audio/pcm" else 8_000)


class ServerVad(Strict):
    """Turn detection by voice activity: a turn ends after `silence_duration_ms`.

    `idle_timeout_ms`: time after an answer has been played in which nobody speaks, until the model is asked to go on.
    """

    type: Literal["server_vad"]
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    prefix_padding_ms: Annotated[int, Field(ge=0, le=10_000)] = 300
    silence_duration_ms: Annotated[int, Field(ge=0, le=10_000)] = 500
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: Annotated[int, Field(ge=100, le=60_000)] | None = None


class SemanticVad(Strict):
    """Turn detection by a model that says at each pause whether the speaker has finished."""

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True

    @property
    def shortest_wait_ms(self) -> int:
        """Silence that there must be however sure the model is: it judges by sound alone, and is sure too often."""
        return {"low": 800, "medium": 500, "auto": 500, "high": 300}[self.eagerness]

    @property
    def longest_wait_ms(self) -> int:
        """Silence that ends a turn although the model thinks that it goes on."""
        return {"low": 8000, "medium": 4000, "auto": 4000, "high": 2000}[self.eagerness]


TurnDetection = Annotated[ServerVad | SemanticVad, Field(discriminator="type")]


class Transcription(Strict):
    """The transcript comes from the model itself, so that `model` and `prompt` change nothing.

    `delay`: how long live captions wait (transcription sessions).
    """

    model: Name | None = None
    language: Language | None = None
    prompt: Text | None = None
    # Shown only where it was asked for: Pipecat dies of any field of a transcription that it does not know.
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = Field(
        None, exclude_if=lambda delay: delay is None
    )
    keywords: Annotated[Listed[Name] | None, Off] = Field(None, exclude=True)
    languages: Annotated[Listed[Name] | None, Off] = Field(None, exclude=True)


class NoiseReduction(Strict):
    """Where the microphone is. Taken without effect: no noise is reduced."""

    type: Literal["near_field", "far_field"]


class AudioInput(Strict):
    format: AudioFormat = AudioPcm(type="audio/pcm")
    turn_detection: TurnDetection | None = ServerVad(type="server_vad")
    transcription: Transcription | None = None
    noise_reduction: Annotated[NoiseReduction | None, Off] = None


class AudioOutput(Strict):
    format: AudioFormat = AudioPcm(type="audio/pcm")
    voice: Name | None = None
    speed: Annotated[float, Field(ge=1, le=1)] = 1.0

    @field_validator("voice", mode="before")
    @classmethod
    def _by_id(cls, value: Any) -> Any:
        """A voice may be named by an object with its id."""
        return value["id"] if isinstance(value, dict) and list(value) == ["id"] else value

    def updated(self, patch: AudioOutput) -> AudioOutput:
        """This output with the fields that `patch` sets."""
        return AudioOutput.model_validate(merged(self.model_dump(), patch.model_dump(exclude_unset=True)))


class Audio(Strict):
    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


class Tracing(Strict):
    """Names of a trace, as OpenAI's platform keeps them."""

    workflow_name: Name | None = None
    group_id: Name | None = None
    metadata: dict[str, Any] | None = None


class Reasoning(Strict):
    effort: Name | None = None


class RetentionRatio(Strict):
    """How much of a long history is kept. Taken without effect: the bundle says how many turns the model is given."""

    type: Literal["retention_ratio"]
    retention_ratio: Annotated[float, Field(ge=0, le=1)]
    token_limits: dict[str, Any] | None = None


Logprobs = Literal["item.input_audio_transcription.logprobs"]
Truncation = Annotated[
    Annotated[Literal["auto", "disabled"], Tag("named")] | Annotated[RetentionRatio, Tag("ratio")],
    Discriminator(lambda truncation: "ratio" if isinstance(truncation, dict | RetentionRatio) else "named"),
    AfterValidator(lambda truncation: truncation if isinstance(truncation, str) else "auto"),
]


def _takes_an_object(schema: dict[str, Any]) -> dict[str, Any]:
    """JSON Schema of arguments, as far as it must be understood here. Raises ValueError."""
    if len(to_json(schema)) > MOST_SCHEMA_BYTES:
        raise ValueError(f"the JSON Schema of a tool has at most {MOST_SCHEMA_BYTES} bytes")
    if schema.get("type", "object") != "object":
        raise ValueError("parameters are the JSON Schema of an object: {'type': 'object', 'properties': {…}}")
    check_schema(schema)
    return schema


MOST_SCHEMA_BYTES, MOST_TOOLS_BYTES = 8192, 32_768
"""Of one tool's schema, and of all tools: every question is asked with them, so they are as long as instructions at most."""

ToolName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class Function(Strict):
    """A function of the client. `strict`: arguments follow the schema wherever the engine can hold them to it, asked or not."""

    name: ToolName
    description: Text = ""
    parameters: Annotated[dict[str, Any], AfterValidator(_takes_an_object)] = Field(default_factory=dict[str, Any])
    strict: bool | None = Field(None, exclude=True)


class _OfFunction(Strict):
    type: Literal["function"]


class FunctionTool(Function, _OfFunction):
    """A function as a tool. Fields of the last base are validated first, so a wrong `type` is the error that is reported."""


def check_together(tools: Sequence[Function]) -> None:
    """Raises ValueError for tools that cannot be declared together."""
    names = [tool.name for tool in tools]
    if len(set(names)) < len(names):
        raise ValueError("each tool has a name of its own")
    if sum(len(tool.description.encode()) + len(to_json(tool.parameters)) for tool in tools) > MOST_TOOLS_BYTES:
        raise ValueError(f"descriptions and JSON Schemas of all tools have at most {MOST_TOOLS_BYTES} bytes")


MOST_TOOLS = 32


def _checked_together(tools: list[FunctionTool]) -> list[FunctionTool]:
    check_together(tools)
    return tools


Tools = Annotated[Listed[FunctionTool], Field(max_length=MOST_TOOLS), AfterValidator(_checked_together)]


class NamedTool(_OfFunction):
    """The tool that must be called."""

    name: ToolName


ToolChoice = Annotated[
    Annotated[Literal["auto", "none", "required"], Tag("mode")] | Annotated[NamedTool, Tag("named")],
    Discriminator(lambda choice: "named" if isinstance(choice, dict | NamedTool) else "mode"),
]


class SessionConfig(Strict):
    """A conversation's settings, and the shape of `session` in a `session.update`: there only the fields sent are changed."""

    type: Literal["realtime"]
    model: Name | None = None
    instructions: Text = ""
    output_modalities: Modalities = Field(default=["audio"])
    audio: Audio = Audio()
    max_output_tokens: MaxTokens = "inf"
    reply_language: Language = "auto"
    temperature: Temperature | None = None
    speculative_turns: bool = True
    playout_lead_ms: Annotated[int, Field(ge=0, le=2_000)] | None = None
    tools: Tools = Field(default_factory=list[FunctionTool])
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool | None = None
    tracing: Literal["auto"] | Tracing | None = None  # asked for unasked by @openai/agents; no traces are kept
    include: Annotated[Listed[Logprobs] | None, Off] = None
    truncation: Truncation = "auto"
    prompt: None = None
    reasoning: Annotated[Reasoning | None, Off] = None

    def updated(self, patch: SessionConfig) -> SessionConfig:
        """This configuration with the fields that `patch` sets, at any depth."""
        return SessionConfig.model_validate(merged(self.model_dump(), patch.model_dump(exclude_unset=True)))


class TranscriptionAudio(Strict):
    input: AudioInput = AudioInput()


class TranscriptionConfig(Strict):
    """Settings of a session that only writes down what it hears."""

    type: Literal["transcription"]
    audio: TranscriptionAudio = TranscriptionAudio()
    include: Annotated[Listed[Logprobs] | None, Off] = None

    def updated(self, patch: TranscriptionConfig) -> TranscriptionConfig:
        """This configuration with the fields that `patch` sets, at any depth."""
        return TranscriptionConfig.model_validate(merged(self.model_dump(), patch.model_dump(exclude_unset=True)))


AnyConfig = Annotated[SessionConfig | TranscriptionConfig, Field(discriminator="type")]
