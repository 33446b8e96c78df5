"""Where an answer is ended that the model does not end itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from streaming.interleave import LMEvent, SpeechChunkDone, TextDelta, UnitsDelta
from streaming.loops import LoopDetector
from streaming.pace import Pace

Runaway = Literal["speech_limit", "repetition"]
"""Speech that had more units than its text can need; text that went round in a circle."""


class AnswerWatch:
    """Lets events of an answer pass until its speech has no text left, or its text goes round. `ended` says which.

    `text`: what is being said; `units`: how much was said of it.

    Speech belongs to the text since the speech chunk before: of interleaved answers to a few words, of those that alternate
    to all text so far. Any split of the units lets the same through.
    """

    def __init__(self, pace: Pace, text: str = "") -> None:
        self._pace = pace
        self.text = text
        self._room = pace.most_units(text)
        self._loop = LoopDetector()
        self.units = 0
        self.ended: Runaway | None = None

    def passed(self, events: Iterable[LMEvent]) -> list[LMEvent]:
        """Those of the next events that are part of the answer."""
        return [kept for event in events if not self.ended and (kept := self._kept(event)) is not None]

    def _kept(self, event: LMEvent) -> LMEvent | None:
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
        return event

    def _spoken(self, event: UnitsDelta) -> UnitsDelta | None:
        units = event.units[: self._room - self.units]
        self.units += len(units)
        if len(units) < len(event.units):
            self.ended = "speech_limit"
        return UnitsDelta(units) if units else None
