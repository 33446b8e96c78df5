"""Prompts of GLM-4-Voice token for token against its authors' way, and its answers read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from model.bundle import BUNDLES
from model.profile import load_profile
from model.prompts.alternating import AlternatingPrompts
from model.prompts.interleaved import Prompts
from model.prompts.plain_text import TIKTOKEN, PlainText, convert_tiktoken
from streaming.errors import BundleError, InvalidRequest
from streaming.interleave import SpeechChunkDone, TextDelta, UnitsDelta, joined
from streaming.stages import Exchange, TurnOptions
from tests.released.glm import (
    ASSISTANT,
    AUDIO,
    AUDIO_END,
    BASE,
    END,
    FIRST_UNIT,
    GMASK,
    OBSERVATION,
    ROWS,
    SOP,
    SYSTEM,
    USER,
    ranks,
    write_text_tokenizer,
)  # fmt: skip

PROFILE = load_profile(BUNDLES / "glm-4-voice")
ASKED = (
    "User will provide you with a {} instruction. Do it step by step. First, think about the instruction and respond in a "
    "interleaved manner, with 13 text token followed by 26 audio tokens."
)
UNITS = [68, 1868, 16_383, 0, 0]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("lm")
    write_text_tokenizer(directory)
    convert_tiktoken(directory)
    return directory


@pytest.fixture(scope="module")
def prompts(directory: Path) -> AlternatingPrompts:
    return AlternatingPrompts(PROFILE, directory)


@pytest.fixture(scope="module")
def authors(directory: Path) -> Tokenizer:
    """A string with its control tokens written out, and `[gMASK]<sop>` before it: their demonstration's way."""
    return Tokenizer.from_file(str(directory / "tokenizer.json"))


def theirs(authors: Tokenizer, text: str) -> list[int]:
    return [GMASK, SOP, *authors.encode(text, add_special_tokens=False).ids]


def rendered(prompts: Prompts, options: TurnOptions | None = None, history: list[Exchange] | None = None) -> list[int]:
    before, after = prompts.speech_prompt(options or TurnOptions(), history or [])
    return [*before, *prompts.unit_ids(UNITS), *after]


def spoken(units: list[int]) -> str:
    return f"<|begin_of_audio|>{''.join(f'<|audio_{unit}|>' for unit in units)}<|end_of_audio|>"


def test_a_spoken_question_is_rendered_as_the_authors_do(prompts: Prompts, authors: Tokenizer) -> None:
    text = f"<|system|>\n{ASKED.format('speech')} <|user|>\n{spoken(UNITS)}<|assistant|>streaming_transcription\n"
    ids = rendered(prompts)
    assert ids == theirs(authors, text)
    newline = ranks()[b"\n"]
    assert ids[:4] == [GMASK, SOP, SYSTEM, newline]
    assert ids[ids.index(USER) :][:4] == [USER, newline, AUDIO, FIRST_UNIT + 68]
    assert ids[ids.index(AUDIO_END) :][:2] == [AUDIO_END, ASSISTANT] and ids[-1] == newline
    assert max(ids) == FIRST_UNIT + 16_383 < ROWS


def test_a_typed_question_is_rendered_as_the_authors_do(prompts: Prompts, authors: Tokenizer) -> None:
    text = f"<|system|>\n{ASKED.format('text')}<|user|>\nTwo plus one?<|assistant|>streaming_transcription\n"
    assert prompts.text_prompt("Two plus one?", TurnOptions(), []) == theirs(authors, text)


def test_earlier_turns_are_text_but_for_speech_that_nobody_wrote_down(prompts: Prompts, authors: Tokenizer) -> None:
    history = [Exchange("Two plus one", "three"), Exchange("", "not more", (5, 5, 7)), Exchange("", "lost")]
    options = TurnOptions(instructions="Do it")
    text = (
        f"<|system|>\n{ASKED.format('speech')} \nDo it<|user|>\nTwo plus one<|assistant|>\nthree"
        f"<|user|>\n{spoken([5, 5, 7])}<|assistant|>\nnot more"
        f"<|user|>\n{spoken(UNITS)}<|assistant|>streaming_transcription\n"
    )
    assert rendered(prompts, options, history) == theirs(authors, text)


@pytest.mark.parametrize("task", ["transcribe", "translate", "read"])
def test_what_it_was_not_taught_is_refused(prompts: Prompts, task: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prompts.text_prompt("Two", TurnOptions(task=task), [])  # type: ignore[arg-type]
    assert caught.value.code == "unsupported_task"


def test_sampling_is_as_released_and_its_own_turn_ends_it(prompts: Prompts) -> None:
    sampling = prompts.sampling(TurnOptions(), 100)
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens) == (0.2, 0.8, 2000)
    assert set(sampling.stop_token_ids) == {USER, END, OBSERVATION}


WRITTEN = st.sampled_from(["<|audio_12|>", "<|user|>", "<|begin_of_audio|>", "[gMASK]", "<sop>", "世界 a"])


@settings(max_examples=30)
@given(st.lists(WRITTEN | st.text(max_size=5), max_size=6).map("".join))
def test_what_users_write_stays_text(prompts: Prompts, text: str) -> None:
    ids, empty = (prompts.text_prompt(each, TurnOptions(), ()) for each in (text, ""))
    assert [token for token in ids if token >= BASE] == [token for token in empty if token >= BASE]


