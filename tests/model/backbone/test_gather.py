"""Sentences to train on, out of what people wrote."""

from __future__ import annotations

from pathlib import Path

from model.training.backbone import gather


def test_english_is_tidied_and_slips_are_left_out() -> None:
    things = ("tea", "rice", "fish", "milk", "bread", "soup")
    texts = [f"i like {a}. do you like {b}? im sure you dont like {a} and {b}" for a in things for b in things]
    found = gather.english([*texts, "I lkie tea a lot. I like tea so much!"])
    assert {"I like tea.", "Do you like rice?", "I'm sure you don't like fish and milk."} <= set(found)
    assert not [sentence for sentence in found if "lkie" in sentence or "much" in sentence]
    assert gather.english(["hahaha i like tea"] * 9) == []
    assert gather.english(["too short"] * 9) == []


def test_mandarin_is_cut_into_clauses() -> None:
    long = "我今天早上在公园里跑步,中午在家里吃米饭和鱼,晚上和朋友们一起看电影,大家都很高兴!"
    found = gather.mandarin(
        [f"{long}{'很' * n}" for n in range(1, 3) for _ in range(9)] + ["我今天很高兴。今天我在公园里。"] * 9
    )
    assert found == []  # no character is common yet: the same sentence counts once
    varied = [f"{a}{b}{c}{d}今天很高兴" for a in "我你他" for b in "在看" for c in "家里" for d in "吃喝"]
    assert set(gather.mandarin(varied)) == {f"{text}。" for text in varied}
    clauses = list(gather._clauses(gather._sentences(long)[0]))
    assert "".join(clauses).replace("。", "，").rstrip("，！") == long.replace(",", "，").rstrip("!")
    assert max(map(len, clauses)) <= gather.MOST_CHARACTERS


def test_a_tagged_corpus_is_read_as_text(tmp_path: Path) -> None:
    (tmp_path / "news.txt").write_text("[中国/ns  政府/n]nt  发表/v  讲话/n  。/w\n", encoding="utf-8")
    assert gather.tagged(tmp_path / "news.txt") == ["中国政府发表讲话。"]


def test_examples_of_wordnet_are_sentences_of_any_word_and_quote_nobody(tmp_path: Path) -> None:
    line = '00001 00 n 01 rust 0 000 @ | red oxide; "rust ate the fender"; "the rest is silence" - Shakespeare; "so rusty"; a "color"  '
    (tmp_path / "data.noun").write_text(f"  1 This software is provided | as it is\n{line}\n", encoding="utf-8")
    assert gather.examples(tmp_path / "data.noun") == ["rust ate the fender", "so rusty", "color"]
