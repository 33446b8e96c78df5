"""Prompts of models whose answers alternate text and units without markers, such as GLM-4-Voice (see `streaming.alternating`).

Such a model writes no transcript of the question, so a spoken question stays in the history as units.
"""

from __future__ import annotations

from collections.abc import Mapping

from model.prompts import PromptFormat
from model.prompts.interleaved import Piece, Prompts
from streaming.alternating import AlternatingParser
from streaming.interleave import AnswerParser
from streaming.stages import Exchange, Task


class AlternatingPrompts(Prompts):
    """`Prompts` with other answers: no transcript, no marks between text and speech."""

    _unlearned: Mapping[Task, str] = Prompts._unlearned | {"transcribe": "transcribe speech"}  # type: ignore[operator]

    @property
    def keeps_units(self) -> bool:
        """Earlier spoken questions are passed as units."""
        return True

    def parser(self) -> AnswerParser:
        """A parser for one answer."""
        return AlternatingParser(self._unit_of, range(self._plain.size), self._detokenizer())

    def _read_markers(self) -> Mapping[Task, tuple[int, ...]]:
        self._id(self._profile.tokens.speech_start)
        self._id(self._profile.tokens.speech_end)
        return {}

    def _asked(self, exchange: Exchange) -> list[Piece]:
        if not exchange.units:
            return super()._asked(exchange)
        before, after = self._profile.speech_input.split("{units}")
        typed: list[Piece] = [exchange.question, " "] if exchange.question else []
        return [*typed, *self._pieces(before), *self.unit_ids(exchange.units), *self._pieces(after)]


KIND: PromptFormat = AlternatingPrompts
