"""Responses apart from the conversation, with an input of their own, and several at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streaming.realtime.limits import SessionLimits
from streaming.stages import Exchange
from tests.fakes import TEXT, TRANSCRIPT, FakeLM, FakePrompts, FakeVoiceActivity, text_ids
from tests.streaming.realtime.peer import Peer, tone

Connect = Callable[..., Peer]

APART = {"conversation": "none"}


def typed(text: str, role: str = "user") -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


async def test_apart_from_the_conversation(connect: Connect) -> None:
    peer = connect()
    peer.type_text("Hello?")
    peer.send("response.create", response=APART | {"metadata": {"topic": "mood"}, "output_modalities": ["text"]})
    done = (await peer.until("response.done"))["response"]
    assert (done["conversation_id"], done["metadata"]) == (None, {"topic": "mood"})
    assert done["output"][0]["content"] == [{"type": "output_text", "text": TEXT}]
    assert len(peer.all("conversation.item.added")) == 1
    peer.send("conversation.item.retrieve", item_id=done["output"][0]["id"])
    assert (await peer.until("error"))["error"]["code"] == "item_retrieve_invalid_item_id"


async def test_at_the_same_time_as_the_conversation_s(connect: Connect) -> None:
    peer = connect(lm=FakeLM(hang_after=60))
    peer.type_text("Hello?")
    peer.send("response.create")
    inside = (await peer.until("response.created"))["response"]
    peer.send("response.create", response=APART)
    outside = (await peer.until("response.created"))["response"]
    assert inside["conversation_id"] and outside["conversation_id"] is None
    peer.send("response.cancel")
    assert (await peer.until("response.done"))["response"]["id"] == inside["id"]
    peer.send("response.cancel", response_id=outside["id"])
    done = (await peer.until("response.done"))["response"]
    assert (done["id"], done["status"]) == (outside["id"], "cancelled")


async def test_speech_interrupts_only_the_conversation_s(connect: Connect) -> None:
    peer = connect(lm=FakeLM(hang_after=60), voice_activity=FakeVoiceActivity)
    peer.type_text("Hello?")
    peer.send("response.create", response=APART)
    peer.send("response.create")
    for _ in range(2):
        await peer.until("response.created")
    peer.say(tone(300))
    done = (await peer.until("response.done"))["response"]
    assert done["conversation_id"] is not None
    await peer.settled()
    assert len(peer.protocol.open) == 1


async def test_not_more_than_a_few(connect: Connect) -> None:
    peer = connect(lm=FakeLM(hang_after=5), limits=SessionLimits(max_responses=2))
    peer.type_text("Hello?")
    peer.send("response.create", response=APART)
    peer.send("response.create", response=APART)
    assert (await peer.until("error"))["error"]["code"] == "too_many_responses"
    peer.send("response.create")
    limits = [await peer.until("rate_limits.updated") for _ in range(1)]
    assert limits[0]["rate_limits"][0]["remaining"] >= 0
    assert len(peer.protocol.responses) == 2


async def test_an_input_in_place_of_the_conversation(connect: Connect) -> None:
    lm, prompts = FakeLM(), FakePrompts()
    peer = connect(lm=lm, prompts=prompts)
    peer.type_text("My name is Ann.", id="name")
    peer.type_text("Not this.")
    given = [
        {"type": "item_reference", "id": "name"},
        typed("Hello Ann.", "assistant"),
        typed("Be kind.", "system"),
        typed("Who am I?"),
    ]
    peer.send("response.create", response=APART | {"input": given})
    await peer.until("response.done")
    assert prompts.histories == [[Exchange("My name is Ann.", "Hello Ann.")]]
    assert prompts.options[0].instructions == "Be kind."
    assert lm.prompts[0][-10:-1] == text_ids("Who am I?")
    assert len(peer.all("conversation.item.added")) == 2


async def test_a_recording_as_input(connect: Connect) -> None:
    lm = FakeLM()
    peer = connect(lm=lm)
    spoken = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": ""}]}
    peer.send("response.create", event_id="e", response={"input": [spoken]})
    error = (await peer.until("error"))["error"]
    assert (error["code"], error["param"], error["event_id"]) == (
        "audio_too_short",
        "response.input.0.content.0.audio",
        "e",
    )
    peer.send("response.create", response={"input": [{"type": "item_reference", "id": "none"}]})
    error = (await peer.until("error"))["error"]
    assert (error["code"], error["param"]) == ("item_retrieve_invalid_item_id", "response.input.0.id")
    assert not peer.protocol.responses


async def test_an_empty_input_answers_the_instructions(connect: Connect) -> None:
    lm = FakeLM()
    peer = connect(lm=lm)
    peer.type_text("Hello?")
    peer.send("response.create", response={"input": []})
    assert (await peer.until("error"))["error"]["code"] == "nothing_to_answer"
    peer.send("response.create", response={"input": [], "instructions": "Greet me."})
    assert (await peer.until("response.done"))["response"]["status"] == "completed"
    assert lm.prompts[0][-10:-1] == text_ids("Greet me.")


async def test_text_and_speech_in_one_message(connect: Connect) -> None:
    lm = FakeLM()
    peer = connect(lm=lm)
    import base64

    from streaming.audio import WireFormat

    audio = base64.b64encode(WireFormat().encode(tone(300))).decode()
    content = [{"type": "input_text", "text": "Look:"}, {"type": "input_audio", "audio": audio}]
    peer.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    added = await peer.until("conversation.item.added")
    assert [part["type"] for part in added["item"]["content"]] == ["input_text", "input_audio"]
    peer.send("response.create")
    heard = await peer.until("conversation.item.input_audio_transcription.completed")
    assert (heard["content_index"], heard["transcript"]) == (1, TRANSCRIPT)
    await peer.until("response.done")
    written = "".join(map(chr, (token - 1000 for token in lm.prompts[0] if token >= 1000)))
    assert written.endswith("Look:")


async def test_what_was_typed_right_before_is_asked_with_it(connect: Connect) -> None:
    lm = FakeLM()
    peer = connect(lm=lm)
    peer.type_text("I have two apples.")
    peer.type_text("How many?")
    peer.send("response.create")
    await peer.until("response.done")
    assert lm.prompts[0][-29:-1] == text_ids("I have two apples.\nHow many?")
