"""Cuts text into what is read aloud at a time: a sentence, or less if a sentence is too long."""

from __future__ import annotations

import re
from collections.abc import Iterator

_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")
_SHORTEST = 12
"""Columns below which a sentence is read together with the next: "Dr.", "No."."""
_ENDS = re.compile(r"(?:[。！？…；]+|[.!?;]+(?=[\"'”’)\]」』]*(?:\s|$|[\u2e80-\u9fff])))[\"'”’)\]」』]*\s*|\n\s*")
_PAUSES = re.compile(r"[，、：]|[,:—–](?=\s)|\s")


def columns(text: str) -> int:
    """Width of `text`: a Chinese character takes three columns, about as long to say as three letters."""
    return len(text) + 2 * len(_WIDE.findall(text))


def sentences(text: str, longest: int) -> list[str]:
    """`text` cut behind sentences, and behind a comma or word where one has more than `longest` columns.

    Nothing but space is lost: what is left of it within a piece is single. Empty pieces are left out.
    """
    pieces: list[str] = []
    for sentence in _behind(_ENDS, text):
        if pieces and columns(pieces[-1]) < _SHORTEST and columns(pieces[-1]) + columns(sentence) <= longest:
            pieces[-1] += sentence
        else:
            pieces += _shortened(sentence, longest)
    return [" ".join(piece.split()) for piece in pieces if piece.strip()]


def _behind(mark: re.Pattern[str], text: str) -> Iterator[str]:
    at = 0
    for found in mark.finditer(text):
        yield text[at : found.end()]
        at = found.end()
    if at < len(text):
        yield text[at:]


def _shortened(sentence: str, longest: int) -> list[str]:
    """Pieces of at most `longest` columns, cut at the last pause that fits, if need be within a word."""
    pieces: list[str] = []
    while columns(sentence) > longest:
        most = next(at for at in range(len(sentence)) if columns(sentence[: at + 1]) > longest)
        pauses = [found.end() for found in _PAUSES.finditer(sentence, 0, most)]
        marks = [end for end in pauses if not sentence[end - 1].isspace() and end > most // 2]
        cut = max(1, (marks or pauses or [most])[-1])
        pieces.append(sentence[:cut])
        sentence = sentence[cut:]
    return [*pieces, sentence]
