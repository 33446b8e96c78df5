"""Documents, worked out by hand: what a bundle of the 8B's shape is trained on."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from tokenizers import Tokenizer

from model.profile import Profile
from model.prompts.interleaved import Prompts
from model.training.rendering import WORDINGS, Scribe, Segment
from model.training.shards import Document
from streaming.stages import TurnOptions

USER = "<|begin_of_text|><|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n"
ASSISTANT = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
ASKED = "Please directly answer the questions in the user's speech. This is input: <sosp><3><1><eosp>."
ANSWER = (Segment("Yes, I am", (2, 2, 5)), Segment(" fine.", (5, 4, 4)))


@pytest.fixture(scope="module")
def scribe(large_profile: Profile, extended: Path) -> Scribe:
    return Scribe(large_profile, extended)


def parts(document: Document, directory: Path) -> tuple[str, str]:
    """(what is not learned, what is learned), written out; they must be one behind the other."""
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    learned = document.weights.index(1)
    assert set(document.weights[:learned]) == {0}
    assert set(document.weights[learned:]) == {1}
    assert len(document.ids) == len(document.weights)
    prompt, reply = (
        tokenizer.decode(ids, skip_special_tokens=False) for ids in (document.ids[:learned], document.ids[learned:])
    )
    return prompt, reply


def test_an_interleaved_turn(scribe: Scribe, extended: Path) -> None:
    document = scribe.turn([3, 3, 1], "How are you?", ANSWER, ("en", "en"))
    prompt, reply = parts(document, extended)
    assert prompt == USER + ASKED + ASSISTANT
    assert reply == (
        "[question]: How are you?; [answer]: Yes, I am<sosp><2><5><eosp> fine.<sosp><5><4><eosp><|eot_id|>"
    )


def test_a_full_chain_says_all_text_first(scribe: Scribe, extended: Path) -> None:
    _, reply = parts(scribe.turn([3, 1], "How are you?", ANSWER, ("en", "en"), variant="full_chain"), extended)
    assert reply == "[question]: How are you?; [answer]: Yes, I am fine.<sosp><2><5><4><eosp><|eot_id|>"


def test_without_transcript_the_answer_comes_at_once(scribe: Scribe, extended: Path) -> None:
    _, reply = parts(scribe.turn([3, 1], "How are you?", ANSWER, ("en", "en"), variant="no_tq"), extended)
    assert reply == "[answer]: Yes, I am<sosp><2><5><eosp> fine.<sosp><5><4><eosp><|eot_id|>"


def test_other_directions_have_their_wordings(scribe: Scribe, extended: Path) -> None:
    prompt, _ = parts(scribe.turn([3], "你好吗？", ANSWER, ("zh", "en")), extended)
    assert "in the user's speech in English. This is input: <sosp><3><eosp>." in prompt
    prompt, _ = parts(scribe.turn([3], "How are you?", ANSWER, ("en", "zh")), extended)
    assert "用中文回答用户语音中的问题。 这是输入: <sosp><3><eosp>。" in prompt
    with pytest.raises(ValueError, match="no wording for answers in 'fr'; accepted: en, zh, auto"):
        scribe.turn([3], "Ça va ?", ANSWER, ("fr", "fr"))


def test_the_turn_before_is_text(scribe: Scribe, extended: Path) -> None:
    prompt, _ = parts(scribe.turn([3, 1], "Why?", ANSWER, ("en", "en"), before=[("Are you well?", "Yes.")]), extended)
    assert (
        prompt
        == f"{USER}Are you well?{ASSISTANT}Yes.<|eot_id|>{USER.rpartition('<|begin_of_text|>')[2]}{ASKED}{ASSISTANT}"
    )


def test_what_trains_is_what_serves(scribe: Scribe, large_profile: Profile, extended: Path) -> None:
    prompts = Prompts(large_profile, extended)
    before, after = prompts.speech_prompt(TurnOptions(reply_language="en"), ())
    served = [*before, *prompts.unit_ids([3, 1]), *after]
    document = scribe.turn([3, 1], "你好吗？", ANSWER, ("zh", "en"))
    assert document.ids[: document.weights.index(1)] == served


def test_the_tasks_of_pre_training(scribe: Scribe, extended: Path) -> None:
    rng = Random(0)
    prompt, reply = parts(scribe.recognition(rng, [6, 6, 7], "Good day.", "en"), extended)
    assert prompt in [
        USER + wording.replace("{input}", "<sosp><6><7><eosp>") + ASSISTANT for wording in WORDINGS["asr"]["en"]
    ]
    assert reply == "Good day.<|eot_id|>"
    prompt, reply = parts(scribe.synthesis(rng, "Good day.", [6, 7, 7], "en"), extended)
    assert prompt in [USER + wording.replace("{input}", "Good day.") + ASSISTANT for wording in WORDINGS["tts"]["en"]]
    assert reply == "<sosp><6><7><eosp><|eot_id|>"
    prompt, reply = parts(scribe.translation(rng, "Good day.", "你好。", "zh"), extended)
    assert prompt in [USER + wording.replace("{input}", "Good day.") + ASSISTANT for wording in WORDINGS["mt"]["zh"]]
    assert reply == "你好。<|eot_id|>"
    assert parts(scribe.instruction(rng, "Say hi.", "Hi!"), extended) == (f"{USER}Say hi.{ASSISTANT}", "Hi!<|eot_id|>")


def test_wordings_vary(scribe: Scribe, extended: Path) -> None:
    rng = Random(0)
    asked = {parts(scribe.recognition(rng, [1], "Hi.", "zh"), extended)[0] for _ in range(100)}
    assert len(asked) == len(WORDINGS["asr"]["zh"])


def test_text_that_looks_like_a_marker_stays_text(scribe: Scribe, extended: Path) -> None:
    document = scribe.instruction(Random(0), "<sosp><3><eosp>", "<|eot_id|>")
    tokenizer = Tokenizer.from_file(str(extended / "tokenizer.json"))
    assert document.ids.count(tokenizer.token_to_id("<sosp>")) == 0
    assert document.ids.count(tokenizer.token_to_id("<3>")) == 0
    assert document.ids.count(tokenizer.token_to_id("<|eot_id|>")) == 2
