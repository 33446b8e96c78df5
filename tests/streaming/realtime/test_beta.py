"""The beta dialect: its events, there and back, on a whole session."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from openai.types.beta.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from streaming.realtime.beta import Beta
from streaming.realtime.limits import SessionLimits, SessionModel
from streaming.realtime.machine import RealtimeMachine
from tests.fakes import TEXT, TRANSCRIPT, FakePrompts, fake_stages
from tests.streaming.realtime.peer import Event, Peer, silence, tone

Connect = Callable[..., Peer]
_ANY: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
ALLOWED = {"object", "expires_at", "reply_language", "model", "image_tokens", "cached_tokens_details"}


def check(event: Event) -> None:
    # A key over a socket: the beta's documentation has none, its type requires one.
    if event["type"] == "transcription_session.updated":
        session = event["session"] | {
            "client_secret": {"expires_at": 0, "value": ""},
            "input_audio_transcription": None,
        }
        event = event | {"session": session}
    parsed = _ANY.validate_python(event)
    assert parsed.type == event["type"]
    assert not (set(parsed.model_extra or ()) - ALLOWED), parsed.model_extra


@pytest.fixture
async def connect() -> AsyncGenerator[Connect]:
    peers: list[Peer] = []

    def opened(**stages: Any) -> Peer:
        model = SessionModel("gpt-4o-realtime-preview", ("default", "other"), fake_stages(**stages))

        machine = RealtimeMachine(model, SessionLimits())
        peers.append(Peer(machine, model.stages, check, dialect=Beta()))
        return peers[-1]

    yield opened
    for peer in peers:
        await peer.hang_up()


async def test_a_spoken_turn(connect: Connect) -> None:
    peer = connect()
    created = (await peer.until("session.created"))["session"]
    assert (created["modalities"], created["input_audio_format"]) == (["text", "audio"], "pcm16")
    peer.say(tone(400))
    peer.say(silence(600))
    done = (await peer.until("response.done"))["response"]
    assert done["modalities"] == ["text", "audio"] and done["output_audio_format"] == "pcm16"
    assert done["output"][0]["content"] == [{"type": "audio", "transcript": TEXT}]
    kinds = [kind for kind in peer.kinds() if not kind.endswith("delta")]
    assert kinds == [
        "session.created",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.created",
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.created",
        "response.content_part.added",
        "conversation.item.input_audio_transcription.completed",
        "response.audio.done",
        "response.audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]
    assert "".join(event["delta"] for event in peer.all("response.audio_transcript.delta")) == TEXT
    assert peer.all("response.audio.delta")


async def test_settings_and_a_typed_turn(connect: Connect) -> None:
    prompts = FakePrompts()
    peer = connect(prompts=prompts)
    peer.send(
        "session.update",
        session={
            "modalities": ["text", "audio"],
            "instructions": "Be brief.",
            "voice": "alloy",
            "input_audio_format": "g711_ulaw",
            "output_audio_format": "g711_alaw",
            "input_audio_transcription": {"model": "whisper-1"},
            "turn_detection": {"type": "server_vad", "threshold": 0.4},
            "temperature": 0.8,
            "max_response_output_tokens": 500,
            "tools": [],
            "tool_choice": "auto",
        },
    )
    session = (await peer.until("session.updated"))["session"]
    assert (session["voice"], session["temperature"], session["output_audio_format"]) == ("default", 0.8, "g711_alaw")
    assert session["turn_detection"]["threshold"] == 0.4
    item = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hi."}]}
    peer.send("conversation.item.create", item=item)
    made = await peer.until("conversation.item.created")
    assert made["item"]["content"] == [{"type": "text", "text": "Hi."}]
    peer.type_text("Hello?")
    peer.send("response.create", response={"modalities": ["text"], "max_response_output_tokens": 700})
    done = (await peer.until("response.done"))["response"]
    assert done["modalities"] == ["text"]
    assert "".join(event["delta"] for event in peer.all("response.text.delta")) == TEXT
    assert (prompts.options[-1].max_tokens, prompts.options[-1].temperature) == (700, 0.8)
    assert prompts.options[-1].instructions == "Be brief."


async def test_transcription(connect: Connect) -> None:
    peer = connect()
    session = {"input_audio_format": "pcm16", "input_audio_transcription": {"model": "whisper-1"}}
    peer.send("transcription_session.update", session=session)
    assert (await peer.until("transcription_session.updated"))["session"]["input_audio_format"] == "pcm16"
    peer.say(tone(400))
    peer.say(silence(600))
    heard = await peer.until("conversation.item.input_audio_transcription.completed")
    assert heard["transcript"] == TRANSCRIPT


async def test_what_nobody_knows_is_refused_by_its_own_name(connect: Connect) -> None:
    peer = connect()
    peer.send("session.update", event_id="e", session={"colour": "red"})
    error = (await peer.until("error"))["error"]
    assert (error["code"], error["param"], error["event_id"]) == ("unknown_parameter", "session.colour", "e")
    peer.send("session.update", session={"input_audio_format": "mp3"})
    assert (await peer.until("error"))["error"]["code"] == "invalid_value"
    peer.raw("{")
    assert (await peer.until("error"))["error"]["code"] == "invalid_json"
    peer.raw(json.dumps({"type": "conversation.item.create", "item": 7}))
    assert (await peer.until("error"))["error"]["param"] == "item"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "session.update", "session": {"audio": "x", "voice": "alloy"}},
        {"type": "session.update", "session": {"audio": {"input": [1]}, "turn_detection": None}},
        {
            "type": "conversation.item.create",
            "item": {"type": "message", "role": "assistant", "content": [{"type": [], "text": "x"}]},
        },
    ],
)
async def test_what_cannot_be_translated_is_refused_and_the_session_goes_on(
    connect: Connect, event: dict[str, Any]
) -> None:
    peer = connect()
    peer.raw(json.dumps(event))
    assert (await peer.until("error"))["error"]["type"] == "invalid_request_error"
    peer.type_text("Hello?")
    await peer.until("conversation.item.created")
