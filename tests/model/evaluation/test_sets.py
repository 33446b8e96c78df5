"""Sets on disk, and that nothing of cslm-mini's own is in its training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from model.evaluation.make import VOICES
from model.evaluation.sets import EvaluationError, read_audio, read_sets, recorded
from model.training import corpora, domains
from model.training.backbone.instructed import core, instructed
from model.training.backbone.talks import talked
from model.training.backbone.texts import Spoken
from model.training.corpora import held_out
from model.training.domains import DOMAINS, LANGS, Lang, draw, interpret
from model.training.facts import FACTS, STORIES, TALK
from model.training.synth import HELD_OUT_VOICES, plan

SETS = Path(__file__).parents[2] / "data" / "eval"


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SETS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def quoted() -> list[tuple[str, str]]:
    """(language, sentence) of all that is read or repeated."""
    found = [(row["language"], row["text"]) for row in rows("read")]
    return found + [(row["language"], row["answers"][0]) for row in rows("repeat")]


def test_the_sets_have_what_the_tables_need() -> None:
    items = read_sets(SETS)
    count: dict[tuple[str, str], int] = {}
    for item in items:
        count[item.set, item.direction] = count.get((item.set, item.direction), 0) + 1
    assert [count["questions", d] for d in ("en→en", "zh→zh", "en→zh", "zh→en")] == [100] * 4
    assert min(count["repeat", d] for d in ("en→en", "zh→zh")) >= 40
    assert len({item.name for item in items}) == len(items)
    for name in ("questions", "more", "long", "read", "repeat", "people", "open", "follow", "obey"):
        assert all(row["source"] and row["licence"] for row in rows(name))
    sample = recorded(items)
    assert {item.task for item in sample} == {"read", "repeat", "question", "open"}
    assert {item.direction for item in sample if item.task == "question"} == {"en→en", "zh→zh", "en→zh", "zh→en"}
    assert read_audio(sample[0], 16_000).dtype == np.float32


def test_any_beginning_of_the_questions_is_balanced() -> None:
    directions = [item.direction for item in read_sets(SETS, limit=8) if item.set == "questions"]
    assert all(directions.count(d) == 2 for d in directions)


@pytest.mark.usefixtures("_all_sentences")
def test_no_voice_of_the_sets_is_in_the_plan_of_training_speech() -> None:
    sets = ("questions", "more", "long", "read", "repeat", "open", "follow", "obey")
    used = {row["speaker"] for name in sets for row in rows(name)}
    assert used == {voice for pair in VOICES.values() for voice in pair} == HELD_OUT_VOICES
    voices = ["af_heart", "zf_xiaoxiao", "bm_george", "zm_yunxi", *sorted(used)]
    pairs = [(f"今天是第{n}天。", f"It is day {n}.") for n in range(900)]
    spoken = plan(pairs, voices, lines=400)
    assert not {line.voice for line in spoken if line.split == "train"} & used


def test_every_key_is_held_out() -> None:
    keys = [row["key"] for name in ("questions", "more", "read", "repeat") for row in rows(name)]
    assert [key for key in keys if not held_out(key)] == []


@pytest.fixture
def _all_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection of sentences in which the sets' own stand, most of them among many others."""
    pairs = [
        (f"We have {domains.number(n, 'en')} books.", f"我们有{domains.number(n, 'zh')}本书。") for n in range(2, 99)
    ]
    pairs += [
        (text, "这句话的意思别人不知道。") if lang == "en" else ("Nobody knows what it means.", text)
        for lang, text in quoted()
    ]
    collection = [
        {"hsk_level": 3, "chinese": zh, "translation": {"en": en}, "tokens": [{"word": "书", "gloss_en": "book"}]}
        for en, zh in pairs
    ]
    collection += [
        {
            "hsk_level": 1,
            "chinese": "我有书。",
            "translation": {"en": f"I have {n} books."},
            "tokens": [{"word": "有", "gloss_en": "to have"}, {"word": "书", "gloss_en": "book"}],
        }
        for n in ("some", "more")
    ]
    path = tmp_path / "sentences.json"
    path.write_text(json.dumps(collection), encoding="utf-8")
    monkeypatch.setenv(corpora.SENTENCES_VARIABLE, str(path))
    for value in vars(domains).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


