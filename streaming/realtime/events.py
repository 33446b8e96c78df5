"""Server events: what a session tells its client, as values. Audio is PCM with its rate; the dialects turn it into text.

Names and fields are those of the protocol (`openai.types.realtime`): `type` of a class is its name on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from streaming.audio import AudioFrame
from streaming.errors import SpeechServerError
from streaming.realtime.server_shapes import (
    AnyItemShape,
    AudioPart,
    RateLimit,
    ResponseShape,
    SessionShape,
    TextPart,
)
from streaming.realtime.translation_events import SessionClosed, SourceText, TranslatedAudio, TranslatedText

# The session


@dataclass(frozen=True, slots=True)
class SessionCreated:
    type: ClassVar = "session.created"
    session: SessionShape


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    type: ClassVar = "session.updated"
    session: SessionShape


@dataclass(frozen=True, slots=True)
class SessionQueued:
    """Not of the protocol: the session waits for a place, and `session.created` follows. `position` 1 is next."""

    type: ClassVar = "session.queued"
    position: int
    estimated_wait_s: float


@dataclass(frozen=True, slots=True)
class Failed:
    """A client event that was refused, or a failure inside the server. `event_id`: of the client's event, if it said one."""

    type: ClassVar = "error"
    error: SpeechServerError
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Resumable:
    """Ours: after a lost connection, `token` opens the session again, for `within_s`."""

    type: ClassVar = "session.resumable"
    token: str
    within_s: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """Ours: the session goes on over this connection. `received`: messages of the client that it has taken in all."""

    type: ClassVar = "session.resumed"
    session: SessionShape
    token: str
    within_s: float
    received: int


@dataclass(frozen=True, slots=True)
class Ending:
    """Ours: the server stops. The session ends when nobody speaks, at most `within_s` from now."""

    type: ClassVar = "session.ending"
    within_s: float


# The input audio buffer


@dataclass(frozen=True, slots=True)
class InputSpeechStarted:
    type: ClassVar = "input_audio_buffer.speech_started"
    audio_start_ms: int
    item_id: str


@dataclass(frozen=True, slots=True)
class InputSpeechStopped:
    type: ClassVar = "input_audio_buffer.speech_stopped"
    audio_end_ms: int
    item_id: str


@dataclass(frozen=True, slots=True)
class InputCommitted:
    type: ClassVar = "input_audio_buffer.committed"
    previous_item_id: str | None
    item_id: str


@dataclass(frozen=True, slots=True)
class InputCleared:
    type: ClassVar = "input_audio_buffer.cleared"


@dataclass(frozen=True, slots=True)
class InputTimeout:
    type: ClassVar = "input_audio_buffer.timeout_triggered"
    audio_start_ms: int
    audio_end_ms: int
    item_id: str


# Items


@dataclass(frozen=True, slots=True)
class ItemAdded:
    type: ClassVar = "conversation.item.added"
    previous_item_id: str | None
    item: AnyItemShape


@dataclass(frozen=True, slots=True)
class ItemDone:
    type: ClassVar = "conversation.item.done"
    previous_item_id: str | None
    item: AnyItemShape


@dataclass(frozen=True, slots=True)
class ItemRetrieved:
    type: ClassVar = "conversation.item.retrieved"
    item: AnyItemShape


@dataclass(frozen=True, slots=True)
class ItemDeleted:
    type: ClassVar = "conversation.item.deleted"
    item_id: str


@dataclass(frozen=True, slots=True)
class ItemTruncated:
    type: ClassVar = "conversation.item.truncated"
    item_id: str
    content_index: int
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class InputTranscriptDelta:
    """What was heard of a recording, as far as it was not told before."""

    type: ClassVar = "conversation.item.input_audio_transcription.delta"
    item_id: str
    content_index: int
    delta: str


@dataclass(frozen=True, slots=True)
class InputTranscriptCompleted:
    """All that was heard of a recording of `seconds`."""

    type: ClassVar = "conversation.item.input_audio_transcription.completed"
    item_id: str
    content_index: int
    transcript: str
    seconds: float


@dataclass(frozen=True, slots=True)
class InputTranscriptFailed:
    type: ClassVar = "conversation.item.input_audio_transcription.failed"
    item_id: str
    content_index: int
    error: SpeechServerError


# Responses


@dataclass(frozen=True, slots=True)
class _InContent:
    """Which part of which item of which response."""

    response_id: str
    output_index: int
    item_id: str
    content_index: int


