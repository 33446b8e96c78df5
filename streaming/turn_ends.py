"""How much silence ends a turn, by how finished it sounds and what was understood of it."""

from __future__ import annotations

import re

SURE = 0.98
"""From this probability on, a turn sounds finished: the model takes many a pause for the end (tests/bench/pauses.py)."""

_CERTAIN, _FINISHED, _UNCERTAIN, _OPEN = 0.44, 0.83, 1.4, 1.6
"""What ends a turn, of the silence that a client asks for: one that was heard well, one that sounds complete, one that was not
heard well and may have stopped in the middle of a word, and one that reads open (tests/bench/pauses.py)."""

_LEAST_MS, _MOST_MS = 224, 1200


def patience_ms(finished: float, *, shortest_ms: int, longest_ms: int) -> int:
    """Silence to wait for in all when a turn is over with probability `finished`: from `shortest_ms` to `longest_ms`.

    Squared, so that a model that is nearly sure need not be quite sure to be believed.
    """
    return round(shortest_ms + (longest_ms - shortest_ms) * (1 - finished) ** 2)


def adapted_ms(silence_ms: int, *, text: str | None, finished: float | None = None, certain: bool | None = None) -> int:
    """Silence to wait for in all where a client asks for `silence_ms`.

    `text`: what was understood so far, None where that is not known: then the client's wish stands. `certain`: whether the model
    was sure of every word, None where it does not tell. Then `finished` counts: as in `patience_ms`, None where nobody has judged.
    A turn that seems complete ends sooner, though not below `_LEAST_MS` unless the client wants that; one that does not, or of
    which a word is uncertain, ends later, though not above `_MOST_MS` likewise.
    """
    if text is None:
        return silence_ms
    share = _share(text, finished, certain)
    if share > 1:
        return max(silence_ms, min(_MOST_MS, round(share * silence_ms)))
    return min(silence_ms, max(_LEAST_MS, round(share * silence_ms)))


def _share(text: str, finished: float | None, certain: bool | None) -> float:
    if left_open(text):
        return _OPEN
    if certain is not None:
        return _CERTAIN if certain else _UNCERTAIN
    return 1.0 if finished is None or finished < SURE else _FINISHED


_ENGLISH = frozenset(
    # articles, possessives, demonstratives before a noun
    "a an the my your his its our their every "
    # conjunctions
    "and or but because if when while although unless until than that as so "
    # subjects that lack a verb, and verbs that lack what follows them
    "i he she we they is are was were am be been being do does did has have had "
    "can could will would shall should may might must "
    # prepositions that end no question
    "of at into onto between during without toward towards per "
    # question words that lack a noun, words of arithmetic, words before an adjective
    "what which whose after before plus minus times add very too more most add um uh er hmm".split()
)
"""Words after which an English sentence goes on. Some may end one ("Day or night before?"): such a turn only waits longer."""

_MANDARIN = tuple(
    "和 跟 与 及 或 或者 但 但是 因为 所以 如果 虽然 而且 然后 是 在 把 被 对 向 从 往 比 给 让 叫 用 "
    "加 减 乘 除以 等于 一个 这个 那个 哪个 每个 很 最 更 非常 嗯 呃".split()
)

_END = re.compile(r"[\s.?!,;…。？！，；]+$")
_LAST_WORD = re.compile(r"[a-z']+$")


def left_open(text: str) -> bool:
    """What was understood cannot be all: it is nothing, ends with a colon, or with a word after which a sentence goes on."""
    said = _END.sub("", text).lower()
    if not said or said.endswith((":", "：", "-", "—")):
        return True
    word = _LAST_WORD.search(said)
    return word.group() in _ENGLISH if word else said.endswith(_MANDARIN)
