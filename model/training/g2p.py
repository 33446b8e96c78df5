"""Text to phonetic units: the one inventory that encoder, language model and vocoder share.

English phones are the Kokoro/misaki symbols without stress (`æ`, `A` for eɪ, `ʤ` …). A Mandarin syllable is an initial (`zh_`) and
a final that carries the tone (`ang1`; 5 is neutral): a tone symbol of its own is confused far more often than a toned final.
`sil` is a pause. Consecutive repeats are merged, as in arXiv 2604.11096 section 3.

    >>> to_units("Hello, world.")            # names; `UNIT_ID[name]` is the id, written `<id>` in the LM's sequence
    ['h', 'ə', 'l', 'O', 'sil', 'w', 'ɜ', 'ɹ', 'l', 'd']

Text may mix both languages; runs of Chinese characters are read as Mandarin, everything else as English. The same text always gives
the same units. espeak-ng (through phonemizer), pypinyin and jieba are needed, at training time only, and are imported on first use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from model.training.segments import chinese_words
from model.training.written_numbers import spell_english, spell_mandarin

SIL = "sil"
ENGLISH_PHONES = tuple("AIOWYæɑɔəɛɜiɪʊʌubdfɡhjklmnŋpɹsʃtθvwzʒðʤʧɾ")
INITIALS = ("b", "p", "m", "f", "d", "t", "n", "l", "g", "k", "h", "j", "q", "x", "zh", "ch", "sh", "r", "z", "c", "s")
FINALS = (
    "a",
    "ai",
    "an",
    "ang",
    "ao",
    "e",
    "ei",
    "en",
    "eng",
    "er",
    "i",
    "ih",
    "ia",
    "ian",
    "iang",
    "iao",
    "ie",
    "in",
    "ing",
    "iong",
    "iou",
    "ong",
    "ou",
    "u",
    "ua",
    "uai",
    "uan",
    "uang",
    "uei",
    "uen",
    "ueng",
    "uo",
    "v",
    "ve",
    "van",
    "vn",
)
INVENTORY: tuple[str, ...] = (
    SIL,
    *ENGLISH_PHONES,
    *(f"{initial}_" for initial in INITIALS),
    *(f"{final}{tone}" for final in FINALS for tone in range(1, 6)),
)
UNIT_ID: dict[str, int] = {name: i for i, name in enumerate(INVENTORY)}
ENGLISH_IDS = frozenset(UNIT_ID[p] for p in ENGLISH_PHONES)


@dataclass(frozen=True, slots=True)
class Phonetic:
    """Units of a text and the teacher's (Kokoro's) phoneme string, with the characters of it that each unit covers.

    units: names, pauses at punctuation included, repeats merged, not trimmed; teacher: phoneme string with stress, spaces and
    punctuation; spans: for each unit a half-open range [start, end) of `teacher`. Spaces belong to no unit.
    """

    units: tuple[str, ...]
    teacher: str
    spans: tuple[tuple[int, int], ...]


def to_units(text: str, *, trim: bool = True) -> list[str]:
    """Unit names of `text`; with `trim` the pauses at both ends are dropped, as the encoder drops them."""
    units = list(phonetic(text).units)
    if trim:
        while units and units[0] == SIL:
            units.pop(0)
        while units and units[-1] == SIL:
            units.pop()
    return units


def to_ids(text: str, *, trim: bool = True) -> list[int]:
    """Unit ids of `text`, see `to_units`."""
    return [UNIT_ID[u] for u in to_units(text, trim=trim)]


def merge(units: Iterable[Any]) -> list[Any]:
    """`units` without consecutive repeats."""
    merged: list[Any] = []
    for unit in units:
        if not merged or merged[-1] != unit:
            merged.append(unit)
    return merged


def is_tone_unit(name: str) -> bool:
    """Whether `name` is a Mandarin final."""
    return name[-1].isdigit()


def toneless(name: str) -> str:
    """`name` without its tone digit."""
    return name[:-1] if is_tone_unit(name) else name


@lru_cache(maxsize=200_000)
def phonetic(text: str) -> Phonetic:
    """Units, teacher phonemes and spans of `text`."""
    builder = _Builder()
    for run in _HAN_RUN.findall(_punctuation(text)):
        if _HAN.match(run[0]):
            _read_mandarin(run, builder)
        elif _HAN.search(text) and not re.search("[A-Za-z]", run):
            _read_mandarin(run, builder)  # digits and punctuation inside Chinese text
        else:
            _read_english(run, builder)
    return builder.build()


class _Builder:
    """Collects units with their spans in the teacher's string."""

    def __init__(self) -> None:
        self.teacher = ""
        self.units: list[tuple[str, int, int]] = []

    def unit(self, name: str, phonemes: str) -> None:
        start = len(self.teacher)
        self.teacher += phonemes
        if self.units and self.units[-1][0] == name:
            name, start, _ = self.units.pop()
        self.units.append((name, start, len(self.teacher)))

    def pause(self, mark: str) -> None:
        if not self.teacher.strip():
            return
        self.teacher = self.teacher.rstrip(" ")
        self.unit(SIL, mark)
        self.teacher += " "

    def space(self) -> None:
        if self.teacher and not self.teacher.endswith(" "):
            self.teacher += " "

    def build(self) -> Phonetic:
        names = tuple(u[0] for u in self.units)
        return Phonetic(names, self.teacher.rstrip(" "), tuple((s, e) for _, s, e in self.units))


