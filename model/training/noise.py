"""What the unit encoder would have heard: errors on clean units, so that the language model learns to read noisy speech from text alone.

The default confusions are phonetic neighbours (voicing, place, vowel height; Mandarin tones, n/ng, flat/retroflex). A measured table from a
trained encoder can replace them: JSON `{unit: {heard: weight}}`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from model.training.g2p import INVENTORY, SIL, UNIT_ID, is_tone_unit, merge

_GROUPS = (
    "ɪ i ə ɛ", "æ ɛ ɑ ʌ", "ʌ ə ɑ", "ɔ ɑ O", "u ʊ", "A ɛ ɪ", "I ɑ", "W ɑ æ", "O ɔ u", "Y ɔ", "ɜ ə ɹ", "b p", "d t ɾ", "k ɡ", "f v θ", "θ ð d s", "s z ʃ",
    "ʃ ʒ ʧ ʤ", "m n ŋ", "l ɹ w", "j i", "h",
    "b_ p_ d_", "d_ t_", "g_ k_ h_", "j_ q_ x_", "zh_ ch_ z_ j_", "z_ c_ zh_", "sh_ s_ x_", "n_ l_ m_", "l_ r_", "f_ h_", "ch_ c_ q_",
)  # fmt: skip
_RHYMES = (
    "an ang", "en eng", "in ing", "ian iang", "uan uang", "ai ei", "ao ou", "a ia ua", "e uo er", "i ih", "u ou", "v i vn", "ie ve", "uei ei", "uen en", "iou iao",
    "ong eng iong", "van ian", "ueng ong", "uai ai",
)  # fmt: skip
Confusions = dict[str, dict[str, float]]


def default_confusions() -> Confusions:
    """Neighbours of every unit: same rhyme in another tone weighs 3, a similar rhyme or phone 1."""
    table: Confusions = {name: {} for name in INVENTORY}
    for group in _GROUPS:
        members = group.split()
        for a in members:
            table[a].update({b: 1.0 for b in members if b != a})
    neighbours: dict[str, set[str]] = {}
    for group in _RHYMES:
        for a in group.split():
            neighbours.setdefault(a, set()).update(set(group.split()) - {a})
    for name in filter(is_tone_unit, INVENTORY):
        rhyme, tone = name[:-1], name[-1]
        table[name].update({rhyme + t: 3.0 for t in "12345" if t != tone})
        table[name].update({other + tone: 1.0 for other in neighbours.get(rhyme, ())})
    return table


def load_confusions(path: Path | None) -> Confusions:
    """A measured table, or the default where `path` is None."""
    return default_confusions() if path is None else json.loads(path.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class UnitNoise:
    """Substitutions, deletions and insertions at a rate drawn per utterance up to `max_rate`; some utterances stay clean.

    The shares of the three, 60, 15 and 25 %, are those of the encoder on the validation part of its features, of which half was heavily augmented.
    There half of the utterances have less than 6 % wrong, a quarter more than 15 % and a tenth more than 27 %, hence the square.
    """

    confusions: Confusions = field(default_factory=default_confusions)
    max_rate: float = 0.32
    clean_share: float = 0.15
    pause_rate: float = 0.015
    edge_pause_share: float = 0.15

    def hear(self, rng: Random, ids: list[int]) -> list[int]:
        """Unit ids as an encoder might give them for the clean `ids`; repeats merged."""
        rate = 0.0 if rng.random() < self.clean_share else self.max_rate * rng.random() ** 2
        before, after = ([UNIT_ID[SIL]] if rng.random() < self.edge_pause_share else [] for _ in range(2))
        return merge([*before, *self.at_rate(rng, ids, rate), *after])

    def at_rate(self, rng: Random, ids: list[int], rate: float) -> list[int]:
        """`ids` with about `rate` of them wrong; repeats merged."""
        return merge(heard for unit in ids for heard in self._one(rng, unit, rate))

    def _one(self, rng: Random, unit: int, rate: float) -> list[int]:
        if rng.random() < self.pause_rate:
            return [unit, UNIT_ID[SIL]]
        if rng.random() >= rate:
            return [unit]
        kind = rng.random()
        if kind < 0.6:
            return [self._confused(rng, unit)]
        return [] if kind < 0.75 else [unit, rng.randrange(1, len(INVENTORY))]

    def _confused(self, rng: Random, unit: int) -> int:
        near = self.confusions.get(INVENTORY[unit]) or {}
        if not near or rng.random() < 0.1:
            return rng.randrange(1, len(INVENTORY))
        return UNIT_ID[rng.choices(list(near), list(near.values()))[0]]
