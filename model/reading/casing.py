"""Words in the case in which a model was trained to read them, where the text says nothing of it."""

from __future__ import annotations

import re
from collections.abc import Callable

_WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)?")
_SHOUTED_SHARE = 0.7
_QUESTION = re.compile(
    r"(?:what|who|whom|whose|where|when|why|how|which|is|are|am|was|were|do|does|did|can|could|would|will|should|shall|"
    r"may (?:i|we|you)|have|has|had)\b|.*\b(?:what|who|where|when|why|how)$",
    re.IGNORECASE,
)
_ASKED = re.compile(r"(?:吗|呢|么|谁|哪里|哪儿|哪个|哪国|多少|几[个岁点天月年]?|怎么样|怎么办|为什么|什么\w{0,4})$")

_NO_NAMES = frozenset(
    "a an the and or but if so of to in on at by for from with as is are was were be been do does did has have had can could "
    "will would shall should may might must not no yes he she it we you they i me him her us them my your his its our their "
    "this that these those there here who whom whose what which when where why how because though although while then than "
    "please hello hi hey thanks thank okay ok goodbye bye sorry good almost also just very tell say repeat translate write "
    "count turn make let put stock wall port march mark exercise testing".split()
)

Pieces = Callable[[str], int]
"""Into how many tokens a word is cut, behind a space. A word is cut least in the case in which training had it most."""


def restored(sentence: str, pieces: Pieces | None) -> str:
    """`sentence` with capitals where it was written without any, or in nothing else."""
    letters = [char for char in sentence if char.isascii() and char.isalpha()]
    capitals = sum(char.isupper() for char in letters)
    words = _WORD.findall(sentence)
    shouted = len(words) > 1 and len(letters) > 5 and capitals > _SHOUTED_SHARE * len(letters)
    if shouted or (letters and not capitals):
        sentence = _WORD.sub(lambda found: _known(found[0].lower(), pieces), sentence)
    return re.sub(r"\bi\b(?=['\s,.?!]|$)", "I", sentence)


def _known(word: str, pieces: Pieces | None) -> str:
    if pieces is None or word in _NO_NAMES:
        return word
    stem, apostrophe, rest = word.partition("'")
    return min((stem, stem.capitalize()), key=lambda form: pieces(form)) + apostrophe + rest


def closed(line: str) -> str:
    """`line` with a capital at the start of each sentence, and a mark at its end."""
    line = line.rstrip(" ,，、:：;；-")
    line = re.sub(r"(^|[.!?。！？]\s+)([a-z])(?![A-Z])", lambda m: m[1] + m[2].upper(), line)
    if not line or line[-1] in ".!?。！？":
        return line
    if "\u3400" <= line[-1] <= "\u9fff":
        return line + ("？" if _ASKED.search(line) else "。")
    last = re.split(r"[.!?。！？]\s*", line)[-1]
    return line + ("?" if _QUESTION.match(last) else ".")
