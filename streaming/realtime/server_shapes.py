"""What server events show: items, responses and sessions as they are at that moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from streaming.audio import WireFormat
from streaming.errors import SpeechServerError
from streaming.report import Notice

Status = Literal["completed", "incomplete", "in_progress"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """Written content."""

    type: Literal["input_text", "output_text", "text"]
    text: str


@dataclass(frozen=True, slots=True)
class AudioPart:
    """Spoken content: its words. Audio itself is never repeated."""

    type: Literal["input_audio", "output_audio", "audio"]
    transcript: str | None


@dataclass(frozen=True, slots=True)
class ItemShape:
    """A message as it is when it is told."""

    id: str
    status: Status
    role: Literal["user", "assistant", "system"]
    content: tuple[TextPart | AudioPart, ...]


@dataclass(frozen=True, slots=True)
class CallShape:
    """A call of a tool as it is when it is told; `arguments` is JSON text."""

    id: str
    status: Status
    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class CallOutputShape:
    """What a tool gave back."""

    id: str
    status: Status
    call_id: str
    output: str


AnyItemShape = ItemShape | CallShape | CallOutputShape


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a turn; speech units count as audio tokens."""

    text_in: int
    audio_in: int
    text_out: int
    audio_out: int


@dataclass(frozen=True, slots=True)
class StatusDetails:
    """How a response ended."""

    type: Literal["completed", "cancelled", "incomplete", "failed"]
    reason: str | None = None
    error: SpeechServerError | None = None


@dataclass(frozen=True, slots=True)
class ResponseShape:
    """A response as it is when it is told. `conversation_id`: None for one apart from the conversation."""

    id: str
    conversation_id: str | None
    spoken: bool
    max_output_tokens: int | str
    format: WireFormat
    voice: str
    metadata: dict[str, str] | None
    details: StatusDetails | None = None
    output: tuple[AnyItemShape, ...] = ()
    usage: Usage | None = None
    warnings: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionShape:
    """A session as it describes itself; `settings`: what `session.update` may change, as the protocol nests it.

    `recorded`: the server keeps what is said.
    """

    id: str
    expires_at: int
    kind: Literal["realtime", "transcription", "translation"]
    settings: dict[str, Any]
    recorded: bool = False


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How many responses there may be, how many more, and in how many seconds all of them again.

    0 seconds: as soon as those under way are over.
    """

    limit: int
    remaining: int
    reset_seconds: float = 0.0
