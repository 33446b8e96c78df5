"""The client of the realtime API against a scripted server: what is sent is of the protocol, what arrives is typed."""

from __future__ import annotations

import json
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import pytest
from openai.types.realtime import (
    ConversationItemAdded,
    InputAudioBufferCommittedEvent,
    RealtimeErrorEvent,
    ResponseCreatedEvent,
    ResponseDoneEvent,
    SessionUpdatedEvent,
)

from clients.errors import ConnectionRejected, Disconnected, InvalidEvent, ServerUnreachable
from clients.realtime import (
    RATE_HZ,
    RealtimeSession,
    ServerVad,
    SessionOptions,
    UnknownEvent,
    audio_of,
    connect,
    parse_event,
    realtime_url,
)
from tests.clients.fake_server import FakeServer, Script, fake_server


async def until(session: RealtimeSession, kind: str) -> list[Any]:
    """Events up to and with the first of a type."""
    events = []
    async for event in session:
        events.append(event)
        if event.type == kind:
            return events
    raise AssertionError(f"no {kind} in {[event.type for event in events]}")


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("ws://127.0.0.1:8080", "ws://127.0.0.1:8080/v1/realtime"),
        ("127.0.0.1:8080", "ws://127.0.0.1:8080/v1/realtime"),
        ("http://host/", "ws://host/v1/realtime"),
        ("https://host/v1", "wss://host/v1/realtime"),
        ("wss://host/speech/v1/realtime?a=b", "wss://host/speech/v1/realtime?a=b"),
        ("ws://[::1]:8080", "ws://[::1]:8080/v1/realtime"),
    ],
)
def test_any_address_of_a_server_is_understood(given: str, address: str) -> None:
    assert realtime_url(given) == address


def test_a_model_is_named_in_the_query() -> None:
    assert realtime_url("ws://host?x=1", "cslm mini") == "ws://host/v1/realtime?x=1&model=cslm+mini"


@pytest.mark.parametrize("address", ["ftp://host", "ws://", "", "ws:///v1", "file:///etc/passwd"])
async def test_what_is_no_address_is_unreachable(address: str) -> None:
    with pytest.raises(ServerUnreachable, match="not a server address"):
        async with connect(address):
            pass


async def test_a_manual_turn_gives_typed_events_in_the_order_of_the_protocol() -> None:
    async with fake_server() as server, connect(server.url) as session:
        await session.update(SessionOptions(turn_detection=None))
        await session.append(b"\1\2" * RATE_HZ)
        await session.commit()
        committed = await until(session, "conversation.item.done")
        await session.respond()
        answer = await until(session, "response.done")
    assert session.created.type == "session.created"
    assert [type(event) for event in committed[:3]] == [
        SessionUpdatedEvent,
        InputAudioBufferCommittedEvent,
        ConversationItemAdded,
    ]
    assert isinstance(answer[0], ResponseCreatedEvent)
    assert isinstance(answer[-1], ResponseDoneEvent)
    pcm = b"".join(audio_of(event) for event in answer if event.type == "response.output_audio.delta")
    assert len(pcm) == RATE_HZ * 2


