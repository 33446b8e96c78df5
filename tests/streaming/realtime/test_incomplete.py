"""Responses that are not whole answers: `incomplete`, with a code that says why, and the session goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from streaming.pace import Pace
from tests.fakes import UNITS, FakeLM, FakePrompts, answer_ids, text_ids, unit_ids
from tests.streaming.realtime.dialogue import QUESTION, manual
from tests.streaming.realtime.peer import Peer

Connect = Callable[..., Peer]

EMOJIS = "😂😂😂"
NOTHING = answer_ids("Hm?")


async def answered(peer: Peer, text: str | None = None) -> dict[str, Any]:
    """The response to a typed question, or to a spoken one."""
    if text is None:
        peer.say(QUESTION)
        peer.send("input_audio_buffer.commit")
    else:
        peer.type_text(text)
    peer.send("response.create")
    response: dict[str, Any] = (await peer.until("response.done"))["response"]
    return response


def told(response: dict[str, Any]) -> tuple[str, str | None, str | None]:
    """Status, reason and code."""
    details = response["status_details"]
    return response["status"], details.get("reason"), details.get("error", {}).get("code")


@pytest.mark.parametrize("text", [None, "what?"])
@pytest.mark.parametrize(
    ("script", "code"),
    [
        (NOTHING, "empty_answer"),
        (answer_ids("Hm?", ("Only words.", ())), "no_speech"),
        (answer_ids("Hm?", ("It is five.", UNITS * 20)), "speech_limit"),
        (answer_ids("Hm?", *[("five and six and seven and ", UNITS[:4])] * 40), "repetition"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_answer_that_falls_short_is_incomplete(
    connect: Connect, text: str | None, script: list[int], code: str
) -> None:
    peer = await manual(connect(lm=FakeLM(script), pace=Pace(units=4, per_letter=1.5)))
    for _ in range(2):  # the session goes on
        response = await answered(peer, text)
        assert told(response) == ("incomplete", None, code)
        assert response["output"][0]["status"] == "incomplete"
    assert not peer.all("error")


async def test_a_question_that_cannot_be_written_down_is_incomplete_and_the_session_goes_on(connect: Connect) -> None:
    peer = await manual(connect(lm=FakeLM(answer_ids("to the sea and " * 100, ("It is far.", UNITS)))))
    for _ in range(2):
        response = await answered(peer)
        assert told(response) == ("incomplete", None, "empty_answer")
        assert response["warnings"][0]["code"] == "repetition"
    written = peer.all("conversation.item.input_audio_transcription.completed")
    assert len(written) == 2 and all(len(event["transcript"]) < 40 for event in written)
    assert not peer.all("error")


async def test_a_question_without_words_is_incomplete(connect: Connect) -> None:
    lm = FakeLM()
    peer = await manual(connect(lm=lm))
    assert told(await answered(peer, EMOJIS)) == ("incomplete", None, "nothing_to_answer")
    assert not lm.prompts


async def test_the_limit_of_tokens_is_the_reason_that_the_protocol_has(connect: Connect) -> None:
    peer = await manual(connect())
    peer.update(max_output_tokens=30)
    assert told(await answered(peer)) == ("incomplete", "max_output_tokens", None)


@pytest.mark.parametrize(("text", "code"), [(None, "empty_answer"), (EMOJIS, "nothing_to_answer")])
async def test_a_bundle_that_can_says_sorry(connect: Connect, text: str | None, code: str) -> None:
    def model(prompt: list[int]) -> list[int]:
        return unit_ids(UNITS) if prompt[-2] == text_ids("y")[0] else NOTHING

    peer = await manual(connect(lm=FakeLM(model), prompts=FakePrompts(apology="Sorry")))
    response = await answered(peer, text)
    assert told(response) == ("incomplete", None, code)
    assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": "Sorry"}]
    assert peer.audio().size == 960 * len(UNITS)


async def test_what_was_left_out_is_told_at_the_end(connect: Connect) -> None:
    peer = await manual(connect())
    response = await answered(peer, f"Two {EMOJIS} three?")
    assert response["status"] == "completed"
    assert [(warning["code"], warning["text"]) for warning in response["warnings"]] == [("text_dropped", EMOJIS)]
