"""The worlds: right answers, written-out numbers, and a held-out split that nothing leaks through."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random

import pytest

from model.training import worlds
from model.training.lm_eval import edit_distance, error_rate, normalized, read_held_out
from model.training.worlds import WORLDS, draw, held_out, number


@pytest.fixture(autouse=True)
def _sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {
            "hsk_level": 1,
            "chinese": f"我有{number(i, 'zh')}本书。",
            "translation": {"en": f"I have {number(i, 'en')} books."},
            "tokens": [{"word": "书", "gloss_en": "book; letter"}, {"word": "有", "gloss_en": "to have"}],
        }
        for i in range(2, 99)
    ]
    path = tmp_path / "sentences.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    monkeypatch.setenv(worlds.SENTENCES_VARIABLE, str(path))
    for cached in (worlds._sentence_rows, worlds.sentence_pairs, worlds.word_pairs, worlds.short_pairs):
        cached.cache_clear()


@pytest.mark.parametrize("world", WORLDS)
def test_training_never_meets_a_held_out_key(world: str) -> None:
    rng = Random(0)
    assert not any(held_out(draw(rng, world).key) for _ in range(300))


@pytest.mark.parametrize("world", WORLDS)
def test_answers_are_in_the_language_they_claim(world: str) -> None:
    rng = Random(1)
    for _ in range(200):
        e = draw(rng, world)
        assert bool(re.search("[\u4e00-\u9fff]", e.question)) == (e.question_lang == "zh"), e
        assert bool(re.search("[\u4e00-\u9fff]", e.answer)) == (e.answer_lang == "zh"), e


def test_sums_are_right() -> None:
    value = {number(n, "en"): n for n in range(201)}
    pattern = re.compile("(.+) (plus|minus|times) (.+) is (.+)")
    rng, seen = Random(2), 0
    while seen < 200:
        e = draw(rng, "sums")
        match = pattern.fullmatch(e.answer.lower().rstrip(".")) if e.answer_lang == "en" else None
        if match:
            a, b, c = (value[match[i]] for i in (1, 3, 4))
            assert {"plus": a + b, "minus": a - b, "times": a * b}[match[2]] == c
            seen += 1


def test_numbers_are_written_out() -> None:
    assert [number(n, "en") for n in (0, 13, 20, 47, 100)] == [
        "zero",
        "thirteen",
        "twenty",
        "forty-seven",
        "one hundred",
    ]
    assert [number(n, "zh") for n in (0, 10, 13, 20, 47, 100)] == ["零", "十", "十三", "二十", "四十七", "一百"]


def test_the_fixed_set_is_held_out_and_covers_four_directions() -> None:
    rows = read_held_out()
    assert len(rows) >= 60
    assert all(held_out(e.key) for e, _ in rows)
    assert {(e.question_lang, e.answer_lang) for e, _ in rows} == {
        ("en", "en"),
        ("en", "zh"),
        ("zh", "en"),
        ("zh", "zh"),
    }


def test_scoring_by_hand() -> None:
    assert normalized("Two plus three, is FIVE!") == "two plus three is five"
    assert normalized("二加三，等于五。") == "二加三等于五"
    assert edit_distance(list("kitten"), list("sitting")) == 3
    assert error_rate("What is two plus three?", "what is too plus three") == pytest.approx(1 / 5)
    assert error_rate("二加三等于几？", "二加山等于几") == pytest.approx(1 / 6)
