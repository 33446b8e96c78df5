"""Parses answers that alternate text and speech without markers, by token id (GLM-4-Voice, arXiv 2412.02612 section 3.2).

13 tokens of text, 26 units, 13 tokens of text, and so on; units alone once the text is over. The model decides the numbers, and
the parser does not enforce them. The text is ahead of the speech, and no end of speech lies inside it: all speech is one chunk.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from streaming.interleave import Detokenizer, LMEvent, SpeechChunkDone, TextDelta, UnitsDelta


class AlternatingParser:
    """Token ids to events. Any split of the ids yields the same events, up to joining adjacent deltas.

    `unit_of` maps token id to speech unit; `text`: ids that are text; `detokenize` decodes them as one run, for a character may
    begin before units and end behind them. `dropped` counts all other ids: control tokens, and units the decoder does not have.
    """

    def __init__(self, unit_of: Mapping[int, int], text: Container[int], detokenize: Detokenizer) -> None:
        self._unit_of = unit_of
        self._text = text
        self._detokenize = detokenize
        self._spoken = False
        self.dropped = 0

    def feed(self, ids: Iterable[int]) -> list[LMEvent]:
        """Events of the next ids, in order."""
        events: list[LMEvent] = []
        for token in ids:
            unit = self._unit_of.get(token)
            if unit is not None:
                self._spoken = True
                events.append(UnitsDelta((unit,)))
            elif token not in self._text:
                self.dropped += 1
            elif text := self._detokenize(token):
                events.append(TextDelta(text))
        return events

    def finish(self) -> list[LMEvent]:
        """End of the stream: the speech is over, if there was any."""
        ended, self._spoken = self._spoken, False
        return [SpeechChunkDone()] if ended else []
