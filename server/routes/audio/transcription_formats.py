"""Answers of /v1/audio/transcriptions and /v1/audio/translations: json, text, verbose_json, srt, vtt, or a stream of events."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from server.media.utterances import Utterance
from server.routes.speech.answers import Outgoing
from streaming.errors import SpeechServerError
from streaming.interleave import TranscriptDelta
from streaming.turn import TurnEvent, TurnReport

TranscriptFormat = Literal["json", "text", "verbose_json", "srt", "vtt"]

MEDIA_TYPES: dict[TranscriptFormat, str] = {
    "json": "application/json",
    "text": "text/plain; charset=utf-8",
    "verbose_json": "application/json",
    "srt": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_NO_SPACE = re.compile(r"[\u3000-\u9fff\uff00-\uffef]")
LANGUAGES = {"en": "english", "zh": "chinese"}


@dataclass(frozen=True, slots=True)
class Segment:
    """One utterance, written down."""

    utterance: Utterance
    text: str


def language_of(text: str) -> str:
    """`zh` if there is a Chinese character in it, else `en`: by its script, which is all that the model tells."""
    return "zh" if _CHINESE.search(text) else "en"


def gap(before: str, after: str) -> str:
    """What stands between two utterances: a space, but none at a Chinese one."""
    return "" if not before or not after or (_NO_SPACE.match(before[-1]) and _NO_SPACE.match(after[0])) else " "


def joined(texts: Sequence[str]) -> str:
    """Utterances as one text."""
    whole = ""
    for text in texts:
        whole += gap(whole, text) + text
    return whole


class TranscriptDocument:
    """The whole transcript at the end."""

    def __init__(
        self, out: Outgoing, kind: TranscriptFormat, *, task: str, duration_s: float, temperature: float
    ) -> None:
        self._out = out
        self._kind = kind
        self._task = task
        self._duration_s = duration_s
        self._temperature = temperature

    async def write(self, event: TurnEvent) -> None:
        """Nothing leaves before the end."""

    async def segment(self, segment: Segment) -> None:
        """Nor behind an utterance."""

    async def end(self, segments: Sequence[Segment], reports: Sequence[TurnReport]) -> None:
        """Send it."""
        await self._out.send(self._document(segments, reports).encode(), last=True)

    async def fail(self, error: SpeechServerError) -> None:
        """Unreachable but for a client that stalls: nothing more can be said."""

    def _document(self, segments: Sequence[Segment], reports: Sequence[TurnReport]) -> str:
        text = joined([segment.text for segment in segments])
        match self._kind:
            case "text":
                return text + "\n"
            case "srt":
                return "".join(
                    f"{number}\n{_span(segment, ',')}\n{segment.text}\n\n" for number, segment in enumerate(segments, 1)
                )
            case "vtt":
                return "WEBVTT\n\n" + "".join(f"{_span(segment, '.')}\n{segment.text}\n\n" for segment in segments)
            case "json":
                return _json({"text": text, "usage": token_usage(reports)})
            case "verbose_json":
                return _json(self._verbose(text, segments))

    def _verbose(self, text: str, segments: Sequence[Segment]) -> dict[str, Any]:
        return {
            "task": self._task,
            "language": LANGUAGES[language_of(text)],
            "duration": round(self._duration_s, 3),
            "text": text,
            "segments": [self._detail(number, segment) for number, segment in enumerate(segments)],
            "usage": {"type": "duration", "seconds": round(self._duration_s, 3)},
        }

    def _detail(self, number: int, segment: Segment) -> dict[str, Any]:
        """All members that OpenAI's type has; what this model does not measure is 0 or empty (docs/api.md)."""
        data = segment.text.encode()
        return {
            "id": number,
            "seek": round(segment.utterance.start_s * 100),
            "start": round(segment.utterance.start_s, 3),
            "end": round(segment.utterance.end_s, 3),
            "text": segment.text,
            "tokens": [],
            "temperature": self._temperature,
            "avg_logprob": 0.0,
            "compression_ratio": round(len(data) / len(zlib.compress(data)), 3),
            "no_speech_prob": 0.0,
        }


class TranscriptEvents:
    """Server-sent events of OpenAI's types: `transcript.text.delta`, and at the end `transcript.text.done`."""

    def __init__(self, out: Outgoing) -> None:
        self._out = out
        self._text = ""
        self._begun = False

    async def write(self, event: TurnEvent) -> None:
        if isinstance(event, TranscriptDelta):
            delta = event.text if self._begun else gap(self._text, event.text) + event.text
            self._begun = True
            self._text += delta
            await self._out.send(_event({"type": "transcript.text.delta", "delta": delta}))

    async def segment(self, segment: Segment) -> None:
        """The next delta begins a new utterance."""
        self._begun = False

    async def end(self, segments: Sequence[Segment], reports: Sequence[TurnReport]) -> None:
        done = {"type": "transcript.text.done", "text": self._text, "usage": token_usage(reports)}
        await self._out.send(_event(done), last=True)

    async def fail(self, error: SpeechServerError) -> None:
        await self._out.send(_event({"type": "error", "error": error.body()}), last=True)


def token_usage(reports: Sequence[TurnReport]) -> dict[str, Any]:
    """Tokens of all turns; speech units count as audio tokens."""
    heard = sum(report.input_units for report in reports)
    read, written = sum(report.input_tokens for report in reports), sum(report.output_tokens for report in reports)
    return {
        "type": "tokens",
        "input_tokens": read,
        "output_tokens": written,
        "total_tokens": read + written,
        "input_token_details": {"audio_tokens": heard, "text_tokens": read - heard},
    }


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {_json(data)}\n\n".encode()


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False)


def _span(segment: Segment, point: str) -> str:
    return f"{_clock(segment.utterance.start_s, point)} --> {_clock(segment.utterance.end_s, point)}"


def _clock(seconds: float, point: str) -> str:
    whole, ms = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{ms:03}"