async def test_every_client_event_is_of_the_protocol_and_carries_its_id() -> None:
    async with fake_server() as server, connect(server.url) as session:
        sent = [
            await session.update(SessionOptions(ServerVad(0.6, 200, 400), "zh", "Be brief.", "one", ("text",))),
            await session.add_text("hello"),
            await session.respond(instructions="Sing."),
            await session.truncate("item_1", 250),
        ]
        await until(session, "error")
    assert [event["event_id"] for event in server.received] == sent
    assert len(set(sent)) == len(sent)
    update = server.received[0]["session"]
    assert update["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.6,
        "prefix_padding_ms": 200,
        "silence_duration_ms": 400,
    }
    assert (update["reply_language"], update["instructions"], update["output_modalities"]) == (
        "zh",
        "Be brief.",
        ["text"],
    )
    assert update["audio"]["output"] == {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": "one"}


async def test_what_is_not_chosen_is_left_to_the_server() -> None:
    session = SessionOptions().event()["session"]
    assert session["audio"]["input"]["turn_detection"] == {"type": "server_vad"}
    assert not {"instructions", "reply_language"} & set(session)
    assert "voice" not in session["audio"]["output"]


async def test_long_audio_goes_in_messages_of_a_second() -> None:
    pcm = bytes(range(256)) * 500
    async with fake_server() as server, connect(server.url) as session:
        await session.append(pcm)
        await session.add_text("done")
        await until(session, "conversation.item.done")
    assert server.audio() == pcm
    assert len(server.received) == 4


async def test_the_key_goes_into_the_header() -> None:
    async with fake_server() as server, connect(server.url, api_key="secret"):
        pass
    assert server.headers[0]["authorization"] == "Bearer secret"


async def test_nothing_there_is_unreachable() -> None:
    async with fake_server() as server:
        gone = server.url
    with pytest.raises(ServerUnreachable, match="no realtime server answers at"):
        async with connect(gone):
            pass


async def test_a_refused_handshake_names_the_code_of_the_server() -> None:
    async with fake_server(Script(refuse_connection=HTTPStatus.UNAUTHORIZED)) as server:
        with pytest.raises(ConnectionRejected, match=r"HTTP 401\): a wrong key") as refused:
            async with connect(server.url):
                pass
    assert refused.value.code == "invalid_api_key"


async def test_an_error_in_place_of_a_session_is_a_rejection() -> None:
    error = {"type": "rate_limit_error", "code": "at_capacity", "message": "all slots are taken"}
    message = json.dumps({"type": "error", "event_id": "e", "error": error})
    async with fake_server(Script(first_message=message)) as server:
        with pytest.raises(ConnectionRejected, match="all slots are taken") as refused:
            async with connect(server.url):
                pass
    assert refused.value.code == "at_capacity"


@pytest.mark.parametrize("message", ['{"type": "session.updated"}', "{", "[]", '{"a": 1}', '{"type": "response.none"}'])
async def test_a_strange_first_event_is_an_error(message: str) -> None:
    async with fake_server(Script(first_message=message)) as server:
        with pytest.raises(InvalidEvent):
            async with connect(server.url):
                pass


@pytest.mark.parametrize(
    "message", ["", "null", "[]", "{}", '{"type": 5}', '{"type": "response.done"}', b"\xff", "nan"]
)
def test_what_is_no_event_is_invalid(message: str | bytes) -> None:
    with pytest.raises(InvalidEvent):
        parse_event(message)


def test_an_unknown_event_keeps_its_fields() -> None:
    event = parse_event('{"type": "response.dance", "steps": 3}')
    assert isinstance(event, UnknownEvent)
    assert event.model_extra == {"steps": 3}


def test_fields_beyond_the_protocol_are_kept() -> None:
    event = parse_event('{"type": "error", "event_id": "e", "error": {"type": "t", "message": "m", "hint": "h"}}')
    assert isinstance(event, RealtimeErrorEvent)
    assert event.error.model_extra == {"hint": "h"}


async def test_a_connection_that_breaks_is_a_disconnection() -> None:
    async with fake_server(Script(endings=("dropped",))) as server, connect(server.url) as session:
        await session.add_text("hello")
        await session.respond()
        with pytest.raises(Disconnected, match="without a close message"):
            await until(session, "response.done")
        with pytest.raises(Disconnected):
            await session.commit()


async def test_iteration_ends_when_the_session_is_closed() -> None:
    async with fake_server() as server:
        async with connect(server.url) as session:
            pass
        assert [event async for event in session] == []


@pytest.mark.parametrize("delta", ["****", "AAA", "AAAA", "ä"])
def test_audio_that_is_no_audio_is_an_invalid_event(delta: str) -> None:
    with pytest.raises(InvalidEvent):
        audio_of(SimpleNamespace(delta=delta))


async def test_servers_do_not_meet() -> None:
    async with fake_server() as one, fake_server() as other, connect(one.url):
        pass
    assert [one.connections, other.connections] == [1, 0]
    assert isinstance(one, FakeServer)
