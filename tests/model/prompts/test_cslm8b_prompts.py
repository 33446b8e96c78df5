"""Prompts of cslm-8b token for token, worked out by hand with the ids of Llama 3's vocabulary, and its answers read back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from model.bundle import BUNDLES
from model.profile import load_profile
from model.prompts.interleaved import Prompts
from streaming.errors import BundleError
from streaming.interleave import SpeechChunkDone, TextDelta, TranscriptDelta, TranscriptDone, UnitsDelta, joined
from streaming.stages import Exchange, TurnOptions
from tests.released.language_model import (
    ANSWER,
    BOS,
    END,
    EOM,
    EOSP,
    EOT,
    HEADER,
    HEADER_END,
    QUESTION,
    SOSP,
    write_tokenizer,
)

PROFILE = load_profile(BUNDLES / "cslm-8b")
UNITS = [68, 1868, 4095, 0]
UNIT_IDS = [128_324, 130_124, 132_351, 128_256]
USER, ASSISTANT = [HEADER, 882, HEADER_END], [HEADER, 78_191, HEADER_END, 271]
IN_ENGLISH = [1115, 374, 1988, 25, 220]  # " This", " is", " input", ":", " "
IN_CHINESE = [122_255, 21_043, 32_296, 25, 220]  # " 这", "是", "输入", ":", " "
WORDED = {
    ("en", "en"): [5618, 6089, 4320, 279, 4860, 304, 279, 1217, 596, 8982, 13, *IN_ENGLISH],
    ("zh", "en"): [5618, 4320, 279, 4860, 304, 279, 1217, 596, 8982, 304, 6498, 13, *IN_ENGLISH],
    ("zh", "zh"): [109_467, 113_925, 20_600, 73_981, 79_785, 105_363, 87_219, 1811, *IN_CHINESE],
    ("en", "zh"): [11_883, 108_891, 113_925, 20_600, 73_981, 79_785, 105_363, 87_219, 1811, *IN_CHINESE],
}


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("lm")
    write_tokenizer(directory)
    return directory


@pytest.fixture(scope="session")
def prompts(directory: Path) -> Prompts:
    return Prompts(PROFILE, directory)


def rendered(prompts: Prompts, options: TurnOptions, history: list[Exchange] | None = None) -> list[int]:
    before, after = prompts.speech_prompt(options, history or [])
    return [*before, *prompts.unit_ids(UNITS), *after]


@pytest.mark.parametrize(("asked", "reply"), WORDED)
def test_the_four_directions(prompts: Prompts, asked: str, reply: str) -> None:
    options = TurnOptions(question_language=asked, reply_language=reply)
    stop = 13 if reply == "en" else 1811
    assert rendered(prompts, options) == [
        BOS, BOS, *USER, 271, *WORDED[asked, reply], SOSP, *UNIT_IDS, EOSP, stop, EOT, *ASSISTANT,
    ]  # fmt: skip


@pytest.mark.parametrize(("asked", "reply"), WORDED)
def test_the_authors_way_gives_the_same_ids(prompts: Prompts, directory: Path, asked: str, reply: str) -> None:
    """Their inference script renders an empty answer with the chat template, cuts its end off, and tokenizes the string."""
    tokenizer = AutoTokenizer.from_pretrained(directory)
    wording = PROFILE.templates[reply][asked].replace("{input}", f"<sosp>{''.join(f'<{u}>' for u in UNITS)}<eosp>")
    turns = [{"role": "user", "content": wording}, {"role": "assistant", "content": ""}]
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    text = text.removesuffix("<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n")
    options = TurnOptions(question_language=asked, reply_language=reply)
    assert tokenizer(text).input_ids == rendered(prompts, options)


def test_a_language_that_is_not_known_is_not_guessed(prompts: Prompts) -> None:
    assert rendered(prompts, TurnOptions(reply_language="zh")) == rendered(
        prompts, TurnOptions(question_language="en", reply_language="zh")
    )
    assert rendered(prompts, TurnOptions()) == rendered(
        prompts, TurnOptions(question_language="en", reply_language="en")
    )
    assert rendered(prompts, TurnOptions(question_language="zh")) == rendered(
        prompts, TurnOptions(question_language="zh", reply_language="zh")
    )


def test_instructions_and_earlier_turns_are_text_before_the_question(prompts: Prompts) -> None:
    options = TurnOptions(reply_language="en", question_language="en", instructions=" user")
    history = [Exchange(" How", " To"), Exchange(" What", " one")]
    turns = [
        *[HEADER, 9125, HEADER_END, 271, 1217, EOT],
        *[*USER, 271, 2650, EOT, *ASSISTANT, 2057, EOT],
        *[*USER, 271, 3639, EOT, *ASSISTANT, 832, EOT],
    ]
    assert rendered(prompts, options, history) == [
        BOS,
        BOS,
        *turns,
        *rendered(prompts, replace(options, instructions=""))[2:],
    ]


def test_tasks_have_their_wordings(prompts: Prompts) -> None:
    heard = [SOSP, *UNIT_IDS, EOSP]
    for options in (TurnOptions(task="transcribe"), TurnOptions(task="translate", reply_language="zh")):
        ids = rendered(prompts, options)
        assert ids[:6] == [BOS, BOS, *USER, 271] and ids[-12:] == [*heard, ids[-6], EOT, *ASSISTANT]
        assert ids != rendered(prompts, TurnOptions())
    read = prompts.text_prompt(" user", TurnOptions(task="read"), ())
    assert read[:2] == [BOS, BOS] and read[-6:] == [EOT, *ASSISTANT, SOSP]
    assert prompts.opening(TurnOptions(task="read")) == [SOSP]
    assert prompts.sampling(TurnOptions(task="read"), 10).stop_token_ids[-1] == EOSP


def test_sampling_is_as_released_and_can_be_overridden(prompts: Prompts) -> None:
    sampling = prompts.sampling(TurnOptions(), 100)
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.max_tokens) == (1.0, 0.7, 50, 4096)
    assert set(sampling.stop_token_ids) == {END, EOM, EOT}
    greedy = prompts.sampling(TurnOptions(temperature=0.0, top_p=1.0, max_tokens=7), 100)
    assert (greedy.temperature, greedy.top_p, greedy.max_tokens) == (0.0, 1.0, 7)
    assert prompts.sampling(TurnOptions(), 8000).max_tokens == 192


WRITTEN = st.sampled_from(
    ["<12>", "<sosp>", "<eosp>", "[question]", "[answer]", "<|eot_id|>", "<|begin_of_text|>", "用户 a"]
)


@settings(max_examples=40)
@given(st.lists(WRITTEN | st.text(max_size=5), max_size=6).map("".join))
def test_what_users_write_stays_text(prompts: Prompts, text: str) -> None:
    ids = prompts.text_prompt(text, TurnOptions(), ())
    empty = prompts.text_prompt("", TurnOptions(), ())
    assert [i for i in ids if i >= 128_000] == [i for i in empty if i >= 128_000]


def test_an_answer_is_read_back(prompts: Prompts) -> None:
    parser = prompts.parser()
    ids = [
        QUESTION,
        25,
        2650,
        656,
        358,
        15_411,
        264,
        3118,
        63_266,
        30,
        26,
        220,
    ]  # ": How do I wrap a present neatly?; "
    ids += [ANSWER, 25, 2057, 63_266, 15_411, 264, 3118, 11]  # ": To neatly wrap a present,"
    ids += [SOSP, UNIT_IDS[0], UNIT_IDS[0], UNIT_IDS[1], 132_706, EOSP, 1212, 555, 42_295, 11, SOSP, UNIT_IDS[2]]
    assert joined(parser.feed(ids) + parser.finish()) == [
        TranscriptDelta("How do I wrap a present neatly?"),
        TranscriptDone(),
        TextDelta("To neatly wrap a present,"),
        UnitsDelta((68, 1868)),
        SpeechChunkDone(),
        TextDelta(" start by wrapping,"),
        UnitsDelta((4095,)),
        SpeechChunkDone(),
    ]
    assert parser.dropped == 1  # the id where <4450> would be, as in the paper's own sample


ANY_ID = st.sampled_from([QUESTION, ANSWER, SOSP, EOSP, EOT, 25, 26, 220, 271, 3639, 21_043, *UNIT_IDS]) | st.integers(
    0, 140_000
)


@settings(max_examples=60)
@given(st.lists(ANY_ID, max_size=40), st.data())
def test_any_split_of_any_stream_gives_the_same_events(
    prompts: Prompts, stream: list[int], data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    whole, split = prompts.parser(), prompts.parser()
    expected = joined(whole.feed(stream) + whole.finish())
    events = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        events += split.feed(stream[start:end])
    assert joined(events + split.finish()) == expected
    assert split.dropped == whole.dropped
    assert all(0 <= unit < 4096 for event in expected if isinstance(event, UnitsDelta) for unit in event.units)


def test_a_tokenizer_of_llama_3_0_has_no_end_of_message(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(
        path.read_text(encoding="utf-8").replace("<|eom_id|>", "<|reserved_special_token_3|>"), encoding="utf-8"
    )
    assert set(Prompts(PROFILE, tmp_path).sampling(TurnOptions(), 10).stop_token_ids) == {END, EOT}


@pytest.mark.parametrize("token", ["<77>", "<sosp>", "[answer]"])
def test_a_tokenizer_without_a_marker_is_refused(tmp_path: Path, token: str) -> None:
    write_tokenizer(tmp_path, without=token)
    with pytest.raises(BundleError) as caught:
        Prompts(PROFILE, tmp_path)
    assert caught.value.code == "wrong_text_tokenizer"
    assert token in caught.value.message
