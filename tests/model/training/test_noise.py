"""The noise model of the unit encoder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from model.training.g2p import INVENTORY, SIL, UNIT_ID, is_tone_unit, merge
from model.training.lm_eval import edit_distance
from model.training.noise import UnitNoise, load_confusions, neighbours


def _some_units(rng: Random, length: int = 400) -> list[int]:
    return merge([rng.randrange(1, len(INVENTORY)) for _ in range(length)])


def _wrong(clean: Sequence[int], heard: Sequence[int]) -> float:
    return edit_distance(clean, [u for u in heard if u != UNIT_ID[SIL]]) / len(clean)


def test_rate_is_within_bounds_and_repeats_are_merged() -> None:
    rng, noise = Random(0), UnitNoise({name: {"?": 0.7, "": 0.3} for name in INVENTORY})
    clean, rates = _some_units(rng), []
    for _ in range(40):
        heard = noise.hear(rng, clean)
        assert merge(heard) == heard
        rates.append(_wrong(clean, heard))
    assert 0.07 < sum(rates) / len(rates) < 0.18
    assert max(rates) < 0.35


def test_tones_are_confused_with_tones_of_the_same_rhyme() -> None:
    table = neighbours()
    assert table["ang1"]["ang2"] > table["ang1"]["an1"] > 0
    assert all(is_tone_unit(other) for name in table if is_tone_unit(name) for other in table[name])


def test_a_measured_table_says_what_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "confusions.json"
    path.write_text(json.dumps({"b": {"p": 1.0}, "d": {"d t": 9.0}, "h": {"": 9.0}, "m": {"?": 9.0}}))
    noise, rng = UnitNoise(load_confusions(path), max_rate=1.0, clean_share=0.0, pause_rate=0.0), Random(3)
    ids = [UNIT_ID[name] for name in "bshsdsms"]
    heard = ["".join(INVENTORY[u] for u in noise.hear(rng, ids)) for _ in range(200)]
    assert {text[0] for text in heard} == {"b", "p"}
    assert any("dt" in text for text in heard) and any("h" not in text for text in heard)
    assert all(text.endswith("s") and "s" in text for text in heard)
    assert len({text[-2] for text in heard}) > 5


def test_a_table_of_other_units_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "confusions.json"
    path.write_text(json.dumps({"b": {"p zz": 1.0}}))
    with pytest.raises(ValueError, match="zz"):
        load_confusions(path)


def test_mistakes_follow_one_another() -> None:
    clean = [UNIT_ID["b"], UNIT_ID["s"]] * 2000
    table = {"b": {"p": 1.0}, "s": {"z": 1.0}}

    def after(burst: float) -> float:
        noise, rng = UnitNoise(table, 1.0, 0.0, burst, pause_rate=0.0), Random(1)
        for _ in range(100):
            wrong = [a != b for a, b in zip(clean, noise.hear(rng, clean), strict=True)]
            share = sum(wrong) / len(wrong)
            if 0.15 < share < 0.25:
                return sum(a and b for a, b in pairwise(wrong)) / sum(wrong) / share
        raise AssertionError("no utterance at that rate")

    assert after(1.0) == pytest.approx(1.0, abs=0.2)
    assert after(2.0) > 1.4


def test_pauses_stand_at_some_marks_and_never_at_the_ends() -> None:
    rng, noise = Random(0), UnitNoise()
    said = [UNIT_ID[name] for name in ("h", "O", SIL, "n", "O", SIL)]
    heard = [noise.hear(rng, said) for _ in range(200)]
    assert all(units[0] != UNIT_ID[SIL] != units[-1] for units in heard if units)
    assert 0.2 < sum(UNIT_ID[SIL] in units for units in heard) / len(heard) < 0.6


AT_15_PERCENT = (
    "h ə l O sil j_ iong1 w h q_ ə l O sil zh_ ong1 l ɜ h ɑ l O sil zh_ ong1 w ɜ h ə l O sil zh_ ong1 w ɜ u3 "
    "ə l sil zh_ ong1 w ɜ h ə l O eng4 sil zh_ ong1 w ɜ h ə w O uang4 zh_ ong1 w ɜ h ə l O sil zh_ ong1 w ɜ h "
    "ə l O sil zh_ ong1 w ɜ h ə l O sil zh_ ong1 w ɜ"
)


def test_scores_keep_their_noise() -> None:
    """Scores of all dates are compared, so their mistakes depend on nothing that was measured."""
    ids = [UNIT_ID[name] for name in ("h", "ə", "l", "O", SIL, "zh_", "ong1", "w", "ɜ")] * 10
    heard = UnitNoise({}, max_rate=0.0).at_rate(Random(5), ids, 0.15)
    assert " ".join(INVENTORY[unit] for unit in heard) == AT_15_PERCENT