@dataclass(frozen=True, slots=True)
class ResponseCreated:
    type: ClassVar = "response.created"
    response: ResponseShape


@dataclass(frozen=True, slots=True)
class RateLimitsUpdated:
    type: ClassVar = "rate_limits.updated"
    requests: RateLimit


@dataclass(frozen=True, slots=True)
class OutputItemAdded:
    type: ClassVar = "response.output_item.added"
    response_id: str
    output_index: int
    item: AnyItemShape


@dataclass(frozen=True, slots=True)
class ContentPartAdded(_InContent):
    type: ClassVar = "response.content_part.added"
    part: TextPart | AudioPart


@dataclass(frozen=True, slots=True)
class OutputTextDelta(_InContent):
    type: ClassVar = "response.output_text.delta"
    delta: str


@dataclass(frozen=True, slots=True)
class OutputTranscriptDelta(_InContent):
    type: ClassVar = "response.output_audio_transcript.delta"
    delta: str


@dataclass(frozen=True, slots=True)
class OutputAudioDelta(_InContent):
    """Next audio of the answer, at the decoder's rate."""

    type: ClassVar = "response.output_audio.delta"
    audio: AudioFrame


@dataclass(frozen=True, slots=True)
class OutputAudioDone(_InContent):
    type: ClassVar = "response.output_audio.done"


@dataclass(frozen=True, slots=True)
class OutputTranscriptDone(_InContent):
    type: ClassVar = "response.output_audio_transcript.done"
    transcript: str


@dataclass(frozen=True, slots=True)
class OutputTextDone(_InContent):
    type: ClassVar = "response.output_text.done"
    text: str


@dataclass(frozen=True, slots=True)
class _InCall:
    """Which call of which response."""

    response_id: str
    output_index: int
    item_id: str
    call_id: str


@dataclass(frozen=True, slots=True)
class CallArgumentsDelta(_InCall):
    type: ClassVar = "response.function_call_arguments.delta"
    delta: str


@dataclass(frozen=True, slots=True)
class CallArgumentsDone(_InCall):
    type: ClassVar = "response.function_call_arguments.done"
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ContentPartDone(_InContent):
    type: ClassVar = "response.content_part.done"
    part: TextPart | AudioPart


@dataclass(frozen=True, slots=True)
class OutputItemDone:
    type: ClassVar = "response.output_item.done"
    response_id: str
    output_index: int
    item: AnyItemShape


@dataclass(frozen=True, slots=True)
class ResponseDone:
    type: ClassVar = "response.done"
    response: ResponseShape


# What a transport that plays the audio itself tells of it


@dataclass(frozen=True, slots=True)
class OutputStarted:
    type: ClassVar = "output_audio_buffer.started"
    response_id: str


@dataclass(frozen=True, slots=True)
class OutputStopped:
    type: ClassVar = "output_audio_buffer.stopped"
    response_id: str


@dataclass(frozen=True, slots=True)
class OutputCleared:
    type: ClassVar = "output_audio_buffer.cleared"
    response_id: str


ServerEvent = (
    SessionCreated
    | SessionUpdated
    | SessionQueued
    | Failed
    | Resumable
    | Resumed
    | Ending
    | InputSpeechStarted
    | InputSpeechStopped
    | InputCommitted
    | InputCleared
    | InputTimeout
    | ItemAdded
    | ItemDone
    | ItemRetrieved
    | ItemDeleted
    | ItemTruncated
    | InputTranscriptDelta
    | InputTranscriptCompleted
    | InputTranscriptFailed
    | ResponseCreated
    | RateLimitsUpdated
    | OutputItemAdded
    | ContentPartAdded
    | OutputTextDelta
    | OutputTranscriptDelta
    | OutputAudioDelta
    | OutputAudioDone
    | OutputTranscriptDone
    | OutputTextDone
    | CallArgumentsDelta
    | CallArgumentsDone
    | ContentPartDone
    | OutputItemDone
    | ResponseDone
    | OutputStarted
    | OutputStopped
    | OutputCleared
    | TranslatedText
    | SourceText
    | TranslatedAudio
    | SessionClosed
)


def error_in(event: ServerEvent) -> SpeechServerError | None:
    """The error that the client is told of with `event`."""
    match event:
        case Failed(error) | InputTranscriptFailed(error=error):
            return error
        case ResponseDone(response) if response.details is not None:
            return response.details.error
    return None