# --- punctuation

_HAN = re.compile("[\u4e00-\u9fff]")
_HAN_RUN = re.compile(
    "[\u4e00-\u9fff0-9.,!?;:% +×÷=-]*[\u4e00-\u9fff][\u4e00-\u9fff0-9.,!?;:% +×÷=-]*|[^\u4e00-\u9fff]+"
)
_MARKS = {
    "，": ", ",
    "、": ", ",
    "。": ". ",
    "．": ". ",
    "！": "! ",
    "？": "? ",
    "：": ": ",
    "；": "; ",
    "…": "... ",
    "—": ", ",
}
_MARKS |= {"’": "'", "‘": "'", "–": "-", "−": "-", "‑": "-"}
_DROP = re.compile('["“”«»《》「」『』【】（）()\\[\\]{}*_~`^|<>#\\\\]')


def _punctuation(text: str) -> str:
    for old, new in _MARKS.items():
        text = text.replace(old, new)
    text = _DROP.sub(" ", text)
    return re.sub(r"\s+", " ", text).strip()


# --- English

# espeak-ng's en-us with ties to the teacher's symbols (after misaki's E2M table, Apache-2.0), longest first
_ESPEAK = (
    ("ʔˌn\u0329", "tn"), ("ʔn\u0329", "tn"), ("a^ɪ", "I"), ("a^ʊ", "W"), ("d^ʒ", "ʤ"), ("e^ɪ", "A"), ("t^ʃ", "ʧ"), ("ɔ^ɪ", "Y"),
    ("o^ʊ", "O"), ("ə^l", "əl"), ("aɪ", "I"), ("aʊ", "W"), ("dʒ", "ʤ"), ("eɪ", "A"), ("tʃ", "ʧ"), ("ɔɪ", "Y"), ("oʊ", "O"), ("ʲo", "jo"), ("ʲə", "jə"),
    ("ʲ", ""), ("ɜːɹ", "ɜɹ"), ("ɜː", "ɜɹ"), ("ɝ", "ɜɹ"), ("ɚ", "əɹ"), ("ɪə", "iə"), ("e", "A"), ("r", "ɹ"), ("x", "k"), ("ç", "k"),
    ("ɐ", "ə"), ("ɬ", "l"), ("\u0303", ""), ("\u0329", ""), ("ː", ""), ("o", "ɔ"), ("ʔ", "t"), ("a", "ɑ"), ("ɒ", "ɑ"), ("g", "ɡ"), ("^", ""),
)  # fmt: skip
_TEACHER = {"ɾ": "T"}  # the teacher's own letter for the flap; "ᵻ" it keeps
_UNIT = {"ᵻ": "ɪ", "ᵊ": "ə"}
_PAUSE_MARKS = frozenset(",.!?;:")


