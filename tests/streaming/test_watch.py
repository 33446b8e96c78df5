"""Where speech and text are ended that the model does not end: bounds by text, and circles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.bundle import find_bundle
from model.training.written_numbers import english_number, mandarin_number
from streaming.interleave import LMEvent, SpeechChunkDone, TextDelta, UnitsDelta, joined
from streaming.loops import LoopDetector
from streaming.pace import Pace, letters
from streaming.watch import AnswerWatch, Runaway, TranscriptWatch

MINI = find_bundle("cslm-mini").profile.speech_pace()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("It is five.", 8),
        ("A B", 8),
        ("5", 8),
        ("50%", 26),
        ("三加二", 0),
        ("😂", 10),
        ("—, “.” … ！", 0),
        ("Привет", 6),
    ],
)
def test_letters_as_they_are_written_out(text: str, expected: int) -> None:
    assert letters(text) == expected


def test_the_bound_grows_with_the_text() -> None:
    pace = Pace(units=10, per_letter=2, per_character=5)
    assert [pace.most_units(text) for text in ("", "ab", "三", "ab三")] == [10, 14, 15, 19]


@given(st.text(), st.text())
def test_more_text_takes_no_less_room(first: str, second: str) -> None:
    assert MINI.most_units(f"{first} {second}") >= MINI.most_units(f"{first} ")


PARTS: list[LMEvent] = [TextDelta("It is five."), *[UnitsDelta((unit,)) for unit in range(60)], SpeechChunkDone()]


@given(st.lists(st.integers(1, 20), max_size=80))
def test_units_are_cut_at_the_same_place_for_any_split(sizes: list[int]) -> None:
    watch, at, passed = AnswerWatch(MINI), 0, list[LMEvent]()
    for size in [*sizes, len(PARTS)]:
        passed += watch.passed(joined(PARTS[at : at + size]))
        at += size
    most = MINI.most_units("It is five.")
    assert joined(passed) == [TextDelta("It is five."), UnitsDelta(tuple(range(most)))]
    assert watch.ended == "speech_limit" and watch.text == "It is five."


def test_each_chunk_has_the_room_of_its_own_text() -> None:
    watch = AnswerWatch(MINI)
    chunk = [TextDelta("Five."), UnitsDelta(tuple(range(5))), SpeechChunkDone()]
    assert watch.passed(chunk * 10) == chunk * 10 and watch.ended is None
    assert watch.passed([TextDelta("Five."), UnitsDelta(tuple(range(50)))])[1] == UnitsDelta(
        tuple(range(MINI.most_units("Five.")))
    )


def test_text_that_runs_ahead_gives_room_to_all_speech_behind_it() -> None:
    watch = AnswerWatch(MINI)
    events = [TextDelta("It is "), UnitsDelta((1, 2, 3)), TextDelta("nearly five."), UnitsDelta(tuple(range(15)))]
    assert watch.passed(events) == events


def loops(text: str, step: int = 3) -> bool:
    detector = LoopDetector()
    return any(detector.loops(text[at : at + step]) for at in range(0, len(text), step))


ROW = "Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, merrily, life is but a dream. "
GREEN = (
    "Ten green bottles hanging on the wall, ten green bottles hanging on the wall, and if one green bottle should "
    "accidentally fall, there will be nine green bottles hanging on the wall. "
)


@pytest.mark.parametrize(
    "text",
    [
        ", ".join(english_number(n).replace(" ", "-") for n in range(200)),
        ", ".join(english_number(n) for n in range(200)),
        ", ".join(english_number(n) for n in range(200, 0, -1)),
        "，".join(mandarin_number(n) for n in range(100)),
        "，".join(mandarin_number(n) for n in range(100, 0, -1)),
        ROW,
        GREEN,
        "I said: the quick brown fox jumps over the lazy dog. " * 2,
        "No, no, no, no, no! Never.",
        "ha " * 20,
        "我喜欢你，" * 3,
    ],
)
def test_what_people_say_is_no_circle(text: str) -> None:
    assert not loops(text)


@pytest.mark.parametrize(
    "text",
    [
        "seventy-four, seventy-three, seventy-eight, seventy-seven, " * 12,
        "seventy-six, seventy-five, " * 20 + "seventy-four, " + "seventy-six, seventy-five, " * 20,
        "It is five and " * 20,
        "ha " * 60,
        "一加一等于二，" * 12,
        "The quick brown fox jumps over the lazy dog and runs away. " * 5,
    ],
)
def test_a_circle_is_found(text: str) -> None:
    assert loops(text)


@given(st.lists(st.sampled_from(["ha ", "a b c d ", "我喜欢", "one, "]), max_size=60), st.integers(1, 30))
def test_any_split_finds_the_same(parts: list[str], step: int) -> None:
    text = "".join(parts)
    assert loops(text, step) == loops(text, 1)


def transcribed(text: str, audio_s: float, step: int = 3) -> tuple[str, Runaway | None]:
    """What of a transcript passes, in pieces of `step` characters, and how it ended."""
    watch = TranscriptWatch(0, audio_s)
    passed = "".join(watch.passed(text[at : at + step]) for at in range(0, len(text), step))
    return passed + watch.rest(), watch.ended


BEFORE = "I would like to know how far it is from here, "


@pytest.mark.parametrize(
    ("text", "before"),
    [(BEFORE + "to the sea and " * 200, BEFORE), ("会议圆满结束，" * 100, "会议圆满结束，"), ("ha " * 500, "ha ha ha")],
)
def test_a_transcript_in_a_circle_ends_where_that_began(text: str, before: str) -> None:
    passed, ended = transcribed(text, audio_s=5.0)
    assert ended == "repetition" and passed.startswith(before)
    assert len(passed) < len(before) + 30


def test_a_transcript_has_no_more_than_can_be_said_in_the_time() -> None:
    text = " ".join(english_number(number) for number in range(1000))
    passed, ended = transcribed(text, audio_s=2.0)
    assert ended == "transcript_limit" and text.startswith(passed)
    assert 24 + 48 * 2 - 1 <= sum(map(str.isalpha, passed)) <= 24 + 48 * 2


@pytest.mark.parametrize(
    ("text", "audio_s"),
    [("no " * 60, 12.0), (ROW * 6, 30.0), (GREEN * 4, 30.0), ("哈" * 90, 15.0), ("Row, row, row.", 1.0)],
)
def test_who_says_it_again_and_again_is_written_down(text: str, audio_s: float) -> None:
    assert transcribed(text, audio_s) == (text, None)


def test_units_are_a_length_too() -> None:
    watch = TranscriptWatch(units=30)
    assert sum(map(str.isalpha, watch.passed("abcdefgh " * 100))) <= 24 + 4 * 30


@given(st.lists(st.sampled_from(["ha ", "a b c d ", "我喜欢", "one, ", "two! "]), max_size=60), st.integers(1, 30))
def test_any_split_of_a_transcript_lets_the_same_through(parts: list[str], step: int) -> None:
    text = "".join(parts)
    assert transcribed(text, 1.0, step) == transcribed(text, 1.0, 1)
    assert text.startswith(transcribed(text, 1.0)[0])
