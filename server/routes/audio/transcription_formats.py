"""Response formats of transcriptions and translations: json, text, verbose_json, srt, vtt, or a stream of events."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from server.http.answers import EVENT_STREAM, Sink, warnings
from server.http.sse import server_sent_event
from server.http.usage import Usage
from server.media.utterances import Utterance
from streaming.errors import SpeechServerError
from streaming.interleave import TranscriptDelta
from streaming.report import TurnReport
from streaming.turn import TurnEvent

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


class TranscriptSink(Sink, Protocol):
    """Writes an answer that is one turn for each utterance of a recording."""

    def begin_utterance(self) -> None:
        """What follows is of another utterance."""
        ...

    def finish(self, segments: Sequence[Segment], reports: Sequence[TurnReport]) -> bytes:
        """The last bytes, once all turns are complete."""
        ...


class TranscriptDocument:
    """The whole transcript at the end."""

    def __init__(self, kind: TranscriptFormat, *, task: str, duration_s: float, temperature: float) -> None:
        self.media_type = MEDIA_TYPES[kind]
        self._kind = kind
        self._task = task
        self._duration_s = duration_s
        self._temperature = temperature

    async def write(self, event: TurnEvent) -> bytes:
        """Nothing leaves before the end."""
        return b""

    def begin_utterance(self) -> None:
        """The segments say where one ends."""

    def finish(self, segments: Sequence[Segment], reports: Sequence[TurnReport]) -> bytes:
        return self._document(segments, reports).encode()

    def fail(self, error: SpeechServerError) -> bytes:
        """The document is sent whole or not at all."""
        return b""

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
                return _json({"text": text, "usage": Usage.of(*reports).transcription(), **_warned(reports)})
            case "verbose_json":
                return _json(self._verbose(text, segments) | _warned(reports))

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

    media_type = EVENT_STREAM

    def __init__(self) -> None:
        self._text = ""
        self._is_new_utterance = True

    async def write(self, event: TurnEvent) -> bytes:
        if not isinstance(event, TranscriptDelta):
            return b""
        delta = gap(self._text, event.text) + event.text if self._is_new_utterance else event.text
        self._is_new_utterance = False
        self._text += delta
        return server_sent_event({"type": "transcript.text.delta", "delta": delta})

    def begin_utterance(self) -> None:
        self._is_new_utterance = True

    def finish(self, segments: Sequence[Segment], reports: Sequence[TurnReport]) -> bytes:
        usage = Usage.of(*reports).transcription()
        done = {"type": "transcript.text.done", "text": self._text, "usage": usage}
        return server_sent_event(done | _warned(reports))

    def fail(self, error: SpeechServerError) -> bytes:
        return server_sent_event({"type": "error", "error": error.body()})


def _warned(reports: Sequence[TurnReport]) -> dict[str, Any]:
    """`warnings`, where there are any."""
    found = [warning for report in reports for warning in warnings(report)]
    return {"warnings": found} if found else {}


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False)


def _span(segment: Segment, point: str) -> str:
    return f"{_clock(segment.utterance.start_s, point)} --> {_clock(segment.utterance.end_s, point)}"


def _clock(seconds: float, point: str) -> str:
    whole, ms = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{ms:03}"
