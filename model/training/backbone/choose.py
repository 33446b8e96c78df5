"""Which tokens of a text model are kept, and where the rows of the new ones start."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from model.backbone.vocabulary import Description, closed
from model.training.facts import CAPITALS
from model.training.g2p import ENGLISH_PHONES, INVENTORY, SIL

MANDARIN_WORDS = 60_000
SEEN_OFTEN = 3
FREQUENT = {"Ġ[A-Z][a-z]{2,}": 60_000, "Ġ[a-z]{3,}": 40_000}
"""Words, and up to which id they are kept unseen: byte-level BPE numbers its tokens by frequency."""
_SPELLED = dict(
    zip(
        ENGLISH_PHONES,
        "ay igh oh ow oy a o aw uh e ur ee i oo u oo b d f g h y k l m n ng p r s sh t th v w z zh th j ch t".split(),
        strict=True,
    )
)


def chosen(
    description: Description, tokenizer: Tokenizer, sentences: Sequence[str], control: Iterable[str]
) -> list[int]:
    """Ids worth keeping: what writes `sentences`, English words in either case, frequent Mandarin words, numbers, marks, `control` tokens.

    Too many rather than too few: a rare word that is missing changes an answer.
    """
    counts = Counter(token for text in sentences for token in tokenizer.encode(text, add_special_tokens=False).ids)
    kept = {token for token, count in counts.items() if count >= SEEN_OFTEN}
    words = Counter(word for text in sentences for word in re.findall(r"[A-Za-z']+", text))
    always = [
        form
        for word, n in words.items()
        if n >= 8
        for form in (f" {word.lower()}", word.capitalize(), f" {word.capitalize()}")
    ]
    always += [*map(str, range(100)), *(f" {n}" for n in range(100)), *_mandarin_words(), *_hanzi()]
    always += [f" {name}" for pair in CAPITALS for both in pair for name in both]
    always += [
        "\n",
        "\n\n",
        "...",
        "--",
        *"，。！？、：；“”‘’（）《》…—·.!?,:;-\"'()$%° ",
        "user",
        "assistant",
        "system",
    ]
    for text in always:
        kept.update(tokenizer.encode(text, add_special_tokens=False).ids)
    for name, token in description["model"]["vocab"].items():
        if any(token < limit and re.fullmatch(pattern, name) for pattern, limit in FREQUENT.items()):
            kept.add(token)
    named = {token["content"]: token["id"] for token in description["added_tokens"]}
    missing = [name for name in control if name not in named]
    if missing:
        raise ValueError(f"the base's tokenizer has no {', '.join(missing)}, which the profile names")
    return closed(description, (kept - set(named.values())) | {named[name] for name in control})


def _mandarin_words() -> list[str]:
    import jieba

    lines = Path(os.path.dirname(jieba.__file__), "dict.txt").read_text(encoding="utf-8").splitlines()
    by_frequency = sorted((line.split(" ") for line in lines), key=lambda parts: -int(parts[1]))
    return [parts[0] for parts in by_frequency[:MANDARIN_WORDS]]


def _hanzi() -> list[str]:
    """The characters of GB 2312."""
    pairs = (bytes([row, cell]) for row in range(0xB0, 0xF8) for cell in range(0xA1, 0xFF))
    return [character for pair in pairs if (character := pair.decode("gb2312", "ignore"))]


_TONED = {"a": "āáǎà", "e": "ēéěè", "i": "īíǐì", "o": "ōóǒò", "u": "ūúǔù", "v": "ǖǘǚǜ"}


def spelled(unit: str) -> str:
    """How people write a unit: letters that sound so, or pinyin with its tone mark."""
    if unit == SIL:
        return ","
    if unit in _SPELLED:
        return _SPELLED[unit]
    if unit.endswith("_"):
        return unit[:-1]
    final, tone = unit[:-1], int(unit[-1])
    final = "i" if final == "ih" else final
    at = next((final.index(v) for v in ("a", "e", "o") if v in final), len(final) - 1)
    if final[at] not in _TONED:
        at = next(i for i in range(len(final) - 1, -1, -1) if final[i] in _TONED)
    marked = final if tone == 5 else final[:at] + _TONED[final[at]][tone - 1] + final[at + 1 :]
    return marked.replace("v", "ü")


def started_rows(embedding: Tensor, tokenizer: Tokenizer, markers: int, *, seed: int = 0) -> Tensor:
    """Rows [units + markers, hidden] for what is new: the mean of the tokens that spell a unit, apart from each other by some noise.

    embedding: that of the whole base, [vocabulary, hidden].
    """
    generator = torch.Generator().manual_seed(seed)
    spread, mean = embedding.std(), embedding.mean(0)
    rows = torch.randn(len(INVENTORY) + markers, embedding.shape[1], generator=generator) * spread * 0.5
    for place, unit in enumerate(INVENTORY):
        rows[place] += 0.8 * embedding[tokenizer.encode(spelled(unit), add_special_tokens=False).ids].mean(0)
    rows[len(INVENTORY) :] += mean
    return rows
