"""Segments of seven words, moved to punctuation."""

from __future__ import annotations

import pytest

pytest.importorskip("jieba")

from model.training.segments import segments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It has four legs.", ["It has four legs."]),
        ("My name is Mini. It is nice to meet you.", ["My name is Mini.", " It is nice to meet you."]),
        (
            "one two three four five six seven eight nine ten eleven twelve",
            ["one two three four five six seven", " eight nine ten eleven twelve"],
        ),
        (
            "I listen to your voice, and I answer you with my own voice, in English or in Chinese.",
            ["I listen to your voice,", " and I answer you with my own voice,", " in English or in Chinese."],
        ),
        ("Three, four, five, six, seven, eight, nine, ten.", ["Three, four, five, six, seven, eight, nine, ten."]),
        ("二加三等于五。", ["二加三等于五。"]),
        ("", []),
    ],
)
def test_hand_worked(text: str, expected: list[str]) -> None:
    assert segments(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "我叫迷你，是一个小小的语音模型。我听你说话，然后用我自己的声音回答你，可以说英语，也可以说中文。",
        "Tea comes from China. People put dry leaves into hot water, wait a few minutes, and then drink it with friends.",
    ],
)
def test_joined_they_are_the_text(text: str) -> None:
    pieces = segments(text)
    assert "".join(pieces) == text
    assert len(pieces) >= 3
    assert all(piece.strip() for piece in pieces)
