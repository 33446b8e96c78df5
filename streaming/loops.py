"""Text that goes round in a circle: what a model writes that has lost its thread."""

from __future__ import annotations

import re

_PIECE = re.compile(
    r"[\u2e80-\u9fff\uac00-\ud7af]|[^\W_\u2e80-\u9fff\uac00-\ud7af]+(?:['’-][^\W_\u2e80-\u9fff\uac00-\ud7af]+)*"
)
_WORDS_OF_A_PHRASE = 4
_MOST_SAID_BEFORE = 32
_NEWS = 4


class LoopDetector:
    """Counts words whose phrase, they and the three before, was said before; a new one takes `_NEWS` off the count.

    A refrain, a sentence said twice, and counting as far as anybody wants bring new words before the count is full. A circle
    of any length, exact or not, never does. Chinese counts by characters. `repeats`: the last whole word ended a phrase that was
    said before.
    """

    def __init__(self) -> None:
        self._open = ""
        self._recent: tuple[str, ...] = ()
        self._said: set[tuple[str, ...]] = set()
        self._count = 0
        self.repeats = False

    def loops(self, delta: str) -> bool:
        """Whether the text goes round since at most this `delta`. Any split of the text gives the same answer at its end."""
        text = self._open + delta
        words = list(_PIECE.finditer(text))
        goes_on = bool(words) and words[-1].end() == len(text)
        self._open = text[words.pop().start() :] if goes_on else ""
        for word in words:
            self._take(word[0].lower())
        return self._count >= _MOST_SAID_BEFORE

    def _take(self, word: str) -> None:
        if self._count >= _MOST_SAID_BEFORE:
            return
        self._recent = (*self._recent, word)[-_WORDS_OF_A_PHRASE:]
        if len(self._recent) < _WORDS_OF_A_PHRASE:
            return
        self.repeats = self._recent in self._said
        if self.repeats:
            self._count += 1
        else:
            self._count = max(0, self._count - _NEWS)
            self._said.add(self._recent)
