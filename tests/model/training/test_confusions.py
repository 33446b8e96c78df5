"""Confusions counted from alignments."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from random import Random

import pytest

pytest.importorskip("torch")

from model.training.accents import said_by
from model.training.confusions import aligned, as_json, counted, table, utterances
from model.training.g2p import INVENTORY, SIL, UNIT_ID
from model.training.noise import load_confusions
from model.training.synth import _SYMBOLS

B, P, M, S = (UNIT_ID[x] for x in "bpms")


def test_alignment_by_hand() -> None:
    assert aligned([1, 2, 3, 4], [1, 5, 3]) == [(1, (1,)), (2, (5,)), (3, (3,)), (4, ())]
    assert aligned([1, 2], [1, 9, 2]) == [(1, (1, 9)), (2, (2,))]
    assert aligned([1, 2], [9, 1, 2]) == [(1, (9, 1)), (2, (2,))]
    assert aligned([1, 2], []) == [(1, ()), (2, ())]
    assert aligned([], []) == []


def test_a_neighbour_is_what_was_heard_instead() -> None:
    assert aligned([B, M], [P]) == [(B, (P,)), (M, ())]
    assert aligned([M, B], [P]) == [(M, ()), (B, (P,))]


def test_weights_add_up_to_how_often_a_unit_is_wrong() -> None:
    right = [(unit, (unit,)) for unit in (P, M)] * 500
    counted_ = table([*right, *[(B, (P,))] * 200, *[(B, ())] * 100, *[(B, (B,))] * 700])
    assert sum(counted_["b"].values()) == pytest.approx(0.3 / 0.15, rel=0.05)
    assert sum(counted_["p"].values()) < 0.2
    assert counted_["b"]["p"] > counted_["b"][""] > 10 * counted_["b"]["?"]
    assert "b" not in counted_["b"]
    assert SIL not in counted_


def test_what_nobody_could_read_is_not_counted() -> None:
    fine, lost = {"want": [B, P, M, S], "got": [B, P, M]}, {"want": [B, P, M], "got": [S]}
    assert len(counted([fine, lost])) == 1


def test_a_table_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "confusions.json"
    path.write_text(as_json(table([(B, (P,)), (B, (B,)), (M, (M,))])), encoding="utf-8")
    assert set(load_confusions(path)) == {*INVENTORY} - {SIL}
    assert len(path.read_text(encoding="utf-8").splitlines()) == len(INVENTORY) - 1


def test_the_teacher_can_say_every_habit() -> None:
    texts = ["I have not heard of him, and they want the other thing.", "这个女孩子是我们的老师吗？"]
    said = list(islice(utterances(texts, ["af_heart", "zf_xiaoxiao", "ef_dora"], Random(1)), 80))
    assert all(set(phonemes) <= set(_SYMBOLS) for *_, phonemes in said)
    assert len({phonemes for *_, phonemes in said}) > 30
    assert said[0][0] == texts[0] and said[1][0] == texts[1]


def test_habits_change_how_a_text_is_said() -> None:
    plain = "ænd hi wˈɔntᵻd bˈɛTəɹ θˈɪŋz"
    assert len({said_by(Random(seed), plain, "en") for seed in range(20)}) > 10


def test_the_committed_table_covers_all_units() -> None:
    assert set(json.loads(as_json(load_confusions(None)))) == {*INVENTORY} - {SIL}
