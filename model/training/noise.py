"""Errors of the encoder, simulated on clean units: the language model learns to read noisy speech from text alone.

The errors were measured (`model.training.confusions`), as JSON `{unit: {heard: weight}}`. `heard` holds names of units, separated by
spaces: none for a deletion, `?` for any unit. The weights of a unit add up to its error rate divided by the mean error rate of its
language.

Scores use errors that do not depend on any measurement: phonetic neighbours (voicing, place, vowel height; Mandarin tones, n/ng,
flat/retroflex).
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
ANY = "?"


def neighbours() -> Confusions:
    """Neighbours of every unit: same rhyme in another tone weighs 3, a similar rhyme or phone 1."""
    table: Confusions = {name: {} for name in INVENTORY}
    for group in _GROUPS:
        members = group.split()
        for a in members:
            table[a].update({b: 1.0 for b in members if b != a})
    alike: dict[str, set[str]] = {}
    for group in _RHYMES:
        for a in group.split():
            alike.setdefault(a, set()).update(set(group.split()) - {a})
    for name in filter(is_tone_unit, INVENTORY):
        rhyme, tone = name[:-1], name[-1]
        table[name].update({rhyme + t: 3.0 for t in "12345" if t != tone})
        table[name].update({other + tone: 1.0 for other in sorted(alike.get(rhyme, ()))})
    return table


_NEIGHBOURS = neighbours()
MEASURED = Path(__file__).with_name("confusions.json")


def load_confusions(path: Path | None) -> Confusions:
    """A measured table; where `path` is None, that of cslm-mini's encoder. Raises ValueError for a unit that does not exist."""
    table: Confusions = json.loads((path or MEASURED).read_text(encoding="utf-8"))
    unknown = {name for unit, row in table.items() for name in " ".join([unit, *row]).split()} - {*INVENTORY, ANY}
    if unknown:
        raise ValueError(f"{path}: no units: {' '.join(sorted(unknown))}; accepted: {' '.join(INVENTORY)} and {ANY}")
    return table


@dataclass(frozen=True)
class UnitNoise:
    """Errors as measured, at a rate that is drawn for each utterance, up to `max_rate`. A `clean_share` of the utterances has none.

    Errors come in bursts: after one, the next unit is `burst` times as likely to be wrong. `pause_rate`: pauses inserted after a unit;
    `unheard_pauses`: share of the pauses that are dropped.
    """

    confusions: Confusions = field(default_factory=lambda: load_confusions(None))
    max_rate: float = 0.32
    clean_share: float = 0.1
    burst: float = 1.5
    pause_rate: float = 0.01
    unheard_pauses: float = 0.6

    def hear(self, rng: Random, ids: list[int]) -> list[int]:
        """Unit ids as an encoder might give them for the clean `ids`; repeats merged, no pause at either end."""
        rate = 0.0 if rng.random() < self.clean_share else self.max_rate * rng.random() ** 1.3
        units, wrong = list[int](), False
        for unit in ids:
            if unit == UNIT_ID[SIL]:
                units += [] if rng.random() < self.unheard_pauses else [unit]
                continue
            row = self.confusions.get(INVENTORY[unit], {})
            likely = rate * sum(row.values()) * (self.burst if wrong else 1.0) / (1 + rate * (self.burst - 1))
            wrong = rng.random() < min(0.9, likely)
            units += self._instead(rng, row) if wrong else [unit]
            units += [UNIT_ID[SIL]] if rng.random() < self.pause_rate else []
        return without_outer_pauses(merge(units))

    @staticmethod
    def _instead(rng: Random, row: dict[str, float]) -> list[int]:
        (heard,) = rng.choices(list(row), list(row.values()))
        return [rng.randrange(1, len(INVENTORY)) if name == ANY else UNIT_ID[name] for name in heard.split()]

    @staticmethod
    def at_rate(rng: Random, ids: list[int], rate: float) -> list[int]:
        """`ids` with about `rate` of them wrong; repeats merged. For scores: the mistakes are independent of each other and of any encoder."""
        return merge(heard for unit in ids for heard in _independent(rng, unit, rate))


def without_outer_pauses(units: list[int]) -> list[int]:
    """`units` as the encoder gives them: silence at the ends of a speech is none of its units."""
    spoken = [at for at, unit in enumerate(units) if unit != UNIT_ID[SIL]]
    return units[spoken[0] : spoken[-1] + 1] if spoken else []


def _independent(rng: Random, unit: int, rate: float) -> list[int]:
    if rng.random() < 0.015:
        return [unit, UNIT_ID[SIL]]
    if rng.random() >= rate:
        return [unit]
    kind = rng.random()
    if kind < 0.6:
        near = _NEIGHBOURS[INVENTORY[unit]]
        if not near or rng.random() < 0.1:
            return [rng.randrange(1, len(INVENTORY))]
        return [UNIT_ID[rng.choices(list(near), list(near.values()))[0]]]
    return [] if kind < 0.75 else [unit, rng.randrange(1, len(INVENTORY))]
