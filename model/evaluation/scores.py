"""Compares texts: errors per word or syllable, right answers, and the language of a text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from model.training.edit_distance import distance
from model.training.written_numbers import spell_english, spell_mandarin

_HAN = "\u4e00-\u9fff"
_CONTRACTIONS = (
    (r"\bwon't\b", "will not"), (r"\bcan't\b|\bcannot\b", "can not"), (r"\blet's\b", "let us"), (r"n't\b", " not"),
    (r"'re\b", " are"), (r"'s\b", " is"), (r"'d\b", " would"), (r"'ll\b", " will"), (r"'ve\b", " have"), (r"'m\b", " am"),
)  # fmt: skip
"""As the normalizer of the Whisper paper has them (arXiv 2212.04356, appendix C): a recognizer writes one for the other."""


def words(text: str, language: str) -> list[str]:
    """What speech is judged by: Mandarin syllables without tone (a recognizer writes homophones), else words, numbers spelt out."""
    if language == "zh":
        from pypinyin import lazy_pinyin

        return list(lazy_pinyin("".join(re.findall(f"[{_HAN}]", spell_mandarin(simplified(text))))))
    return plain(text) if language == "en" else re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())


def plain(text: str) -> list[str]:
    """What writing is judged by: words and single Chinese characters, small, unpunctuated; numbers and contractions spelt out."""
    chinese = re.search(f"[{_HAN}]", text)
    text = spell_mandarin(text) if chinese else spell_english(_whole(text)).replace("-", " ")
    return re.findall(f"[{_HAN}]|[^\\W\\d_{_HAN}]+", text.lower().replace("'", ""))


def _whole(text: str) -> str:
    text = text.lower().replace("’", "'")
    for short, whole in _CONTRACTIONS:
        text = re.sub(short, whole, text)
    return text


def simplified(text: str) -> str:
    """Traditional characters in their simplified form; unchanged where the package is missing: pinyin is nearly the same."""
    try:
        import zhconv
    except ImportError:
        return text
    return str(zhconv.convert(text, "zh-cn"))


def errors(got: str, meant: str, language: str) -> tuple[int, int]:
    """(errors, words or syllables meant) of one utterance: counts to add up over a set."""
    want = words(meant, language)
    return distance(words(got, language), want), len(want)


def written_errors(got: str, meant: str) -> tuple[int, int]:
    """(errors, words or characters meant) of one text."""
    want = plain(meant)
    return distance(plain(got), want), len(want)


def error_rate(pairs: Sequence[tuple[str, str]], language: str) -> float:
    """Errors per word (syllable) over pairs of (heard, meant)."""
    counts = [errors(heard, meant, language) for heard, meant in pairs]
    return sum(wrong for wrong, _ in counts) / max(1, sum(of for _, of in counts))


def right(answered: str, answers: Sequence[str]) -> bool | None:
    """Whether a text is one of the right answers, word for word; None without an answer to compare with."""
    return any(plain(answered) == plain(answer) for answer in answers) if answers else None


def heard_right(understood: str, answers: Sequence[str], language: str) -> bool | None:
    """Whether what a recognizer understood is one of the right answers: exactly, in Mandarin by syllables without tone."""
    return any(words(understood, language) == words(answer, language) for answer in answers) if answers else None


def written_language(text: str) -> str | None:
    """The script that most of a text is in, counting a Chinese character like a word: "zh", "en", or None for neither."""
    chinese, latin = len(re.findall(f"[{_HAN}]", text)), len(re.findall(r"[A-Za-z]{2,}", text))
    if not chinese and not latin:
        return None
    return "zh" if chinese >= latin else "en"
