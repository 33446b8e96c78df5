"""What a session can be set to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from streaming.audio import WireFormat
from tests.fakes import (
    TRANSCRIPT,
    UNIT_BASE,
    UNITS,
    FakeDecoder,
    FakeLM,
)
from tests.streaming.realtime.dialogue import HEARD, QUESTION, error_of, started
from tests.streaming.realtime.peer import Peer, silence, tone

Connect = Callable[..., Peer]


async def test_the_session_says_what_it_is(connect: Connect) -> None:
    peer = connect()
    session = (await peer.until("session.created"))["session"]
    assert (session["type"], session["model"], session["reply_language"]) == ("realtime", "fake", "auto")
    assert session["audio"]["output"]["voice"] == "default"
    assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
async def test_telephone_formats_both_ways(connect: Connect, kind: Any) -> None:
    wire, lm = WireFormat(kind, 8_000), FakeLM()
    peer = connect(lm=lm)
    peer.update(audio={"input": {"format": {"type": kind}}, "output": {"format": {"type": kind}}})
    session = (await peer.until("session.updated"))["session"]
    assert session["audio"]["input"]["format"] == session["audio"]["output"]["format"] == {"type": kind}
    peer.say(tone(400, 8_000), wire, piece=160)
    peer.say(silence(800, 8_000), wire, piece=160)
    done = await peer.until("response.done")
    assert done["response"]["audio"]["output"]["format"] == {"type": kind}
    audio = peer.audio(wire)
    assert audio.size == len(UNITS) * FakeDecoder().per_unit // 3
    assert 0.25 < np.abs(audio).max() < 0.35
    assert UNIT_BASE + 15 in lm.prompts[0]


async def test_a_response_may_change_the_voice_without_changing_the_format(connect: Connect) -> None:
    peer = connect()
    peer.update(audio={"output": {"format": {"type": "audio/pcmu"}}})
    peer.type_text("Hello?")
    peer.send("response.create", response={"audio": {"output": {"voice": "other"}}})
    output = (await peer.until("response.done"))["response"]["audio"]["output"]
    assert output == {"format": {"type": "audio/pcmu"}, "voice": "other"}
    peer.send("response.create", response={"audio": {"output": {"format": {"type": "audio/pcm"}}}})
    output = (await peer.until("response.done"))["response"]["audio"]["output"]
    assert output == {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "default"}


OFF: dict[str, Any] = {
    "include": ["item.input_audio_transcription.logprobs"],
    "reasoning": {"effort": "low"},
    "tracing": {"workflow_name": "x"},
    "truncation": {"type": "retention_ratio", "retention_ratio": 0.5},
}


async def test_settings_that_change_nothing_heard_are_taken_and_shown_as_off(connect: Connect) -> None:
    peer = connect()
    pcmu = {"type": "audio/pcmu"}
    transcription = {"model": "x", "keywords": ["x"], "languages": ["en"]}
    peer.update(
        audio={"input": {"format": pcmu, "noise_reduction": {"type": "near_field"}, "transcription": transcription}},
        **OFF,
    )
    session = (await peer.until("session.updated"))["session"]
    assert session["audio"]["input"]["format"] == pcmu
    assert session["audio"]["input"]["noise_reduction"] is None
    assert (session["include"], session["truncation"]) == (None, "auto")
    assert not peer.all("error")


ALONE: list[tuple[dict[str, Any], str, str]] = [
    ({"tools": [{"type": "function", "name": "f"}]}, "invalid_value", "session.tools"),
    ({"tool_choice": {"type": "function", "name": "f"}}, "invalid_value", "session.tool_choice"),
    ({"prompt": {"id": "x"}}, "unsupported_parameter", "session.prompt"),
    ({"audio": {"output": {"speed": 2}}}, "invalid_value", "session.audio.output.speed"),
]


@pytest.mark.parametrize(("settings", "code", "param"), ALONE)
async def test_what_no_model_can_do_is_refused_alone(
    connect: Connect, settings: dict[str, Any], code: str, param: str
) -> None:
    peer = connect()
    audio = {"input": {"format": {"type": "audio/pcmu"}}, **settings.get("audio", {})}
    session = {"type": "realtime", "instructions": "Be brief.", **settings, "audio": audio}
    peer.send("session.update", session=session, event_id="mine")
    error = (await peer.until("error"))["error"]
    assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
    told = (await peer.until("session.updated"))["session"]
    assert (told["instructions"], told["audio"]["input"]["format"]) == ("Be brief.", {"type": "audio/pcmu"})


async def test_all_that_cannot_be_done_is_told_at_once(connect: Connect) -> None:
    peer = connect()
    peer.update(tools=[{"type": "function", "name": "f"}], prompt={"id": "x"})
    await peer.until("session.updated")
    assert [event["error"]["param"] for event in peer.all("error")] == ["session.tools", "session.prompt"]


async def test_an_unknown_voice(connect: Connect) -> None:
    peer = await started(connect())
    peer.update(instructions="x", audio={"output": {"voice": "nobody"}})
    error = (await peer.until("error"))["error"]
    assert (error["code"], error["param"]) == ("invalid_value", "session.audio.output.voice")
    assert "default, other" in error["message"]
    peer.type_text("Hello?")
    peer.send("response.create", response={"audio": {"output": {"voice": "nobody"}}})
    assert await error_of(peer) == ("invalid_value", "response.audio.output.voice")
    peer.update(audio={"output": {"voice": "other"}})
    session = (await peer.until("session.updated"))["session"]
    assert (session["audio"]["output"]["voice"], session["instructions"]) == ("other", "")


async def test_another_model(connect: Connect) -> None:
    peer = connect()
    peer.update(model="gpt-9")
    assert await error_of(peer) == ("invalid_value", "session.model")
    for name in ("fake", "gpt-realtime", "gpt-4o-realtime-preview-2024-12-17"):
        peer.update(model=name)
        assert (await peer.until("session.updated"))["session"]["model"] == "fake"


async def test_a_transcription_shows_no_more_than_clients_know(connect: Connect) -> None:
    """Pipecat 1.14 takes these three and ends its receiving with a TypeError at any other."""
    created = await connect().until("session.created")
    assert set(created["session"]["audio"]["input"]["transcription"]) == {"model", "language", "prompt"}


@pytest.mark.parametrize("tracing", ["auto", {"workflow_name": "talk", "group_id": "1", "metadata": {"a": 1}}, None])
async def test_tracing_is_taken_and_nothing_is_traced(connect: Connect, tracing: object) -> None:
    peer = connect()
    peer.update(tracing=tracing)
    assert (await peer.until("session.updated"))["session"].get("tracing") is None


async def test_transcripts_can_be_turned_off_while_speaking(connect: Connect) -> None:
    peer = connect()
    peer.say(QUESTION)
    begin = await peer.until("input_audio_buffer.speech_started")
    peer.update(audio={"input": {"transcription": None}})
    session = (await peer.until("session.updated"))["session"]
    assert session["audio"]["input"]["transcription"] is None
    peer.say(silence(700))
    assert (await peer.until("input_audio_buffer.committed"))["item_id"] == begin["item_id"]
    await peer.until("response.done")
    assert [kind for kind in peer.kinds() if kind.startswith(HEARD)] == []
    peer.send("conversation.item.retrieve", item_id=begin["item_id"])
    item = (await peer.until("conversation.item.retrieved"))["item"]
    assert item["content"][0]["transcript"] == TRANSCRIPT


async def test_a_reply_language_that_the_model_cannot_be_told_is_refused_at_once(connect: Connect) -> None:
    for languages, wanted in ((("auto",), "zh"), (("auto", "en", "zh"), "fr")):
        peer = connect(reply_languages=languages)
        peer.send("session.update", session={"type": "realtime", "reply_language": wanted})
        error = (await peer.until("error"))["error"]
        assert (error["param"], error["code"]) == ("session.reply_language", "invalid_value")
        assert error["message"].endswith(f"accepted: {', '.join(languages)}")
    peer = connect(reply_languages=("auto",))
    peer.type_text("Hello?")
    peer.send("response.create", response={"reply_language": "en"})
    assert (await peer.until("error"))["error"]["param"] == "response.reply_language"
    peer.send("response.create")
    assert (await peer.until("response.done"))["response"]["status"] == "completed"
