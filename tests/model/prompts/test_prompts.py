"""Prompts of cslm-mini, token for token, and answers read back."""

from __future__ import annotations

import asyncio
import threading
from itertools import pairwise, takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from model.bundle import find_bundle
from model.prompts.interleaved import Prompts
from streaming.errors import InvalidRequest
from streaming.interleave import TextDelta, TranscriptDelta, UnitsDelta, joined
from streaming.spoken import SpokenForm
from streaming.stages import Exchange, TurnOptions

BUNDLE = find_bundle("cslm-mini")
PROMPTS = BUNDLE.prompts
TOKENIZER = Tokenizer.from_file(str(BUNDLE.lm / "tokenizer.json"))
CONTROL = {token.content for token in TOKENIZER.get_added_tokens_decoder().values()}


def names(ids: list[int]) -> str:
    """The ids written out, control tokens included."""
    return TOKENIZER.decode(ids, skip_special_tokens=False)


def test_a_spoken_question_is_rendered_as_in_training() -> None:
    before, after = PROMPTS.speech_prompt(TurnOptions(reply_language="en"), ())
    ids = [*before, *PROMPTS.unit_ids([3, 7]), *after]
    assert names(ids) == (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n"
        "Please answer the questions in the user's speech in English. This is input: <sosp><3><7><eosp>.<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    assert ids == TOKENIZER.encode(names(ids), add_special_tokens=False).ids


def test_what_was_typed_beside_speech_stands_before_it() -> None:
    before, after = PROMPTS.speech_prompt(TurnOptions(), (), "Which one? <sosp>")
    written = names([*before, *PROMPTS.unit_ids([3]), *after])
    assert "This is input: Which one? <sosp> <sosp><3><eosp>." in written
    assert before.count(TOKENIZER.token_to_id("<sosp>")) == 1


def test_a_transcript_ends_where_an_answer_would_begin() -> None:
    assert TOKENIZER.token_to_id("[answer]") in PROMPTS.sampling(TurnOptions(task="transcribe"), 10).stop_token_ids
    assert TOKENIZER.token_to_id("[answer]") not in PROMPTS.sampling(TurnOptions(), 10).stop_token_ids


def test_a_task_needs_its_wording() -> None:
    translate = TurnOptions(task="translate", reply_language="zh")
    without = Prompts(BUNDLE.profile.model_copy(update={"tasks": {}}), BUNDLE.lm)
    with pytest.raises(InvalidRequest) as refused:
        without.speech_prompt(translate, ())
    assert refused.value.code == "unsupported_task"
    tasks = {"translate": {"zh": "翻译成中文: {input}"}}
    can = Prompts(BUNDLE.profile.model_copy(update={"tasks": tasks}), BUNDLE.lm)
    assert "翻译成中文: <sosp>" in names(can.speech_prompt(translate, ())[0])
    with pytest.raises(InvalidRequest, match="accepted: zh"):
        can.speech_prompt(TurnOptions(task="translate", reply_language="en"), ())


def test_full_chain_asks_for_all_text_first() -> None:
    before, after = PROMPTS.speech_prompt(TurnOptions(reply_language="zh", schedule="full_chain"), ())
    assert "Write the whole answer first, then speak it." in names(before + after)


@settings(max_examples=50)
@given(st.text(max_size=40) | st.sampled_from(["<sosp><12><eosp>", "[answer]", "<|eot_id|>", "<|begin_of_text|>x"]))
def test_text_of_users_never_becomes_a_control_token(text: str) -> None:
    ids = PROMPTS.text_prompt(text, TurnOptions(reply_language="en"), ())
    empty = PROMPTS.text_prompt("", TurnOptions(reply_language="en"), ())
    controls = {TOKENIZER.token_to_id(name) for name in CONTROL}
    assert [i for i in ids if i in controls] == [i for i in empty if i in controls]


def test_an_answer_is_read_back() -> None:
    text = "[question]: What is two plus one?; [answer]: Two plus one<sosp><4><4><9><eosp> is three.<sosp><5><eosp>"
    parser = PROMPTS.parser()
    events = joined(parser.feed(TOKENIZER.encode(text, add_special_tokens=False).ids) + parser.finish())
    assert [event.text for event in events if isinstance(event, TranscriptDelta)] == ["What is two plus one?"]
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["Two plus one", " is three."]
    assert [event.units for event in events if isinstance(event, UnitsDelta)] == [(4, 9), (5,)]


def test_chinese_characters_survive_any_tokenization() -> None:
    parser = PROMPTS.parser()
    ids = TOKENIZER.encode("[answer]: 你好，龘😀。", add_special_tokens=False).ids
    assert "".join(event.text for event in parser.feed(ids) if isinstance(event, TextDelta)) == "你好，龘😀。"


@pytest.mark.parametrize(
    ("options", "param"),
    [
        (TurnOptions(temperature=3.0), "temperature"),
        (TurnOptions(top_p=0.0), "top_p"),
        (TurnOptions(max_tokens=0), "max_tokens"),
    ],
)
def test_sampling_out_of_range_is_named(options: TurnOptions, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        PROMPTS.sampling(options, 10)
    assert caught.value.param == param


def test_a_prompt_without_room_for_an_answer_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        PROMPTS.sampling(TurnOptions(), BUNDLE.profile.max_model_len)
    assert caught.value.code == "context_length_exceeded"


def test_an_answer_never_outgrows_the_context() -> None:
    room = PROMPTS.sampling(TurnOptions(), BUNDLE.profile.max_model_len - 5).max_tokens
    assert room == 5


def test_history_is_told_as_far_as_the_bundle_allows() -> None:
    profile = BUNDLE.profile.model_copy(update={"history_turns": 1})
    prompts = Prompts(profile, BUNDLE.lm)
    history = [Exchange("first", "one"), Exchange("second", "two")]
    written = names(prompts.text_prompt("third", TurnOptions(reply_language="en"), history))
    assert "first" not in written
    assert "second<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\ntwo<|eot_id|>" in written
    assert written.index("second") < written.index("third")


def test_a_history_shorter_than_the_bundle_allows_is_told_whole() -> None:
    prompts = Prompts(BUNDLE.profile.model_copy(update={"history_turns": 6}), BUNDLE.lm)
    history = [Exchange(f"question {n}", f"answer {n}") for n in range(5)]
    written = names(prompts.text_prompt("last", TurnOptions(reply_language="en"), history))
    assert all(f"question {n}<" in written and f"answer {n}<" in written for n in range(5))


def test_two_of_three_prompts_of_a_long_conversation_begin_as_the_one_before() -> None:
    """With six told turns. What follows the beginning is all that a backend with a prefix cache computes."""
    prompts = Prompts(BUNDLE.profile.model_copy(update={"history_turns": 6}), BUNDLE.lm)
    history = [Exchange(f"question number {n}", f"answer number {n}") for n in range(30)]
    options = TurnOptions(reply_language="en")
    asked = [prompts.text_prompt(f"question number {n}", options, history[:n]) for n in range(12, 30)]
    shared = [
        sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False))) / len(after)
        for before, after in pairwise(asked)
    ]
    assert sum(share > 0.5 for share in shared) >= len(shared) * 2 // 3
    assert min(shared) < 0.2, "then three are dropped at once"


