"""Messages of a request to /v1/chat/completions as a question and earlier turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from server.routes.chat.messages import (
    AssistantMessageParam,
    AudioPart,
    Message,
    RefusalPart,
    SystemMessageParam,
    TextPart,
    ToolMessageParam,
    UserMessageParam,
)
from streaming.base64_text import bytes_of
from streaming.errors import InvalidRequest
from streaming.telling import told
from streaming.tools import ToolCall


@dataclass(frozen=True, slots=True)
class UserMessage:
    """A user's message: `text` typed, `audio` an encoded recording, or both; `param` and `audio_param` name them in errors."""

    text: str
    audio: bytes | None
    param: str
    audio_param: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """An earlier turn. `calls`: what was called before the answer, with what came of it."""

    question: UserMessage
    reply: str
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Messages understood. `earlier`: oldest first; `calls`: what was called for the question, which their results now answer."""

    instructions: str
    earlier: Sequence[Answered]
    question: UserMessage
    calls: tuple[ToolCall, ...] = ()

    def length(self) -> int:
        """Characters of all that is told."""
        turns = [*self.earlier, Answered(self.question, "", self.calls)]
        said = (len(turn.question.text) + len(turn.reply) for turn in turns)
        called = (len(f"{call.name}{call.arguments}{call.output}") for turn in turns for call in turn.calls)
        return len(self.instructions) + sum(said) + sum(called)


Spoken = Callable[[str], str | None]
"""Finds an earlier spoken answer's text by its id."""


def dialogue(messages: Sequence[Message], spoken: Spoken, *, most_turns: int) -> Dialogue:
    """The messages as turns, of which `most_turns` are kept.

    A question that was never answered is left out, as in a realtime session. Raises InvalidRequest: `invalid_value` where the
    last message is neither the user's nor a tool's, or a tool's answers no call; `invalid_audio`, `audio_not_found`.
    """
    instructions, earlier = list[str](), list[Answered]()
    asked: UserMessage | None = None
    calls: dict[str, ToolCall] = {}
    for number, message in enumerate(messages):
        param = f"messages.{number}"
        match message:
            case SystemMessageParam():
                instructions.append(_text(message.content))
            case UserMessageParam():
                asked, calls = _user_message(message, param), {}
            case AssistantMessageParam(tool_calls=list() as called) if called:
                calls |= {call.id: ToolCall(call.function.name, call.function.arguments) for call in called}
            case AssistantMessageParam():
                if asked is not None:
                    earlier.append(Answered(asked, _reply(message, spoken, param), _with_results(calls)))
                asked, calls = None, {}
            case ToolMessageParam():
                calls[message.tool_call_id] = _with_result(calls, message, param)
    if asked is None or not isinstance(messages[-1], UserMessageParam | ToolMessageParam):
        raise InvalidRequest("the last message must be the user's, or a tool's after it", param="messages")
    if waiting := [name for name, call in calls.items() if call.output is None]:
        raise InvalidRequest(f"there is no tool message for the call {waiting[0][:60]!r}", param="messages")
    return Dialogue("\n".join(filter(None, instructions)), list(told(earlier, most_turns)), asked, _with_results(calls))


def _with_result(calls: dict[str, ToolCall], message: ToolMessageParam, param: str) -> ToolCall:
    if message.tool_call_id not in calls:
        raise InvalidRequest(
            f"there is no call {message.tool_call_id[:60]!r} before this message", param=f"{param}.tool_call_id"
        )
    return replace(calls[message.tool_call_id], output=_text(message.content))


def _with_results(calls: dict[str, ToolCall]) -> tuple[ToolCall, ...]:
    """Calls that have one."""
    return tuple(call for call in calls.values() if call.output is not None)


def _text(content: str | Sequence[TextPart | RefusalPart] | None) -> str:
    return content if isinstance(content, str) else "\n".join(part.text for part in content or ())


def _reply(message: AssistantMessageParam, spoken: Spoken, param: str) -> str:
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
