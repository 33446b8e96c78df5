"""Bad client events: each is told, and leaves the session as it was."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from streaming.audio import WireFormat
from streaming.realtime.limits import SessionLimits
from tests.fakes import (
    FakeEncoder,
    FakeLM,
    text_ids,
)
from tests.streaming.realtime.dialogue import QUESTION, error_of, goes_on, manual, started
from tests.streaming.realtime.peer import Peer, silence, tone

Connect = Callable[..., Peer]


@pytest.mark.parametrize("audio", ["****", "A", "AAA=A", "AAAA;", "ÄÄÄÄ", "AA==AA==", "data:audio/pcm,AAAA"])
async def test_base64_garbage(connect: Connect, audio: str) -> None:
    peer = await started(connect())
    peer.send("input_audio_buffer.append", audio=audio, event_id="a1")
    error = (await peer.until("error"))["error"]
    assert (error["code"], error["param"], error["event_id"]) == ("invalid_audio", "audio", "a1")
    content = [{"type": "input_audio", "audio": audio}]
    peer.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    assert await error_of(peer) == ("invalid_audio", "item.content.0.audio")
    await goes_on(peer)


async def test_half_a_sample(connect: Connect) -> None:
    peer = connect()
    peer.send("input_audio_buffer.append", audio="AAAA")
    assert await error_of(peer) == ("invalid_value", "audio")
    await goes_on(peer)


async def test_an_empty_append_is_nothing(connect: Connect) -> None:
    peer = await manual(connect())
    peer.send("input_audio_buffer.append", audio="")
    peer.send("input_audio_buffer.commit")
    assert (await error_of(peer))[0] == "input_audio_buffer_commit_empty"


async def test_a_binary_flood(connect: Connect) -> None:
    peer = connect()
    for size in range(200):
        peer.raw(bytes(size))
    await goes_on(peer)
    assert [event["error"]["code"] for event in peer.all("error")] == ["invalid_json"] * 200
    assert len(peer.errors) == 200


async def test_json_garbage(connect: Connect) -> None:
    peer = connect()
    for message in ("", "{", "[]", "null", "[" * 10_000, '{"type":"response.create","event_id":"\\ud800"}'):
        peer.raw(message)
    for _ in range(6):
        assert await error_of(peer) == ("invalid_json", None)
    await goes_on(peer)


async def test_unknown_events_and_fields(connect: Connect) -> None:
    peer = connect()
    peer.send("no.such.event", event_id="1")
    peer.send("response.create", event_id="2", colour="red")
    first, second = (await peer.until("error"))["error"], (await peer.until("error"))["error"]
    assert (first["code"], first["param"], first["event_id"]) == ("unknown_event_type", "type", "1")
    assert (second["code"], second["param"], second["event_id"]) == ("unknown_parameter", "colour", "2")
    await goes_on(peer)


@pytest.mark.parametrize("ms", [0, 1, 50, 99])
async def test_a_commit_without_enough_audio(connect: Connect, ms: int) -> None:
    peer = await manual(connect())
    peer.say(tone(ms))
    peer.send("input_audio_buffer.commit", event_id="c")
    error = (await peer.until("error"))["error"]
    assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "c")
    peer.say(tone(200))
    peer.send("input_audio_buffer.commit")
    await peer.until("input_audio_buffer.committed")
    await goes_on(peer)


async def test_a_commit_while_voice_activity_hears_nothing(connect: Connect) -> None:
    peer = connect()
    peer.say(silence(300), piece=777)
    peer.send("input_audio_buffer.commit")
    assert (await error_of(peer))[0] == "input_audio_buffer_commit_empty"
    peer.say(silence(200))
    peer.say(QUESTION)
    begin = await peer.until("input_audio_buffer.speech_started")
    assert 150 <= begin["audio_start_ms"] <= 250


async def test_a_commit_ends_a_turn_that_voice_activity_found(connect: Connect) -> None:
    peer = connect()
    peer.say(QUESTION)
    begin = await peer.until("input_audio_buffer.speech_started")
    peer.send("input_audio_buffer.commit")
    assert (await peer.until("input_audio_buffer.committed"))["item_id"] == begin["item_id"]
    await peer.settled()
    assert peer.all("response.created") == []


async def test_clear_forgets_the_audio_and_its_item(connect: Connect) -> None:
    encoder = FakeEncoder()
    peer = connect(encoder=encoder)
    peer.say(QUESTION)
    first = await peer.until("input_audio_buffer.speech_started")
    peer.send("input_audio_buffer.clear")
    await peer.until("input_audio_buffer.cleared")
    peer.send("input_audio_buffer.commit")
    assert (await error_of(peer))[0] == "input_audio_buffer_commit_empty"
    peer.say(QUESTION)
    second = await peer.until("input_audio_buffer.speech_started")
    assert first["item_id"] != second["item_id"]
    peer.say(silence(700))
    await peer.until("response.done")
    await peer.hang_up()
    assert encoder.calls == encoder.closed == 2


async def test_nothing_to_answer(connect: Connect) -> None:
    peer = connect()
    peer.send("response.create")
    assert (await error_of(peer))[0] == "nothing_to_answer"
    await goes_on(peer)


@pytest.mark.parametrize("pieces", [1, 40])
async def test_a_question_that_is_too_long_by_hand(connect: Connect, pieces: int) -> None:
    peer = await manual(connect(limits=SessionLimits(max_question_s=1.0)))
    long = tone(1100)
    peer.say(long, piece=-(-long.size // pieces))
    assert (await error_of(peer)) == ("audio_too_long", "audio")
    peer.send("input_audio_buffer.clear")
    await peer.until("input_audio_buffer.cleared")
    await goes_on(peer)


async def test_a_question_that_is_too_long_is_ended_by_voice_activity(connect: Connect) -> None:
    peer = connect(limits=SessionLimits(max_question_s=1.0), lm=FakeLM(text_ids("a")))
    peer.say(tone(2500))
    peer.say(silence(700))
    await peer.settled()
    assert len(peer.all("input_audio_buffer.committed")) == 3
    started = [event["audio_start_ms"] for event in peer.all("input_audio_buffer.speech_started")]
    stopped = [event["audio_end_ms"] for event in peer.all("input_audio_buffer.speech_stopped")]
    assert all(end - begin <= 1000 for begin, end in zip(started, stopped, strict=True))


@pytest.mark.parametrize(("ms", "code"), [(50, "audio_too_short"), (1500, "audio_too_long")])
async def test_a_recording_of_the_wrong_length(connect: Connect, ms: int, code: str) -> None:
    encoder = FakeEncoder()
    peer = connect(limits=SessionLimits(max_question_s=1.0), encoder=encoder)
    content = [{"type": "input_audio", "audio": base64.b64encode(WireFormat().encode(tone(ms))).decode()}]
    peer.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    assert await error_of(peer) == (code, "item.content.0.audio")
    assert encoder.calls == 0
    await goes_on(peer)
