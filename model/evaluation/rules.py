"""Rules by which an answer to an open question is judged, and no model: anybody who reads the data can repeat them.

A row names `keep`, the words without which its question is another one, and `sense`, what an answer to it speaks of. Both
are lists of groups; of every group one alternative must be there, at the beginning of a word. Every Chinese character is a word
here. Numbers and contractions are spelt out, case and marks do not count.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.evaluation.scores import plain, written_language
from model.training.backbone.filters import loops
from model.training.backbone.instructed import MANNERS, core

Groups = Sequence[Sequence[str]]
LONGEST = {"en": 60, "zh": 90}
"""Words and characters of an answer to an open question: more is no spoken answer."""


def has_all(text: str, groups: Groups) -> bool:
    """Whether of every group an alternative is in `text`."""
    words = plain(text)
    return all(any(_has(words, plain(alternative)) for alternative in group) for group in groups)


def _has(words: Sequence[str], wanted: Sequence[str]) -> bool:
    *whole, last = wanted
    for at in range(len(words) - len(wanted) + 1):
        if list(words[at : at + len(whole)]) == whole and words[at + len(whole)].startswith(last):
            return True
    return False


def understood(transcript: str, keep: Groups) -> bool:
    """Whether a transcript keeps what its question is about."""
    return has_all(transcript, keep)


def sensible(text: str, language: str, sense: Groups) -> bool:
    """Whether an answer is in the language asked for, short enough to be spoken, without a loop, and speaks of what was asked."""
    length = len(plain(text))
    right_language = written_language(text) == language or _names_foreign_word(text, sense)
    return right_language and 0 < length <= LONGEST.get(language, 60) and not loops(text) and has_all(text, sense)


def _names_foreign_word(text: str, sense: Groups) -> bool:
    """An answer may be the very word of the other language that was asked for, such as 谢谢."""
    return any(written_language(alternative) == written_language(text) for group in sense for alternative in group)


def says(text: str, sense: Groups) -> bool:
    """Whether an answer of a closed world names one of the right things and no other: "It is Paris.", or "Paris."."""
    return any(plain(core(text) or text) == plain(alternative) for group in sense for alternative in group)


def obeys(text: str, language: str, manner: str) -> bool:
    """Whether an answer is as an instruction of this manner wants it; `name` is judged by what the answer speaks of."""
    return manner == "name" or MANNERS[manner].obeyed(text, language)  # type: ignore[arg-type]