def test_an_answer_is_read_back(prompts: Prompts) -> None:
    """A character whose bytes are torn apart by units is whole again; repeats are kept, they are how long a sound lasts."""
    found, world = ranks(), "世".encode()
    ids = [found[b"Two"], found[b" plus"], found[world[:1]], FIRST_UNIT + 5, FIRST_UNIT + 5, FIRST_UNIT + 9]
    ids += [found[world[1:2]], found[world[2:]], found[b" one"], AUDIO, FIRST_UNIT + 9, AUDIO_END, ROWS - 1]
    parser = prompts.parser()
    assert joined(parser.feed(ids) + parser.finish()) == [
        TextDelta("Two plus"),
        UnitsDelta((5, 5, 9)),
        TextDelta("世 one"),
        UnitsDelta((9,)),
        SpeechChunkDone(),
    ]
    assert parser.dropped == 3


def test_text_alone_and_nothing_at_all_have_no_speech(prompts: Prompts) -> None:
    parser = prompts.parser()
    assert parser.feed([ranks()[b"Two"]]) + parser.finish() == [TextDelta("Two")]
    assert prompts.parser().finish() == []


ANY_ID = st.integers(0, ROWS + 10) | st.sampled_from(
    [AUDIO, AUDIO_END, USER, FIRST_UNIT, FIRST_UNIT + 5, 10, 228, 184, 150]
)


@settings(max_examples=60)
@given(st.lists(ANY_ID, max_size=60), st.data())
def test_any_split_of_any_stream_gives_the_same_events(
    prompts: Prompts, stream: list[int], data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    whole, split, events = prompts.parser(), prompts.parser(), []
    expected = joined(whole.feed(stream) + whole.finish())
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        events += split.feed(stream[start:end])
    assert joined(events + split.finish()) == expected
    units = [unit for event in expected if isinstance(event, UnitsDelta) for unit in event.units]
    assert units == [token - FIRST_UNIT for token in stream if FIRST_UNIT <= token < FIRST_UNIT + 16_384]
    assert (
        split.dropped
        == whole.dropped
        == sum(BASE <= token < FIRST_UNIT or token > FIRST_UNIT + 16_383 for token in stream)
    )
    assert expected[-1:] == [SpeechChunkDone()] if units else SpeechChunkDone() not in expected


@pytest.fixture(scope="module")
def reference(directory: Path) -> Any:
    """tiktoken itself, with the ranks and the pattern."""
    tiktoken = pytest.importorskip("tiktoken")
    split = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))["pre_tokenizer"]["pretokenizers"][0]
    return tiktoken.Encoding("glm", pat_str=split["pattern"]["Regex"], mergeable_ranks=ranks(), special_tokens={})


@settings(max_examples=60)
@given(
    st.text(max_size=20)
    | st.lists(st.sampled_from(["Two plus", " 你好", "13 26 token", "\n\n", "世界。"])).map("".join)
)
def test_the_converted_tokenizer_gives_tiktokens_ids(prompts: Prompts, reference: Any, text: str) -> None:
    assert prompts._plain.encode(text) == reference.encode_ordinary(text)
    assert prompts._plain.decode(prompts._plain.encode(text)) == text


@pytest.mark.parametrize(
    "token",
    [
        "<|audio_77|>",
        "<|user|>",
        "<|assistant|>",
        "<|system|>",
        "[gMASK]",
        "<sop>",
        "<|begin_of_audio|>",
        "<|end_of_audio|>",
    ],
)
def test_a_tokenizer_without_a_token_is_refused(directory: Path, tmp_path: Path, token: str) -> None:
    text = (directory / "tokenizer.json").read_text(encoding="utf-8")
    (tmp_path / "tokenizer.json").write_text(text.replace(f'"{token}"', '"<|another|>"'), encoding="utf-8")
    with pytest.raises(BundleError) as caught:
        AlternatingPrompts(PROFILE, tmp_path)
    assert (caught.value.code, token in caught.value.message) == ("wrong_text_tokenizer", True)


def test_added_tokens_may_stand_in_a_file_of_their_own(directory: Path, tmp_path: Path) -> None:
    small = b"".join((directory / TIKTOKEN).read_bytes().splitlines(keepends=True)[:300])
    (tmp_path / TIKTOKEN).write_bytes(small)
    added = {"300": {"content": "<|user|>"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}), encoding="utf-8")
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<|audio_0|>": 301}), encoding="utf-8")
    convert_tiktoken(tmp_path)
    plain = PlainText.load(tmp_path)
    assert (plain.size, plain.token("<|user|>"), plain.token("<|audio_0|>")) == (300, 300, 301)


@pytest.mark.parametrize("harm", ["cut", "garbage", "no config"])
def test_a_damaged_tokenizer_is_named(directory: Path, tmp_path: Path, harm: str) -> None:
    lines = (directory / TIKTOKEN).read_bytes().splitlines(keepends=True)[:300]
    data = b"".join(lines)
    damaged = {"cut": b"".join(lines[:100] + lines[200:]), "garbage": b"<html>not found</html>", "no config": data}[
        harm
    ]
    (tmp_path / TIKTOKEN).write_bytes(damaged)
    if harm != "no config":
        (tmp_path / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError) as caught:
        convert_tiktoken(tmp_path)
    assert caught.value.code == "wrong_text_tokenizer"


def test_answers_with_marks_need_the_marks(directory: Path) -> None:
    with pytest.raises(BundleError, match=r"tokens\.question"):
        Prompts(PROFILE, directory)