@cache
def _espeak() -> Any:
    import espeakng_loader
    from phonemizer.backend import EspeakBackend
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    return EspeakBackend(
        language="en-us", preserve_punctuation=False, with_stress=True, tie="^", language_switch="remove-flags"
    )


@lru_cache(maxsize=200_000)
def _espeak_phrase(phrase: str) -> str:
    phones = _espeak().phonemize([phrase])
    text: str = phones[0].strip() if phones else ""
    for old, new in _ESPEAK:
        text = text.replace(old, new)
    return text


def _read_english(text: str, out: _Builder) -> None:
    text = re.sub(r"\.{2,}", ". ", spell_english(text))
    text = re.sub(r"\b([A-Za-z])\.(?=[A-Za-z]\b)", r"\1 ", text)
    for phrase, mark in re.findall(r"([^,.!?;:]*)([,.!?;:]*)", text):
        if re.search("[A-Za-z]", phrase):
            _read_phrase(_espeak_phrase(phrase.strip().replace("-", " ")), out)
        if mark:
            out.pause(mark[0])


def _read_phrase(phones: str, out: _Builder) -> None:
    out.space()
    stress = ""
    for char in phones:
        if char in "ˈˌ":
            stress = char
        elif char == " ":
            out.space()
        elif (name := _UNIT.get(char, char)) in UNIT_ID:
            out.unit(name, stress + _TEACHER.get(char, char))
            stress = ""


# --- Mandarin

# initials and finals in the teacher's symbols (after misaki's transcription of pinyin-to-ipa, MIT)
_INITIAL_IPA = {
    "b": "p", "c": "ʦʰ", "ch": "\uab67ʰ", "d": "t", "f": "f", "g": "k", "h": "x", "j": "ʨ", "k": "kʰ", "l": "l", "m": "m", "n": "n", "p": "pʰ", "q": "ʨʰ", "r": "ɻ", "s": "s",
    "sh": "ʂ", "t": "tʰ", "x": "ɕ", "z": "ʦ", "zh": "\uab67",
}  # fmt: skip
_FINAL_IPA = {
    "a": "a0", "ai": "ai0", "an": "a0n", "ang": "a0ŋ", "ao": "au0", "e": "ɤ0", "ei": "ei0", "en": "ə0n", "eng": "ə0ŋ", "er": "ɚ0", "i": "i0", "ih": "ɨ0", "ia": "ja0",
    "ian": "jɛ0n", "iang": "ja0ŋ", "iao": "jau0", "ie": "je0", "iou": "jou0", "ing": "i0ŋ", "iong": "jʊ0ŋ", "ong": "ʊ0ŋ", "ou": "ou0", "u": "u0", "uei": "wei0",
    "ua": "wa0", "uai": "wai0", "uan": "wa0n", "uen": "wə0n", "uang": "wa0ŋ", "ueng": "wə0ŋ", "uo": "wo0", "v": "y0", "ve": "ɥe0", "van": "ɥɛ0n", "vn": "y0n",
}  # fmt: skip
_FINAL_IPA["in"] = "i0n"
_TONE_IPA = {1: "→", 2: "↗", 3: "↓", 4: "↘", 5: ""}
_FULL_ER = frozenset(["女儿", "婴儿", "幼儿", "少儿", "胎儿", "孤儿", "儿女", "男儿"])
_NUMERALS = frozenset("零一二三四五六七八九十百千万亿两第点")


