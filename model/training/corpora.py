"""Sentences and words by others that the domains draw from, and which keys are held out of training."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from model.training.facts import Both

SENTENCES_VARIABLE, CHAT_VARIABLE = "CSLM_SENTENCES", "CSLM_CHAT"
HELD_OUT_SHARE = 1 / 25


def held_out(key: str) -> bool:
    """Whether `key` belongs to the held-out twenty-fifth; the same on every machine."""
    digest = hashlib.blake2b(key.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32 < HELD_OUT_SHARE


@cache
def _sentence_rows() -> list[dict[str, Any]]:
    """Rows of `sentences.json`: of the installed package `hsk_sentences_audio`, or of the file that CSLM_SENTENCES names."""
    named = os.environ.get(SENTENCES_VARIABLE)
    path = Path(named) if named else _package_directory("hsk_sentences_audio") / "data" / "sentences.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return rows


def _package_directory(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"install {name} (pip install hsk-sentences-audio) or set {SENTENCES_VARIABLE}")
    return Path(spec.submodule_search_locations[0])


@cache
def sentence_pairs(level: int = 6) -> tuple[Both, ...]:
    """English and Chinese sentences that translate each other, up to an HSK level (hsk-sentences-audio 1.0.0, CC-BY-SA-4.0)."""
    pairs = []
    for row in _sentence_rows():
        en, zh = row["translation"]["en"].strip(), row["chinese"].strip()
        if row["hsk_level"] <= level and _plain(en, zh) and 1 < len(en.split()) <= 14:
            pairs.append((en, zh))
    return tuple(pairs)


@cache
def chat_sentences() -> tuple[str, ...]:
    """English sentences of ordinary words as people write them, more to listen to: of the installed package `chitchat_dataset` (0.9.0, MIT), or of
    the file that CSLM_CHAT names. None where there is neither."""
    named = os.environ.get(CHAT_VARIABLE)
    spec = importlib.util.find_spec("chitchat_dataset")
    if not named and (spec is None or not spec.submodule_search_locations):
        return ()
    path = Path(named) if named else Path(spec.submodule_search_locations[0]) / "dataset.json"  # type: ignore[union-attr,index]
    chats = json.loads(path.read_text(encoding="utf-8")).values()
    texts = (said["text"] for chat in chats for turn in chat["messages"] for said in turn)
    rows = dict.fromkeys(
        row for text in texts for row in re.split(r"(?<=[.!?])\s+", text.strip()) if _CHAT.fullmatch(row)
    )
    common = Counter(word for row in rows for word in set(row.lower().rstrip(".!?").replace(",", "").split()))
    return tuple(
        row
        for row in rows
        if 3 <= len(words := row.lower().rstrip(".!?").replace(",", "").split()) <= 12
        and min(common[word] for word in words) >= 12
        and not held_out(f"repeat:{row}")
    )


_CHAT = re.compile(r"[A-Z][A-Za-z' ,]*[.!?]")


def _plain(en: str, zh: str) -> bool:
    return bool(re.fullmatch(r"[A-Z][A-Za-z' ,.!?-]*[.!?]", en) and re.fullmatch(r"[\u4e00-\u9fff，、。！？]+", zh))


@cache
def word_pairs(level: int = 6) -> tuple[Both, ...]:
    """English and Chinese words that translate each other, from the same source's glosses."""
    pairs: dict[str, str] = {}
    for row in _sentence_rows():
        for token in row["tokens"] if row["hsk_level"] <= level else ():
            gloss = re.split(r"[;,/(]", token.get("gloss_en") or "")[0].strip()
            gloss = re.sub(r"^(a|an|the) ", "", gloss)
            if re.fullmatch(r"(to )?[a-z]+( [a-z]+)?", gloss) and re.fullmatch(r"[\u4e00-\u9fff]{1,4}", token["word"]):
                pairs.setdefault(token["word"], gloss)
    return tuple((en, zh) for zh, en in pairs.items())


@cache
def short_pairs() -> tuple[Both, ...]:
    """What may be asked for in the other language: sentences of HSK 1 and 2 of at most six words."""
    return tuple(p for p in sentence_pairs(2) if len(p[0].split()) <= 6)
