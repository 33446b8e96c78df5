"""From text as people and programs write it to text as a model reads it aloud."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping

from model.reading import english, mandarin
from model.reading.casing import Pieces, closed, restored
from model.reading.markup import text_of
from streaming.spoken import SpokenForm

_IN_WORDS: Mapping[str, Callable[[str], str]] = {"en": english.in_words, "zh": mandarin.in_words}
_HAN = re.compile("[\u3400-\u9fff\U00020000-\U0003ffff]")
_URL = re.compile(
    r"\b(?:https?|ftp)://([^\s<>\"'()/?#:]+)([^\s<>\"'()]*[^\s<>\"'().,!?;:])?|\bwww\.[^\s<>\"'()]*[\w/]", re.IGNORECASE
)
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_SYMBOLS = frozenset("×÷≤≥≈≠±°√∞π€£¥₹₩¢²³")
_UNSAID = re.compile("[^A-Za-z\\s\u3400-\u9fff\U00020000-\U0003ffff',.?!;:，。？！；：—-]")
_DRAWN = re.compile(r"([^\w\s`*_-])\1{3,}")
"""Four marks or more of a kind are a line, or a feeling."""

_SAME = str.maketrans({
    "’": "'", "‘": "'", "ʼ": "'", "´": "'", "…": "... ", "•": ", ", "·": " ", "–": "-", "—": " — ", "―": " — ", "−": "-", "‑": "-",
    "‐": "-", "、": "，", "￥": "¥", "〜": "~", "～": "~", "µ": "μ",
})  # fmt: skip
_LETTERS = re.compile(r"(?<![A-Za-z])[A-Z]{2,}(?![A-Za-z])")
_LONGEST_LETTERS = 5
_END = re.compile(r"(?<![.!?])[.!?]+[\"')\]]*\s+|[。！？]+[”’」』]*\s*")
_LONGEST_PIECE, _LONGEST_HAN = 400, 100
"""Characters: the grammar of Mandarin takes a time that grows faster than its text."""


class Reader:
    """Prepares text for a model that speaks `languages`; the first that is known here is that of digits alone.

    Known are English and Mandarin (`en`, `zh`). For a model of other languages every text stays as it is.
    """

    def __init__(self, languages: Collection[str], pieces: Pieces | None = None) -> None:
        self._languages = tuple(language for language in languages if language in _IN_WORDS)
        self._pieces = pieces

    def spoken(self, text: str) -> SpokenForm:
        """`text` in words; what was left out because it cannot be said, in order. Takes about 0.1 ms a word."""
        if not self._languages:
            return SpokenForm(text)
        text, dropped = text_of(_clean(text))
        text = self._addresses(text, dropped)
        text = self._sayable(text, dropped)
        lines = [self._line(line) for line in _lines(text)]
        return SpokenForm("\n".join(filter(None, lines)), tuple(dict.fromkeys(filter(None, dropped))))

    def _addresses(self, text: str, dropped: list[str]) -> str:
        """Of an address on the web its host, for who would listen to more; all of one of mail."""

        def host(found: re.Match[str]) -> str:
            said = re.sub(r"^(?:https?://|ftp://)?(?:www\.)?", "", found[0], flags=re.IGNORECASE)
            said, slash, path = said.partition("/")
            said, query, rest = said.partition("?")
            if path or rest:
                dropped.append(slash + path or query + rest)
            return self._dotted(said.partition(":")[0])

        text = _URL.sub(host, text)
        return _EMAIL.sub(lambda found: self._dotted(found[0]).replace("@", " at "), text)

    def _dotted(self, name: str) -> str:
        return re.sub(r"\.(?=\w)", " dot ", name).replace("-", " dash ").replace("_", " underscore ")

    def _sayable(self, text: str, dropped: list[str]) -> str:
        """`text` in the scripts of the languages; what is in others goes to `dropped`, run by run."""
        kept, lost = list[str](), ""
        for char in text:
            plain = self._plain(char)
            if plain is None or (lost and not plain):
                lost += char
                continue
            if lost:
                dropped.append(lost)
                lost = ""
                kept.append(" ")
            kept.append(plain)
        if lost:
            dropped.append(lost)
        return "".join(kept)

    def _plain(self, char: str) -> str | None:
        """`char` as it can be read; None where it cannot."""
        if char.isascii() or char in _SYMBOLS:
            return char
        if _HAN.match(char):
            return char if "zh" in self._languages else None
        kind = unicodedata.category(char)
        if kind[0] in "PZ":
            return char if kind[0] == "P" else " "
        if kind[0] == "N" and char.isdigit():
            return str(unicodedata.digit(char))
        if kind[0] == "L":
            return _latin(char)
        return "" if kind in ("Mn", "Me", "Cf") else None

    def _line(self, line: str) -> str:
        said = "".join(self._piece(piece) for piece in _pieces(line))
        said = " ".join(_UNSAID.sub(" ", said).split())
        said = re.sub(r"\s*(?:—|--|(?<=\s)-(?=\s))\s*", ", ", said)
        said = re.sub(r"\s+(?=[,.?!;:，。？！；：])", "", " ".join(said.split()))
        said = re.sub(r"(?<!\.)\.{2,}(?=\s*[a-z])", ",", said)
        said = re.sub(r"([,.?!;:，。？！；：])(?:\s*[,.;:，。；：])+", r"\1", said)
        said = re.sub(r"([!?！？])[!?！？]+", r"\1", said).lstrip(" ,.;:!?，。；：！？、-'")
        return closed(said) if re.search(r"\w", said) else ""

    def _piece(self, piece: str) -> str:
        language = "zh" if _HAN.search(piece) else self._languages[0]
        said = _IN_WORDS[language](restored(piece, self._pieces))
        if piece[-1:].isspace() and not said[-1:].isspace():
            said += " "
        return _LETTERS.sub(self._letters, said)

    def _letters(self, found: re.Match[str]) -> str:
        """Capitals alone are letters, unless they make a word that the model knows, or too long a row."""
        word = found[0]
        if self._pieces is not None and len(word) > 3 and self._pieces(word.lower()) == 1:
            return word.lower()
        return " ".join(word) if len(word) <= _LONGEST_LETTERS else word.capitalize()


def _clean(text: str) -> str:
    """`text` composed (NFKC, so full-width letters and ligatures are the common ones), without marks that nobody sees."""
    text = text.replace("²", "\ue000").replace("³", "\ue001")
    text = unicodedata.normalize("NFKC", text).replace("\ue000", "²").replace("\ue001", "³").replace("⁄", "/")
    text = "".join(char for char in text if char in "\n\t" or unicodedata.category(char) != "Cc").translate(_SAME)
    return _DRAWN.sub(lambda drawn: "..." if drawn[1] == "." else drawn[1], text)


def _latin(char: str) -> str | None:
    """A Latin letter without its accents; None for a letter of another script."""
    if not unicodedata.name(char, "").startswith("LATIN"):
        return None
    plain = unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode() or _LATIN.get(char.lower(), "")
    return plain.capitalize() if char.isupper() else plain


_LATIN = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "th", "þ": "th", "ı": "i", "ħ": "h"}


def _pieces(line: str) -> Iterator[str]:
    """`line` behind its sentences, but not behind abbreviations; none longer than `_LONGEST_PIECE`, in Chinese `_LONGEST_HAN`."""
    at = 0
    ends = (found.end() for found in _END.finditer(line))
    for end in (*(end for end in ends if not english.abbreviated(line, end)), len(line)):
        while at < end:
            most = _LONGEST_HAN if _HAN.search(line, at, min(end, at + _LONGEST_PIECE)) else _LONGEST_PIECE
            cut = end
            if end - at > most:
                cut = max(line.rfind(mark, at + 1, at + most) for mark in " ，；") + 1 or at + most
            yield line[at:cut]
            at = cut


def _lines(text: str) -> Iterator[str]:
    """Lines, joined where a sentence goes on in the next."""
    held = ""
    for line in text.splitlines():
        line = line.strip()
        if held and line and line[0].islower() and held[-1] not in ".!?:;。！？：；":
            held += " " + line
            continue
        yield held
        held = line
    yield held
