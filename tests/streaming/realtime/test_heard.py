"""What of an answer a listener has heard: exact at the ends of speech chunks, whole words between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.realtime.conversation import Item, heard_until
from streaming.report import ChunkMark

TEXT = "To wrap a present neatly, cut the paper first."
MARKS = (ChunkMark(25, 2.0), ChunkMark(len(TEXT), 3.5))


@pytest.mark.parametrize(
    ("end_s", "heard"),
    [
        (0.0, ""),
        (0.3, "To"),
        (1.0, "To wrap a"),
        (1.99, "To wrap a present"),
        (2.0, "To wrap a present neatly,"),
        (2.2, "To wrap a present neatly,"),
        (2.8, "To wrap a present neatly, cut the"),
        (3.5, TEXT),
        (9.0, TEXT),
    ],
)
def test_words_heard(end_s: float, heard: str) -> None:
    assert heard_until(TEXT, end_s, MARKS, 3.6) == heard


def test_a_slow_chunk_is_not_heard_sooner_because_the_next_is_fast() -> None:
    """A proportion of the whole would have put the listener far into the second chunk."""
    marks = (ChunkMark(25, 6.0), ChunkMark(len(TEXT), 7.0))
    assert heard_until(TEXT, 5.9, marks, 7.0) == "To wrap a present"
    assert heard_until(TEXT, 6.0, marks, 7.0) == "To wrap a present neatly,"


def test_chinese_is_cut_between_characters() -> None:
    text = "我很好，谢谢你。"
    assert heard_until(text, 1.0, (ChunkMark(len(text), 2.0),), 2.0) == "我很好，"


def test_text_runs_ahead_of_speech_in_a_chunk_that_was_broken_off() -> None:
    heard = heard_until(TEXT, 2.6, (MARKS[0],), 2.6)
    assert heard == "To wrap a present neatly, cut"
    assert heard_until("One two three four five six seven.", 0.5, (), 0.5) == "One two"


def test_an_interrupted_answer_keeps_what_was_sent_at_most() -> None:
    item = Item("assistant", text=TEXT, spoken=True, status="incomplete", audio_ms=2600, marks=(MARKS[0],))
    assert item.truncate(10**9) == 2600
    assert item.text == "To wrap a present neatly, cut"


def test_a_complete_answer_heard_to_the_end_stays_whole() -> None:
    item = Item("assistant", text=TEXT, spoken=True, audio_ms=3400, marks=MARKS)
    assert item.truncate(3400) == 3400
    assert item.text == TEXT


texts = st.text(st.sampled_from("ab, 你好。"), max_size=40)


@given(texts, st.lists(st.tuples(st.integers(0, 40), st.floats(0, 9)), max_size=4), st.floats(0, 10), st.floats(0, 10))
def test_more_time_never_means_less_heard(text: str, ends: list[tuple[int, float]], a: float, b: float) -> None:
    chars = sorted(min(end, len(text)) for end, _ in ends)
    marks = [ChunkMark(n, s) for n, s in zip(chars, sorted(s for _, s in ends), strict=True)]
    less, more = (heard_until(text, s, marks, 10) for s in sorted((a, b)))
    assert text.startswith(more.rstrip())
    assert more.startswith(less)
