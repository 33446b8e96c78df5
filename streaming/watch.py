"""Where an answer, or the transcript before it, is ended that the model does not end itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from streaming.interleave import LMEvent, SpeechChunkDone, TextDelta, TranscriptDelta, TranscriptDone, UnitsDelta
from streaming.loops import LoopDetector
from streaming.pace import Pace
from streaming.stages import RatedIds

Runaway = Literal["speech_limit", "transcript_limit", "repetition"]
"""Speech that had more units than its text can need; a transcript of more than can be said in the time; text that went round."""

_LETTERS, _LETTERS_A_UNIT, _LETTERS_A_SECOND = 24, 4, 48
"""Most letters of a transcript: for any speech, and more for its length. The fastest speech has half as many."""
_LETTERS_OF_A_CHARACTER = 4
_CHARACTER = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")


class TranscriptWatch:
    """Lets a transcript pass until it has more letters than so much speech can have, or half as many and goes round in a circle.

    `units`, `audio_s`: length of the speech, as far as it is known. What repeats something is kept back until something new
    follows it, so that little of a circle passes. Any split of the text lets the same through.
    """

    def __init__(self, units: int, audio_s: float = 0.0) -> None:
        self._most = _LETTERS + max(_LETTERS_A_UNIT * units, _LETTERS_A_SECOND * audio_s)
        self._loop = LoopDetector()
        self._letters = 0
        self._kept_back = ""
        self.ended: Runaway | None = None

    def passed(self, text: str) -> str:
        """What may pass now, with the next `text`."""
        passed = ""
        for character in text:
            if self.ended:
                break
            passed += self._next(character)
        return passed

    def rest(self) -> str:
        """What may still pass at the end of the transcript."""
        rest, self._kept_back = self._kept_back, ""
        return "" if self.ended else rest

    def _next(self, character: str) -> str:
        self._letters += _LETTERS_OF_A_CHARACTER if _CHARACTER.match(character) else character.isalnum()
        if self._loop.loops(character) and 2 * self._letters > self._most:
            self.ended = "repetition"
        elif self._letters > self._most:
            self.ended = "repetition" if self._loop.repeats else "transcript_limit"
        if self.ended or self._loop.repeats:
            self._kept_back += character
            return ""
        return self.rest() + character


class AnswerWatch:
    """Lets events of an answer pass until its speech has no text left, or its text goes round. `ended` says which.

    `text`: what is being said; `units`: how much was said of it; `transcript`: watches that of the question, where there is speech;
    `certainty`: of the least certain token so far.

    Speech belongs to the text since the speech chunk before: of interleaved answers to a few words, of those that alternate
    to all text so far. Any split of the units lets the same through.
    """

    def __init__(self, pace: Pace, text: str = "") -> None:
        self._pace = pace
        self.text = text
        self._room = pace.most_units(text)
        self._loop = LoopDetector()
        self.units = 0
        self.transcript: TranscriptWatch | None = None
        self.certainty: float | None = None
        self.ended: Runaway | None = None

    def passed(self, events: Iterable[LMEvent], ids: Sequence[int] = ()) -> list[LMEvent]:
        """Those of the next events that are part of the answer. `ids`: what they were read from."""
        if isinstance(ids, RatedIds):
            self.certainty = min([1.0 if self.certainty is None else self.certainty, *ids.chances])
        return [kept for event in events if not self.ended for kept in self._kept(event)]

    def finished(self, events: Iterable[LMEvent]) -> list[LMEvent]:
        """The last events, with which the parser closes what is open: all of them, and what of a transcript was kept back."""
        rest = "" if self.transcript is None else self.transcript.rest()
        return [*([TranscriptDelta(rest)] if rest else []), *map(self._rated, events)]

    def _kept(self, event: LMEvent) -> list[LMEvent]:
        if self.transcript is not None and isinstance(event, TranscriptDelta):
            return self._heard(self.transcript.passed(event.text), self.transcript)
        if self.transcript is not None and isinstance(event, TranscriptDone):
            return [*self._heard(self.transcript.rest(), self.transcript), self._rated(event)]
        if isinstance(event, UnitsDelta):
            return self._spoken(event)
        if isinstance(event, TextDelta):
            self.text += event.text
            self._room = self._pace.most_units(self.text)
            if self._loop.loops(event.text):
                self.ended = "repetition"
        elif isinstance(event, SpeechChunkDone):
            self.text, self.units = "", 0
            self._room = self._pace.most_units("")
        return [event]

    def _rated(self, event: LMEvent) -> LMEvent:
        return TranscriptDone(self.certainty) if isinstance(event, TranscriptDone) else event

    def _heard(self, text: str, watch: TranscriptWatch) -> list[LMEvent]:
        self.ended = watch.ended
        return [TranscriptDelta(text)] if text else []

    def _spoken(self, event: UnitsDelta) -> list[LMEvent]:
        units = event.units[: self._room - self.units]
        self.units += len(units)
        if len(units) < len(event.units):
            self.ended = "speech_limit"
        return [UnitsDelta(units)] if units else []
