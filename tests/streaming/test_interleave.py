"""The interleaved chain of modality, by hand and for any stream of ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.interleave import (
    InterleaveParser,
    LMEvent,
    Markers,
    SpeechChunkDone,
    TextDelta,
    TranscriptDelta,
    TranscriptDone,
    UnitsDelta,
    joined,
)

QUESTION, ANSWER, SOSP, EOSP = range(4)
MARKERS = Markers(QUESTION, ANSWER, SOSP, EOSP)
UNIT_BASE, TEXT_BASE = 10, 10_000
UNITS = {UNIT_BASE + unit: unit for unit in range(4096)}
OUT_OF_RANGE = UNIT_BASE + 4450


def detokenizer():
    return lambda token: chr(token - TEXT_BASE) if token >= TEXT_BASE else ""


def new_parser() -> InterleaveParser:
    return InterleaveParser(MARKERS, UNITS, detokenizer)


def ids(*parts: str | int | Sequence[int]) -> list[int]:
    """Strings are text by the character, numbers are control tokens, lists are units."""
    out: list[int] = []
    for part in parts:
        if isinstance(part, str):
            out += [TEXT_BASE + ord(character) for character in part]
        elif isinstance(part, int):
            out.append(part)
        else:
            out += [UNIT_BASE + unit for unit in part]
    return out


def parsed(*parts: str | int | Sequence[int]) -> tuple[list[LMEvent], int]:
    parser = new_parser()
    events = parser.feed(ids(*parts)) + parser.finish()
    return joined(events), parser.dropped


def texts(events: Iterable[LMEvent], kind: type[TextDelta] | type[TranscriptDelta]) -> str:
    return "".join(event.text for event in events if isinstance(event, kind))


def test_the_papers_own_example() -> None:
    events, dropped = parsed(
        QUESTION, ": How do I wrap a present neatly?; ",
        ANSWER, ": To neatly wrap a present,", SOSP, [68, 1868], EOSP, " start by wrapping it,", SOSP, [7, 9], EOSP,
    )  # fmt: skip
    assert events == [
        TranscriptDelta("How do I wrap a present neatly?"),
        TranscriptDone(),
        TextDelta("To neatly wrap a present,"),
        UnitsDelta((68, 1868)),
        SpeechChunkDone(),
        TextDelta(" start by wrapping it,"),
        UnitsDelta((7, 9)),
        SpeechChunkDone(),
    ]
    assert dropped == 0


def test_units_the_decoder_does_not_have_are_dropped_and_counted() -> None:
    events, dropped = parsed(ANSWER, ": a", SOSP, [68], OUT_OF_RANGE, [69], "text", EOSP, [3], EOSP)
    assert [event for event in events if isinstance(event, UnitsDelta)] == [UnitsDelta((68, 69))]
    assert dropped == 1 + len("text") + 2


def test_repeated_units_are_merged() -> None:
    events, dropped = parsed(SOSP, [5, 5, 6, 6, 6, 5], EOSP)
    assert events == [UnitsDelta((5, 6, 5)), SpeechChunkDone()]
    assert dropped == 0


def test_without_markers_all_of_it_is_the_answer() -> None:
    assert parsed(": it is five; ") == ([TextDelta(": it is five; ")], 0)


def test_the_separator_of_a_text_that_never_comes_is_no_text() -> None:
    assert parsed(ANSWER, ": ", SOSP, [1], EOSP)[0] == [UnitsDelta((1,)), SpeechChunkDone()]
    assert parsed(QUESTION, ": ", ANSWER, ":")[0] == [TranscriptDone()]


@pytest.mark.parametrize("head", [":", ": ", "：", ":\n ", "", " "])
@pytest.mark.parametrize("tail", [";", "; ", "；", "；\n", "", "  "])
def test_separators_around_the_transcript_are_stripped(head: str, tail: str) -> None:
    events, _ = parsed(QUESTION, f"{head}What is it?{tail}", ANSWER, f"{head}It is five.")
    assert texts(events, TranscriptDelta) == "What is it?"
    assert texts(events, TextDelta) == "It is five."


def test_punctuation_inside_the_transcript_stays() -> None:
    events, _ = parsed(QUESTION, ": one: two; three; 四；五 ;", ANSWER, ": a: b; ")
    assert texts(events, TranscriptDelta).rstrip() == "one: two; three; 四；五"
    assert texts(events, TextDelta) == "a: b; "


def test_only_one_leading_colon_is_stripped() -> None:
    assert texts(parsed(ANSWER, ":: x")[0], TextDelta) == ": x"


def test_what_could_be_the_end_of_the_transcript_is_held_back() -> None:
    parser = new_parser()
    parser.feed(ids(QUESTION, ": Hi"))
    assert parser.feed(ids("; ")) == []
    assert joined(parser.feed(ids("you"))) == [TranscriptDelta("; you")]


def test_spaces_at_the_start_of_a_chunk_stay() -> None:
    events, _ = parsed(ANSWER, ": a", SOSP, [1], EOSP, " b", SOSP, [2], EOSP, ": c")
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["a", " b", ": c"]


def test_the_end_of_the_stream_closes_what_is_open() -> None:
    assert parsed(SOSP, [1, 2])[0] == [UnitsDelta((1, 2)), SpeechChunkDone()]
    assert parsed(QUESTION, ": Hi;")[0] == [TranscriptDelta("Hi"), TranscriptDone()]
    assert parsed()[0] == []


def test_there_is_one_transcript() -> None:
    events, dropped = parsed(QUESTION, ": a", QUESTION, ": b", ANSWER, ": c", QUESTION, ": d", ANSWER, ": e")
    assert events == [TranscriptDelta("a"), TranscriptDone(), TextDelta("ce")]
    assert dropped == 2 * len(": b")


def test_a_new_speech_chunk_inside_another_closes_it() -> None:
    assert parsed(SOSP, [1], SOSP, [2], EOSP)[0] == [
        UnitsDelta((1,)), SpeechChunkDone(), UnitsDelta((2,)), SpeechChunkDone(),
    ]  # fmt: skip


any_id = st.one_of(
    st.sampled_from([QUESTION, ANSWER, SOSP, EOSP, OUT_OF_RANGE]),
    st.integers(UNIT_BASE, UNIT_BASE + 5),
    st.sampled_from(":：;； ab三\n").map(lambda character: TEXT_BASE + ord(character)),
)


@given(st.lists(any_id, max_size=60), st.data())
def test_any_split_of_any_stream_gives_the_same_events(stream: list[int], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    whole, split = new_parser(), new_parser()
    expected = joined(whole.feed(stream) + whole.finish())
    events: list[LMEvent] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        events += split.feed(stream[start:end])
    assert joined(events + split.finish()) == expected
    assert split.dropped == whole.dropped


@given(st.lists(any_id, max_size=60))
def test_any_stream_keeps_the_grammar(stream: list[int]) -> None:
    parser = new_parser()
    events = parser.feed(stream) + parser.finish()
    assert sum(isinstance(event, TranscriptDone) for event in events) <= 1
    last_unit = None
    transcript_open = QUESTION in stream
    open_chunk = False
    for event in events:
        match event:
            case TranscriptDelta(text):
                assert text
                assert transcript_open
            case TranscriptDone():
                transcript_open = False
            case TextDelta(text):
                assert text
                assert not open_chunk
            case UnitsDelta(units):
                assert units
                assert last_unit != units[0]
                open_chunk, last_unit = True, units[-1]
            case SpeechChunkDone():
                open_chunk = False
    assert not open_chunk
    assert not transcript_open


@given(st.text(alphabet="ab ;；三", min_size=1).filter(str.strip))
def test_text_is_neither_lost_nor_invented(text: str) -> None:
    events, dropped = parsed(ANSWER, ": " + text, SOSP, [1], EOSP, text)
    assert texts(events, TextDelta) == text.lstrip() + text
    assert dropped == 0
