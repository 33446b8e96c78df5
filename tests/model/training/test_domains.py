"""The domains: right answers, written-out numbers, and a held-out split that nothing leaks through."""

from __future__ import annotations

import json
import re
from itertools import permutations
from pathlib import Path
from random import Random

import pytest

from model.training import corpora, domains
from model.training.corpora import held_out
from model.training.domains import DOMAINS, draw, number
from model.training.lm_eval import edit_distance, error_rate, normalized, read_held_out

CHATS = [f"{' '.join(words).capitalize()}." for words in permutations(("we", "like", "warm", "tea"))]


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
    monkeypatch.setenv(corpora.SENTENCES_VARIABLE, str(path))
    chats = {"1": {"messages": [[{"text": f"{text} No way."}, {"text": "i do not"}] for text in CHATS]}}
    (tmp_path / "chats.json").write_text(json.dumps(chats), encoding="utf-8")
    monkeypatch.setenv(corpora.CHAT_VARIABLE, str(tmp_path / "chats.json"))
    read = (
        corpora._sentence_rows,
        corpora.sentence_pairs,
        corpora.word_pairs,
        corpora.short_pairs,
        corpora.chat_sentences,
    )
    for cached in (*read, domains._spellable):
        cached.cache_clear()


@pytest.mark.parametrize("domain", DOMAINS)
def test_training_never_meets_a_held_out_key(domain: str) -> None:
    rng = Random(0)
    assert not any(held_out(draw(rng, domain).key) for _ in range(300))


@pytest.mark.parametrize("domain", DOMAINS)
def test_answers_are_in_the_language_they_claim(domain: str) -> None:
    rng = Random(1)
    for _ in range(200):
        e = draw(rng, domain)
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


def test_times_are_right() -> None:
    dial = {domains.clock(h, half, "en"): (h, half) for h in range(1, 13) for half in (False, True)}
    hours = {number(n, "en"): n for n in range(1, 7)}
    rng, seen = Random(3), 0
    while seen < 100:
        e = draw(rng, "times")
        match = re.fullmatch("(.+) hours? (after|before) (.+) it is (.+)[.]", e.answer.lower())
        if match:
            (start, half), (end, same) = dial[match[3]], dial[match[4]]
            way = 1 if match[2] == "after" else -1
            assert (end - start - way * hours[match[1]]) % 12 == 0
            assert half == same
            seen += 1


def test_a_follow_up_goes_on_from_the_answer_before() -> None:
    value = {number(n, "en"): n for n in range(201)}
    rng, sums, languages = Random(4), 0, 0
    while sums < 30 or languages < 30:
        e = draw(rng, "follow_up")
        assert e.before is not None
        more = re.fullmatch("(.+) (plus|minus) (.+) is (.+)[.]", e.answer.lower())
        if more and e.question.lower().startswith(("plus", "minus", "and plus", "and minus")):
            assert e.before[1].lower().rstrip("。.").endswith((more[1], number(value[more[1]], "zh")))
            sign = 1 if more[2] == "plus" else -1
            assert value[more[1]] + sign * value[more[3]] == value[more[4]]
            sums += 1
        if e.names_language:
            assert bool(re.search("[\u4e00-\u9fff]", e.before[1])) != (e.answer_lang == "zh")
            languages += 1


def test_a_word_before_the_question_changes_nothing_else() -> None:
    rng, plain = Random(5), domains.Exchange("sums", "What is two plus three?", "Five.", "en", "en", "sums:2+3")
    asked = {domains.opened(rng, plain).question for _ in range(300)}
    assert "What is two plus three?" in asked
    assert "Well, what is two plus three?" in asked
    assert all(q.lower().endswith("what is two plus three?") for q in asked)
    names = domains.Exchange("capitals", "Paris is the capital of which country?", "", "en", "en", "x")
    assert {domains.opened(rng, names).question for _ in range(100)} == {names.question}


def test_chats_give_whole_plain_sentences() -> None:
    assert corpora.chat_sentences() == tuple(text for text in CHATS if not held_out(f"repeat:{text}"))


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
