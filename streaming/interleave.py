"""Parses the interleaved chain of modality by token id (arXiv 2604.11096, section 3).

`[question]` TQ `[answer]` TA₁ `<sosp>` SA₁ `<eosp>` TA₂ `<sosp>` SA₂ `<eosp>` …: the transcript of the question, then
text and speech of the answer in turn. The model chooses where each ends; the parser does not enforce it. A malformed stream
loses only the tokens that are invalid at their position, and those are counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

Detokenizer = Callable[[int], str]
"""Text of the next id of one text stream; "" while a character is incomplete."""


@dataclass(frozen=True, slots=True)
class Markers:
    """Ids of the control tokens, resolved from the bundle's own tokenizer."""

    question: int
    answer: int
    speech_start: int
    speech_end: int


@dataclass(frozen=True, slots=True)
class TranscriptDelta:
    """Next piece of what the user said (TQ)."""

    text: str


@dataclass(frozen=True, slots=True)
class TranscriptDone:
    """The transcript is complete. `certainty`: probability of its least probable token, None where nobody tells."""

    certainty: float | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Next piece of the answer's text (TA)."""

    text: str


@dataclass(frozen=True, slots=True)
class UnitsDelta:
    """Next units of the answer's speech (SA), as the decoder takes them: repeats merged where it foretells how long they last."""

    units: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SpeechChunkDone:
    """A speech chunk is complete; text may follow."""


LMEvent = TranscriptDelta | TranscriptDone | TextDelta | UnitsDelta | SpeechChunkDone


class AnswerParser(Protocol):
    """Token ids of one answer to events. Any split of the ids yields the same events, up to joining adjacent deltas.

    `dropped` counts ids that had no place.
    """

    dropped: int

    def feed(self, ids: Iterable[int]) -> list[LMEvent]:
        """Events of the next ids, in order."""
        ...

    def finish(self) -> list[LMEvent]:
        """End of the stream: close whatever is open."""
        ...


class _Part(Enum):
    TRANSCRIPT = auto()
    ANSWER = auto()
    SPEECH = auto()
    LOST = auto()


_LEADING = re.compile(r"[:：]?+\s*+(?=\S)")
_TRAILING = re.compile(r"[;；]?\s*\Z")


class InterleaveParser:
    """Token ids to events. Any split of the ids yields the same events, up to joining adjacent deltas.

    `unit_of` maps token id to speech unit; `detokenizer` makes a decoder for one run of text. `dropped` counts ids that
    had no place: control tokens of speech outside speech, text inside speech, units the decoder does not have, the text of
    a second question.
    """

    def __init__(self, markers: Markers, unit_of: Mapping[int, int], detokenizer: Callable[[], Detokenizer]) -> None:
        self._markers = markers
        self._unit_of = unit_of
        self._new_detokenizer = detokenizer
        self._decode = detokenizer()
        self._part = _Part.ANSWER
        self._held = ""
        self._leading = False
        self._asked = False
        self._last_unit: int | None = None
        self.dropped = 0

    def feed(self, ids: Iterable[int]) -> list[LMEvent]:
        """Events of the next ids, in order."""
        events: list[LMEvent] = []
        for token in ids:
            events += self._step(token)
        return events

    def finish(self) -> list[LMEvent]:
        """End of the stream: close whatever is open."""
        return self._leave()

    def _step(self, token: int) -> list[LMEvent]:
        entered = self._entered_by(token)
        if entered is not None:
            events = self._leave()
            self._part = entered
            self._asked = self._asked or entered is _Part.TRANSCRIPT
            self._leading = token in (self._markers.question, self._markers.answer)
            self._decode = self._new_detokenizer()
            return events
        if self._part is _Part.SPEECH:
            return self._unit(token)
        if self._part is _Part.LOST or token in self._unit_of or token == self._markers.speech_end:
            self.dropped += 1
            return []
        return self._text(self._decode(token))

    def _entered_by(self, token: int) -> _Part | None:
        m = self._markers
        if token == m.question:
            return _Part.LOST if self._asked else _Part.TRANSCRIPT
        if token == m.answer or (token == m.speech_end and self._part is _Part.SPEECH):
            return _Part.ANSWER
        return _Part.SPEECH if token == m.speech_start else None

    def _leave(self) -> list[LMEvent]:
        """Close the part. What is still held is a separator: a colon at its start, or a semicolon or spaces at its end."""
        part, self._part, self._held = self._part, _Part.ANSWER, ""
        if part is _Part.SPEECH:
            return [SpeechChunkDone()]
        if part is _Part.TRANSCRIPT:
            return [TranscriptDone()]
        return []

    def _unit(self, token: int) -> list[LMEvent]:
        unit = self._unit_of.get(token)
        if unit is None:
            self.dropped += 1
            return []
        if unit == self._last_unit:
            return []
        self._last_unit = unit
        return [UnitsDelta((unit,))]

    def _text(self, piece: str) -> list[LMEvent]:
        text, self._held = self._held + piece, ""
        if self._leading:
            found = _LEADING.match(text)
            if found is None:
                self._held = text
                return []
            text, self._leading = text[found.end() :], False
        if self._part is _Part.TRANSCRIPT:
            cut = _TRAILING.search(text)
            keep = cut.start() if cut else len(text)
            text, self._held = text[:keep], text[keep:]
            return [TranscriptDelta(text)] if text else []
        return [TextDelta(text)] if text else []


def joined(events: Iterable[LMEvent]) -> list[LMEvent]:
    """The same events with adjacent deltas of one kind joined: the form in which any two splits are equal."""
    out: list[LMEvent] = []
    for event in events:
        last = out[-1] if out else None
        if isinstance(event, UnitsDelta) and isinstance(last, UnitsDelta):
            out[-1] = UnitsDelta(last.units + event.units)
        elif isinstance(event, TextDelta) and isinstance(last, TextDelta):
            out[-1] = TextDelta(last.text + event.text)
        elif isinstance(event, TranscriptDelta) and isinstance(last, TranscriptDelta):
            out[-1] = TranscriptDelta(last.text + event.text)
        else:
            out.append(event)
    return out
