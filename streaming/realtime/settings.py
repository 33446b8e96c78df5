"""What a session is set to, from what its client asks for and what the model can do."""

from __future__ import annotations

from collections.abc import Sequence

from streaming.audio import WireFormat
from streaming.errors import InvalidRequest
from streaming.realtime.config import (
    AnyConfig,
    Audio,
    AudioInput,
    Function,
    NamedTool,
    SemanticVad,
    ServerVad,
    SessionConfig,
    Transcription,
    TranscriptionAudio,
    TranscriptionConfig,
    wire_of,
)
from streaming.realtime.limits import SessionLimits, SessionModel
from streaming.realtime.server_shapes import SessionShape
from streaming.tools import Tool


def initial_settings(model: SessionModel, wanted: AnyConfig | None = None) -> AnyConfig:
    """Those that a session of `model` begins with. Raises InvalidRequest."""
    fresh = _defaults(model, wanted)
    return fresh if wanted is None else changed_settings(model, fresh, wanted, empty=True)


def changed_settings(model: SessionModel, config: AnyConfig, patch: AnyConfig, *, empty: bool) -> AnyConfig:
    """`config` with what `patch` sets. `empty`: nothing was said yet. Raises InvalidRequest: then nothing of it holds."""
    new = _patched(model, config, patch, empty=empty)
    if isinstance(new, SessionConfig):
        if not model.is_called(new.model):
            raise InvalidRequest(
                f"this session talks to {model.name}; connect with ?model= for another", param="session.model"
            )
        model.voice(new.audio.output.voice, "session.audio.output.voice")
        model.check_reply_language(new.reply_language, "session.reply_language")
        model.check_tools(new.tools, new.tool_choice, "session")
        chosen_tools(new.tools, new.tool_choice, "session.tool_choice.name" if _chooses(patch) else "session.tools")
    if isinstance(new.audio.input.turn_detection, SemanticVad) and model.stages.end_of_turn is None:
        raise InvalidRequest(
            "this model's bundle has no end-of-turn model; use server_vad",
            code="unsupported_parameter",
            param="session.audio.input.turn_detection.type",
        )
    return new


def without_tools(model: SessionModel, patch: AnyConfig) -> tuple[AnyConfig, list[InvalidRequest]]:
    """`patch` without the tools that `model` cannot call, refused alone so that the rest of it holds."""
    refused = list[InvalidRequest]()
    if not isinstance(patch, SessionConfig):
        return patch, refused
    for name, tools, choice in (("tools", patch.tools, None), ("tool_choice", (), patch.tool_choice)):
        try:
            model.check_tools(tools, choice, "session")
        except InvalidRequest as error:
            refused.append(error)
            patch = type(patch).model_validate(patch.model_dump(exclude_unset=True, exclude={name}))
    return patch, refused


def _chooses(patch: AnyConfig) -> bool:
    return isinstance(patch, SessionConfig) and "tool_choice" in patch.model_fields_set


def chosen_tools(
    tools: Sequence[Function], choice: str | NamedTool | None, param: str
) -> tuple[tuple[Tool, ...], bool]:
    """What the model may call, and whether it must. Raises InvalidRequest, with `param`, where no tool has the chosen name."""
    if choice == "none":
        return (), False
    if isinstance(choice, NamedTool):
        tools = [tool for tool in tools if tool.name == choice.name]
        if not tools:
            raise InvalidRequest(f"tool_choice names {choice.name!r}, which is not among the tools", param=param)
    must_call = bool(tools) and choice not in (None, "auto")
    return tuple(Tool(tool.name, tool.description, tool.parameters) for tool in tools), must_call


def settings_shape(model: SessionModel, config: AnyConfig, session_id: str, expires_at: int) -> SessionShape:
    """The session as the protocol shows it."""
    if isinstance(config, TranscriptionConfig):
        return SessionShape(session_id, expires_at, "transcription", config.model_dump(), model.recorded)
    shown = config.model_dump(exclude={"model", "prompt", "reasoning", "parallel_tool_calls", "tracing"})
    shown["audio"]["output"]["voice"] = model.voice(config.audio.output.voice, "")
    return SessionShape(session_id, expires_at, "realtime", {"model": model.name, **shown}, model.recorded)


def idle_timeout_ms(config: AnyConfig) -> int:
    """After how much silence the model is asked to go on; 0: never."""
    detection = config.audio.input.turn_detection
    return (detection.idle_timeout_ms or 0) if isinstance(detection, ServerVad) else 0


def speculates(config: AnyConfig, limits: SessionLimits) -> bool:
    """Turns are answered before it is certain that they are over."""
    detection = config.audio.input.turn_detection
    wanted = isinstance(config, SessionConfig) and config.speculative_turns and limits.speculate
    return wanted and detection is not None and detection.create_response


def audio_in(config: AnyConfig) -> WireFormat:
    """The format of the audio that the client sends."""
    return wire_of(config.audio.input.format)


def _patched(model: SessionModel, config: AnyConfig, patch: AnyConfig, *, empty: bool) -> AnyConfig:
    if isinstance(config, SessionConfig) and isinstance(patch, SessionConfig):
        return config.updated(patch)
    if isinstance(config, TranscriptionConfig) and isinstance(patch, TranscriptionConfig):
        return config.updated(patch)
    if not empty:
        raise wrong_type(f"this is a {config.type} session; it can become another only before anything was said")
    fresh = _defaults(model, patch)
    return fresh.updated(patch)  # type: ignore[arg-type]  # of one type, because one was made for the other


def _defaults(model: SessionModel, like: AnyConfig | None) -> AnyConfig:
    """Settings of a session that was told nothing: transcripts come with every answer, they cost nothing."""
    audio = AudioInput(transcription=Transcription(model=model.name))
    if isinstance(like, TranscriptionConfig):
        return TranscriptionConfig(type="transcription", audio=TranscriptionAudio(input=audio))
    return SessionConfig(type="realtime", audio=Audio(input=audio))


def wrong_type(message: str) -> InvalidRequest:
    """The session is of another type than it would have to be."""
    return InvalidRequest(message, code="wrong_session_type", param="type")