def _read_mandarin(text: str, out: _Builder) -> None:
    text = re.sub(r"\.{2,}", ". ", spell_mandarin(text))
    for phrase, mark in re.findall(r"([^,.!?;:]*)([,.!?;:]*)", text):
        for word in mandarin_syllables("".join(_HAN.findall(phrase))):
            out.space()
            for initial, final, tone in word:
                if initial:
                    out.unit(f"{initial}_", _INITIAL_IPA[initial])
                out.unit(f"{final}{tone}", _FINAL_IPA[final].replace("0", _TONE_IPA[tone]))
        if mark:
            out.pause(mark[0])


@lru_cache(maxsize=200_000)
def mandarin_syllables(phrase: str) -> tuple[tuple[tuple[str, str, int], ...], ...]:
    """Words of (initial or "", final, tone as spoken) for a run of Chinese characters, tone sandhi applied.

    Third tones: within a word from left to right, then across neighbouring words; 不 and 一 by the following tone, except 一 as a digit.
    """
    if not phrase:
        return ()
    words = chinese_words(phrase)
    syllables = [[_syllable(p) for p in _pinyin(w)] for w in words]
    flat = [s for word in syllables for s in word]
    tones = _sandhi("".join(words), [t for _, _, t in flat], [len(w) for w in words])
    read, at = [], 0
    for word in syllables:
        read.append(tuple((i, f, tones[at + k]) for k, (i, f, _) in enumerate(word)))
        at += len(word)
    return tuple(read)


def _pinyin(word: str) -> list[str]:
    from pypinyin import Style, lazy_pinyin

    pinyin = lazy_pinyin(
        word, style=Style.TONE3, neutral_tone_with_five=True, v_to_u=False, errors=lambda x: ["a5"] * len(x)
    )
    if len(word) > 1 and word[-1] == "儿" and word not in _FULL_ER:
        pinyin[-1] = "er5"
    return pinyin


def _syllable(pinyin: str) -> tuple[str, str, int]:
    """("zh", "ang", 1) of "zhang1"; finals in full (iou, uei, uen), ü as v, the apical vowel of zi/zhi as ih."""
    from pypinyin.contrib.tone_convert import to_finals, to_initials

    plain, tone = pinyin[:-1], int(pinyin[-1])
    plain = {"n": "en", "ng": "eng", "m": "mu", "hm": "heng", "hng": "heng", "ê": "ei", "yo": "yao"}.get(plain, plain)
    initial: str = to_initials(plain, strict=True)
    final: str = to_finals(plain, strict=True).replace("ü", "v")
    final = {"o": "uo", "io": "uo", "": "e", "ê": "ei"}.get(final, final)
    if final == "i" and initial in {"zh", "ch", "sh", "r", "z", "c", "s"}:
        final = "ih"
    return initial, final if final in _FINAL_IPA else "e", tone


def _sandhi(chars: str, tones: list[int], lengths: list[int]) -> list[int]:
    tones = list(tones)
    for i, char in enumerate(chars):
        after = tones[i + 1] if i + 1 < len(chars) else 0
        if char == "不" and tones[i] != 5:
            tones[i] = 2 if after == 4 else 4
        elif char == "一" and after and not _is_digit_one(chars, i):
            tones[i] = {4: 2, 5: 2}.get(after, 4)
    start = 0
    for length in lengths:  # within words
        for i in range(start, start + length - 1):
            if tones[i] == tones[i + 1] == 3:
                tones[i] = 2
        start += length
    start = 0
    for length in lengths[:-1]:  # across words
        start += length
        if tones[start - 1] == tones[start] == 3:
            tones[start - 1] = 2
    return tones


def _is_digit_one(chars: str, i: int) -> bool:
    before, after = chars[i - 1 : i], chars[i + 1]
    if before == "第" or (before and before in "零二三四五六七八九十"):
        return True
    return after in "月号日楼零二三四五六七八九加减乘等" or (
        (before == "一") != (after == "一") and before in _NUMERALS
    )
