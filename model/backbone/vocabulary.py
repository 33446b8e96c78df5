"""The vocabulary of a text model, cut down to what is spoken and extended by units and markers.

A table of ids says which tokens of the base stay, in their old order. Closed under merges, it loses no text: what a dropped token
wrote is written by shorter ones, down to bytes. New tokens stand behind: units in order, then the markers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from model.profile import Profile

Description = dict[str, Any]
"""A `tokenizer.json` of byte-level BPE, parsed."""


def closed(description: Description, wanted: Iterable[int]) -> list[int]:
    """`wanted` in order, with every token that a merge needs to make one of them, and all single bytes."""
    ids: dict[str, int] = description["model"]["vocab"]
    names = {token: name for name, token in ids.items()}
    parts: dict[str, list[tuple[str, str]]] = {}
    for first, second in _merges(description):
        parts.setdefault(first + second, []).append((first, second))
    kept = set(wanted) | {token for name, token in ids.items() if len(name) == 1}
    waiting = [names[token] for token in kept if token in names]
    while waiting:
        for merge in parts.get(waiting.pop(), ()):
            for part in merge:
                if ids[part] not in kept:
                    kept.add(ids[part])
                    waiting.append(part)
    return sorted(kept)


def pruned(description: Description, kept: Sequence[int], added: Sequence[str]) -> Description:
    """The tokenizer with the ids of `kept` numbered through, and `added` behind them as plain added tokens.

    Raises ValueError where `kept` names an id that the base does not have, or its text does not come before its control tokens.
    """
    model = description["model"]
    place = {old: new for new, old in enumerate(kept)}
    vocabulary = {name: place[token] for name, token in model["vocab"].items() if token in place}
    control = [token for token in description["added_tokens"] if token["id"] in place]
    text = {name: token for name, token in vocabulary.items() if name not in {t["content"] for t in control}}
    if len(text) + len(control) != len(kept) or sorted(text.values()) != list(range(len(text))):
        raise ValueError(
            f"the table of {len(kept)} tokens is not of this tokenizer: it finds {len(text) + len(control)}"
        )
    merges = [pair for pair in _merges(description) if all(part in text for part in (*pair, "".join(pair)))]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    tokens = [token | {"id": place[token["id"]]} for token in control]
    tokens += [{"id": len(kept) + at, "content": name, **flags} for at, name in enumerate(added)]
    return description | {
        "added_tokens": tokens,
        "post_processor": None,
        "model": model | {"vocab": text, "merges": [list(pair) for pair in merges]},
    }


def added_tokens(profile: Profile) -> list[str]:
    """Units in order, then the markers, none of them special: as the released CSLM has them."""
    names = profile.tokens
    units = [names.unit.format(index=index) for index in range(profile.n_units)]
    markers = (names.speech_start, names.speech_end, names.question, names.answer)
    return [*units, *(marker for marker in markers if marker is not None)]


def padded_size(tokens: int) -> int:
    """Rows of an embedding for so many tokens: matrix products like multiples of 64."""
    return -(-tokens // 64) * 64


def _merges(description: Description) -> list[tuple[str, str]]:
    pairs = (m if isinstance(m, list) else m.split(" ") for m in description["model"]["merges"])
    return [(first, second) for first, second in pairs]