@pytest.mark.usefixtures("_all_sentences")
def test_no_sentence_of_the_sets_is_in_training() -> None:
    sentences = {text for _, text in quoted()}
    assert {zh for _, zh in corpora.sentence_pairs()} | {en for en, _ in corpora.sentence_pairs()} >= sentences
    rng = Random(5)
    drawn = [draw(rng, domain) for domain in DOMAINS for _ in range(1500)]
    drawn += [interpret(rng, rng.choice(LANGS), rng.choice(LANGS)) for _ in range(1500)]
    for e in drawn:
        said = f"{e.question}\n{e.answer}\n{e.before}"
        assert not [s for s in sentences if s in said], (e.domain, said)
    pairs = [(zh, en) for en, zh in corpora.sentence_pairs()]
    planned = plan(pairs, ["af_heart", "zf_xiaoxiao", *sorted(HELD_OUT_VOICES)], lines=3000)
    assert not sentences & {line.text for line in planned if line.split == "train"}


@pytest.mark.usefixtures("_all_sentences")
def test_no_question_of_the_sets_is_asked_in_training() -> None:
    asked = {
        (row["text"], row["reply_language"], str(row.get("before"))) for row in [*rows("questions"), *rows("more")]
    }
    rng = Random(6)
    for domain in DOMAINS:
        for _ in range(1500):
            e = draw(rng, domain)
            before = None if e.before is None else list(e.before)
            assert (e.question, e.answer_lang, str(before)) not in asked


@pytest.mark.usefixtures("_all_sentences")
def test_no_conversation_of_the_sets_is_made_for_training() -> None:
    asked = {
        (row["text"], _explains(row.get("before", []), (row.get("answers") or [""])[0]), row.get("instructions", ""))
        for row in [*rows("follow"), *rows("obey")]
    }
    rng = Random(7)
    for spoken in [make(rng, lang) for make in (talked, _instructed) for lang in LANGS for _ in range(1500)]:
        assert (spoken.question, _explains(spoken.before, spoken.answer), spoken.instructions) not in asked


def _explains(before: Sequence[Sequence[str]], answer: str) -> str:
    """Of the turns before, the one without which the answer could not be known: where it was told, or the last."""
    return str(next((list(turn) for turn in before if core(answer) in turn[0]), list(before[-1]) if before else []))


def _instructed(rng: Random, lang: Lang) -> Spoken:
    return instructed(rng, lang).spoken


def test_long_questions_are_in_wordings_of_their_own_and_their_answers_known() -> None:
    wordings = {text for row in FACTS + TALK + STORIES for text in row[0] + row[1]}
    answers = {text for row in STORIES for text in row[2:]}
    assert not [row["text"] for row in rows("long") if any(said in row["text"] for said in wordings)]
    assert {row["answers"][0] for row in rows("long")} <= answers


def test_bad_sets_are_told(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="has no sets"):
        read_sets(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"text": "hi", "language": "en", "task": "sing"}\n')
    with pytest.raises(EvaluationError, match="task 'sing'; accepted: read, repeat, question, open"):
        read_sets(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"text": "hi", "language": "en", "audio": "a.flac"}\n')
    (item,) = read_sets(tmp_path)
    assert recorded([item]) == []
    (tmp_path / "a.flac").write_bytes(b"no audio")
    with pytest.raises(EvaluationError, match=r"a\.flac"):
        read_audio(item, 16_000)


def test_columns_of_a_tsv_mean_what_they_say(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("text\tlanguage\tpeople\tbefore\nHi.\ten\tfalse\t\nHo.\ten\ttrue\t\nHe.\ten\t\t\n")
    assert [(item.people, item.before) for item in read_sets(tmp_path)] == [(False, ()), (True, ()), (False, ())]
    path.write_text("text\tlanguage\tpeople\nHi.\ten\tsome\n")
    with pytest.raises(EvaluationError, match="people 'some'; accepted: true, false"):
        read_sets(tmp_path)
    path.write_text("text\tlanguage\tbefore\nHi.\ten\tab\n")
    with pytest.raises(EvaluationError, match="a list of two texts"):
        read_sets(tmp_path)
    path.write_text("text\tlanguage\nHi.\ten\n")
    (tmp_path / "a.jsonl").write_text('{"text": "hi", "language": "en"}\n')
    with pytest.raises(EvaluationError, match=r"two sets of the same name: a\.jsonl, a\.tsv"):
        read_sets(tmp_path)
