"""Cuts an answer into the segments that are spoken one by one (interleaved chain of modality, arXiv 2604.11096, section 3).

Segments have 7 words, moved to punctuation. Differs: the paper does not say how far a cut may move. Here it is at most three words
either way, to the nearest mark and the earlier of two, so that the first segment is short and speech can start early.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

SEGMENT_WORDS = 7
REACH_WORDS = 3
_MARK = re.compile(r"[,.!?;:，。！？；：、]$")
_HAN = re.compile("[\u4e00-\u9fff]")


def segments(text: str) -> list[str]:
    """`text` in pieces; joined they give `text` again (later English pieces start with their space)."""
    words = _words(text)
    pieces: list[str] = []
    while words:
        cut = _cut(words)
        pieces.append("".join(words[:cut]))
        words = words[cut:]
    return pieces


def _cut(words: list[str]) -> int:
    """How many words the next segment takes."""
    if len(words) <= SEGMENT_WORDS + REACH_WORDS and not _marks(words[:-1]):
        return len(words)
    near = [n for n in _marks(words) if abs(n - SEGMENT_WORDS) <= REACH_WORDS]
    cut = min(near, key=lambda n: (abs(n - SEGMENT_WORDS), n), default=SEGMENT_WORDS)
    return len(words) if len(words) - cut < 2 else cut


def _marks(words: list[str]) -> list[int]:
    """Segment lengths that end at punctuation."""
    return [n for n, word in enumerate(words, start=1) if _MARK.search(word)]


def _words(text: str) -> list[str]:
    """Words with their leading space and trailing punctuation; Chinese by jieba."""
    if not _HAN.search(text):
        return re.findall(r"\s*\S+", text)
    words: list[str] = []
    for token in chinese_words(text):
        if words and (not re.search(r"\w", token) or not token.strip()):
            words[-1] += token
        else:
            words.append(token)
    return words


def chinese_words(text: str) -> list[str]:
    """`text` cut into words of the dictionary, marks apart."""
    return [str(word) for word in _jieba().lcut(text, HMM=False)]


@cache
def _jieba() -> Any:
    """Loads the dictionary, quietly: what jieba imports is deprecated, and it leaves its cache file open."""
    import logging
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import jieba

        jieba.setLogLevel(logging.ERROR)
        jieba.initialize()
    return jieba
