"""The noise model of the unit encoder."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from model.training.g2p import INVENTORY, UNIT_ID, is_tone_unit, merge
from model.training.lm_eval import edit_distance
from model.training.noise import UnitNoise, default_confusions, load_confusions


def test_rate_is_within_bounds_and_repeats_are_merged() -> None:
    rng, noise = Random(0), UnitNoise()
    clean = merge([rng.randrange(1, len(INVENTORY)) for _ in range(400)])
    rates = []
    for _ in range(40):
        heard = noise.hear(rng, clean)
        assert merge(heard) == heard
        rates.append(edit_distance(clean, [u for u in heard if u != UNIT_ID["sil"]]) / len(clean))
    assert 0.07 < sum(rates) / len(rates) < 0.18
    assert max(rates) < 0.35


def test_tones_are_confused_with_tones_of_the_same_rhyme() -> None:
    table = default_confusions()
    assert table["ang1"]["ang2"] > table["ang1"]["an1"] > 0
    assert all(is_tone_unit(other) for name in table if is_tone_unit(name) for other in table[name])


def test_a_measured_table_replaces_the_default(tmp_path: Path) -> None:
    path = tmp_path / "confusions.json"
    path.write_text(json.dumps({"b": {"p": 1.0}}))
    noise = UnitNoise(load_confusions(path), max_rate=1.0)
    heard = {noise._confused(Random(i), UNIT_ID["b"]) for i in range(50)}
    assert UNIT_ID["p"] in heard