READ = TurnOptions(task="read")


def test_a_text_to_be_read_is_rendered_as_in_training() -> None:
    ids = PROMPTS.text_prompt("It is five. <12>", READ, ())
    assert names(ids) == "<|begin_of_text|>[answer]: It is five. <12><sosp>"
    assert TOKENIZER.token_to_id("<12>") not in ids, "text of users stays text"
    assert PROMPTS.opening(READ) == [TOKENIZER.token_to_id("<sosp>")]
    assert TOKENIZER.token_to_id("<eosp>") in PROMPTS.sampling(READ, 10).stop_token_ids
    parser = PROMPTS.parser()
    ids = [*PROMPTS.opening(READ), *PROMPTS.unit_ids([4, 9])]
    assert UnitsDelta((4, 9)) in joined(parser.feed(ids) + parser.finish())


def test_a_pause_is_speech() -> None:
    assert names(PROMPTS.pause()) == "<sosp><0><eosp>"


def test_a_transcript_may_have_a_prompt_of_its_own() -> None:
    options = TurnOptions(task="transcribe")
    assert PROMPTS.speech_prompt(options, ()) == PROMPTS.speech_prompt(TurnOptions(), ())
    assert PROMPTS.opening(options) == []
    tasks = {"transcribe": {"default": "<|begin_of_text|>{input}[question]"}}
    taught = Prompts(BUNDLE.profile.model_copy(update={"tasks": tasks}), BUNDLE.lm)
    before, after = taught.speech_prompt(options, ())
    assert names([*before, *taught.unit_ids([3]), *after]) == "<|begin_of_text|><sosp><3><eosp>[question]"
    assert taught.opening(options) == [TOKENIZER.token_to_id("[question]")]


def test_reading_aloud_must_have_been_learned() -> None:
    with pytest.raises(InvalidRequest) as caught:
        Prompts(BUNDLE.profile.model_copy(update={"tasks": {}}), BUNDLE.lm).text_prompt("Hi", READ, ())
    assert caught.value.code == "unsupported_task"


async def test_short_texts_do_not_wait_for_long_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts, go_on = Prompts(BUNDLE.profile, BUNDLE.lm), threading.Event()

    class Slow:
        def spoken(self, text: str) -> SpokenForm:
            assert len(text) < 10 or go_on.wait(60)
            return SpokenForm(text)

    monkeypatch.setattr(prompts, "_reader", Slow())
    async with asyncio.TaskGroup() as tasks:
        for _ in range(40):  # more than the threads that all share
            tasks.create_task(prompts.spoken_form("long " * 1_000, TurnOptions()))
        await asyncio.sleep(0)
        assert (await prompts.spoken_form("short", TurnOptions())).text == "short"
        go_on.set()
