"""What is written or made to train on: which answers are worth learning, whose answer is known, conversations, instructions."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from model.training import corpora
from model.training.backbone.filters import leaks, lines_of, sensible, speakable, stands_alone
from model.training.backbone.instructed import MANNERS, core, instructed, only_numbers
from model.training.backbone.known import answer_of, everyday, refusal_of, refusals, refused
from model.training.backbone.talks import TOLD, VALUES, leaning, remembered
from model.training.backbone.texts import has_scored_sentence, is_held_out, kept, language_of
from model.training.domains import LANGS, Lang

SETS = Path(__file__).parents[2] / "data" / "eval"


@pytest.fixture(autouse=True)
def _sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {
        "chinese": "我喜欢喝茶。",
        "translation": {"en": "I like tea."},
        "hsk_level": 1,
        "tokens": [{"word": "茶", "gloss_en": "tea"}],
    }
    path = tmp_path / "sentences.json"
    path.write_text(json.dumps([row]), encoding="utf-8")
    monkeypatch.setenv(corpora.SENTENCES_VARIABLE, str(path))
    for cached in (corpora._sentence_rows, corpora.sentence_pairs, corpora.word_pairs, corpora.short_pairs):
        cached.cache_clear()


def test_written_answers_are_cut_to_what_can_be_spoken() -> None:
    long = "Tea is warm. It has leaves; you can drink it."
    assert speakable(long, "en") == long
    assert speakable("Here is a list: 1. a\n2. b", "en") == ""
    assert speakable("As an AI language model, I drink nothing.", "en") == ""
    assert speakable("I'm sorry, but I can't assist with that.", "en") == ""
    assert speakable("茶很好喝。", "en") == ""
    assert speakable("Tea is good.", "zh") == ""
    assert speakable("我很好很好很好很好很好很好很好很好很好很好。", "zh") == ""
    assert speakable("茶很好喝。" + "我喜欢喝茶也喜欢喝水" * 6 + "。", "zh") == "茶很好喝。"
    assert speakable("You get a cozy house with a cozy kitchen and a cozy bed.", "en") == ""
    assert lines_of("1. What is tea made of?\n2. 茶？\n- Why?\nQuestion: Is tea warm?", "en") == [
        "What is tea made of?",
        "Is tea warm?",
    ]


@pytest.mark.parametrize(
    ("question", "answer", "lang"),
    [
        ("How long is winter?", "There are 5 small weeks in a year.", "en"),
        ("Who plays on TV?", "Some stars are Michael Jordan and many friends.", "en"),
        ("Do you like trips?", "Yes, I went to the sea last summer with a boat.", "en"),
        ("Has technology made people understanding?", "Yes, technology has made people understanding.", "en"),
        ("Which drinks do you like?", "I like coffee, warm tea, and coffee.", "en"),
        ("你对未来的态度是什么？", "乐观态度是积极乐观的态度。", "zh"),
        ("冬天有多久？", "一年有五百个小星期。", "zh"),
        ("你喜欢旅行吗？", "我曾参加过一次旅行，体验了大自然。", "zh"),
    ],
)
def test_nonsense_is_left_out(question: str, answer: str, lang: Lang) -> None:
    assert not sensible(question, answer, lang)


@pytest.mark.parametrize(
    ("question", "answer", "lang"),
    [
        ("Why do cats purr?", "Cats purr when they feel calm and safe.", "en"),
        ("What is your favourite colour?", "I like blue.", "en"),
        ("怎么记住新单词？", "大声读出来，第二天再复习一遍。", "zh"),
        ("Is 40 degrees hot?", "Yes, 40 degrees feels very hot.", "en"),
    ],
)
def test_sense_is_kept(question: str, answer: str, lang: Lang) -> None:
    assert sensible(question, answer, lang)


def test_questions_that_lean_on_what_is_not_there_are_left_out() -> None:
    assert stands_alone("What do cats eat?")
    assert stands_alone("怎么记住新单词？")
    for question in (
        "Were there other people?",
        "Is it hard?",
        "Or are you going?",
        "How many cats are there?",
        "他喜欢什么？",
        "谁写的？",
        "为什么茶会生病？",
        "Why is tea ill?",
        "A cat.",
    ):
        assert not stands_alone(question)


def test_an_answer_that_repeats_an_example_is_told() -> None:
    example = "Say them aloud, use them in a sentence."
    assert leaks("Is chess hard?", "Use them in a sentence and win.", "en", [example])
    assert not leaks("Can I use them in a sentence?", "Yes, use them in a sentence.", "en", [example])


@pytest.mark.parametrize(
    ("question", "english", "mandarin"),
    [
        ("What is the capital city of Australia?", "The capital of Australia is Canberra.", "澳大利亚的首都是堪培拉。"),
        ("What's 12 plus thirty?", "Twelve plus thirty is forty-two.", "十二加三十等于四十二。"),
        ("6乘以7等于多少？", "Six times seven is forty-two.", "六乘以七等于四十二。"),
        ("小的反义词是什么？", "The opposite of small is big.", "小的反面是大。"),
        ("What colour is the sky on a fine day?", "The sky is blue.", "天空是蓝色的。"),
    ],
)
def test_worlds_answer_what_they_know(question: str, english: str, mandarin: str) -> None:
    assert (answer_of(question, "en"), answer_of(question, "zh")) == (english, mandarin)


def test_worlds_do_not_guess() -> None:
    for question in (
        "What is the capital of Atlantis?",
        "Are ham and eggs good?",
        "What is five minus nine?",
        "What is the capital of France and Spain?",
    ):
        assert answer_of(question, "en") is None


def test_what_nobody_can_know_is_refused_by_its_kind() -> None:
    for kind in refusals():
        for lang in LANGS:
            assert len(kind.asked[lang]) >= 5
            assert len(kind.said[lang]) >= 2
    found = refusal_of("How is the weather in the north today?")
    assert found is not None
    assert found.about == "weather"
    assert refusal_of("Why do cats purr?") is refusal_of("存钱有什么好处？") is None
    asked = {held: {refused(Random(n), "en", held=held).question for n in range(200)} for held in (True, False)}
    assert asked[True]
    assert not asked[True] & asked[False]


@pytest.mark.parametrize("lang", LANGS)
def test_everyday_answers_can_be_spoken_and_are_not_asked_in_the_evaluation(lang: Lang) -> None:
    for seed in range(300):
        spoken = everyday(Random(seed), lang)
        assert not has_scored_sentence(spoken.question)
        assert speakable(spoken.answer, language_of(spoken.answer)) == spoken.answer, spoken
        assert (language_of(spoken.answer) == lang) == (spoken.reply_language == "auto")


@pytest.mark.parametrize("lang", LANGS)
def test_what_is_remembered_was_told_before(lang: Lang) -> None:
    values = {
        word for kind in TOLD for word in kept(VALUES[kind][lang].split(", " if lang == "en" else "、"), held=True)
    }
    for seed in range(60):
        for held in (True, False):
            spoken = remembered(Random(seed), lang, held=held)
            assert core(spoken.answer) in spoken.before[0][0]
            assert 1 <= len(spoken.before) <= 3
            assert (core(spoken.answer) in values) == held
        assert 1 <= len(leaning(Random(seed), lang).before) <= 3


@pytest.mark.parametrize("lang", LANGS)
def test_what_is_made_obeys_and_no_wording_of_the_evaluation_is_trained(lang: Lang) -> None:
    seen: dict[bool, set[str]] = {True: set(), False: set()}
    for seed in range(150):
        for held, wordings in seen.items():
            drawn = instructed(Random(seed), lang, held=held)
            answer = drawn.spoken.answer
            if drawn.manner != "name":
                wordings.add(drawn.spoken.instructions)
                assert MANNERS[drawn.manner].obeyed(answer, "zh" if any(c >= "\u4e00" for c in answer) else "en"), drawn
    assert not seen[True] & seen[False]
    assert len(seen[True]) >= 8


def test_manners_tell_what_does_not_obey() -> None:
    plain = "The capital of France is Paris, a large old city."
    assert [name for name, manner in MANNERS.items() if manner.obeyed(plain, "en")] == ["english"]
    assert only_numbers("Forty-two.", "en")
    assert only_numbers("42", "zh")
    assert not only_numbers("It is four.", "en")


def test_no_open_question_of_the_sets_is_trained_on() -> None:
    asked = [json.loads(line)["text"] for line in (SETS / "open.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(asked) == len(set(asked)) == 200
    assert [question for question in asked if not is_held_out(question)] == []
    assert is_held_out("为什么鸟会飞？")  # 鸟为什么会飞？
