"""How much speech a text can need. What goes beyond is no speech of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORD = re.compile(r"[^\W\d_\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]+")
_CHARACTER = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
_DIGIT = re.compile(r"\d")
_SYMBOL = re.compile(r"[^\w\s.,;:!?'\"()。，、；：！？“”‘’（）《》…—-]")
_LETTERS_OF_A_NAMED_LETTER, _LETTERS_OF_A_DIGIT, _LETTERS_OF_A_SYMBOL = 4, 8, 10


def letters(text: str) -> int:
    """Letters of the alphabet that `text` has when it is written out: a single one has a name, a digit and a symbol are words."""
    words = _WORD.findall(text)
    named = sum(len(word) == 1 for word in words)
    written = sum(map(len, words)) + (_LETTERS_OF_A_NAMED_LETTER - 1) * named
    symbols = len(_SYMBOL.findall(_CHARACTER.sub("", text)))
    return written + _LETTERS_OF_A_DIGIT * len(_DIGIT.findall(text)) + _LETTERS_OF_A_SYMBOL * symbols


@dataclass(frozen=True, slots=True)
class Pace:
    """The most units that speech has: `units` for any, and more for each letter of an alphabet, and each Chinese character.

    In units as the decoder takes them, pauses and a margin included: a bundle knows its own rate. The defaults are beyond
    the slowest speech at 25 units a second.
    """

    units: int = 30
    per_letter: float = 8.0
    per_character: float = 24.0

    def most_units(self, text: str) -> int:
        """No speech of `text` has more units."""
        spoken = self.per_letter * letters(text) + self.per_character * len(_CHARACTER.findall(text))
        return self.units + int(spoken)
