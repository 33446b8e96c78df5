"""Server events of translation sessions alone, as values: see `events`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from streaming.audio import AudioFrame


@dataclass(frozen=True, slots=True)
class TranslatedText:
    type: ClassVar = "session.output_transcript.delta"
    delta: str
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class SourceText:
    type: ClassVar = "session.input_transcript.delta"
    delta: str
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class TranslatedAudio:
    """Next audio, at the decoder's rate. `last`: the phrase ends with it."""

    type: ClassVar = "session.output_audio.delta"
    audio: AudioFrame
    elapsed_ms: int
    last: bool = False


@dataclass(frozen=True, slots=True)
class SessionClosed:
    type: ClassVar = "session.closed"
