"""Cutting text for reading aloud: at sentences, at pauses where one is too long, and nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.sentences import columns, sentences


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Hello there, you! How are you?", ["Hello there, you!", "How are you?"]),
        ("Dr. Smith paid 3.50 dollars. He left.", ["Dr. Smith paid 3.50 dollars.", "He left."]),
        ("你好。今天天气很好！我们去公园，好不好？", ["你好。今天天气很好！", "我们去公园，好不好？"]),
        ("“Is it true?” she asked. “是的。”他说。", ["“Is it true?”", "she asked. “是的。”", "他说。"]),
        ("A first line of text\n\n  and a second\tline", ["A first line of text", "and a second line"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_are_read_one_by_one(text: str, pieces: list[str]) -> None:
    assert sentences(text, 60) == pieces


def test_a_long_sentence_is_cut_at_its_pauses() -> None:
    text = "This sentence has a comma in it, and it goes on for quite a while after that"
    assert sentences(text, 40) == ["This sentence has a comma in it,", "and it goes on for quite a while after", "that"]
    assert sentences("这是一个很长的句子，" * 4, 60) == ["这是一个很长的句子，这是一个很长的句子，"] * 2


@given(st.text(alphabet="ab .,!?\n你好。，"), st.integers(20, 60))
def test_nothing_is_lost_and_nothing_is_too_long(text: str, longest: int) -> None:
    pieces = sentences(text, longest)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(piece and columns(piece) <= longest for piece in pieces)
