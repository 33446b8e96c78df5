"""Client events: what is taken, and a clear, stable error for everything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.realtime import config as cfg
from streaming.realtime import messages as msg
from streaming.realtime.config import SessionConfig
from streaming.realtime.messages import parse
from streaming.realtime.shapes import ClientEventError

USER_ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}

ACCEPTED: list[tuple[dict[str, Any], type]] = [
    ({"type": "session.update", "session": {"type": "realtime"}}, msg.SessionUpdate),
    (
        {
            "type": "session.update",
            "session": {
                "type": "realtime",
                "instructions": "Be brief.",
                "output_modalities": ["text"],
                "max_output_tokens": 100,
                "reply_language": "zh",
                "audio": {
                    "input": {
                        "format": {"type": "audio/pcm", "rate": 24000},
                        "turn_detection": {"type": "server_vad", "threshold": 0.7, "idle_timeout_ms": None},
                        "transcription": {"model": "whisper-1", "language": "en"},
                    },
                    "output": {"format": {"type": "audio/pcmu"}, "voice": "joe", "speed": 1},
                },
            },
        },
        msg.SessionUpdate,
    ),
    ({"type": "input_audio_buffer.append", "audio": "AAAAAAAA"}, msg.Append),
    ({"type": "input_audio_buffer.commit"}, msg.Commit),
    ({"type": "input_audio_buffer.clear"}, msg.Clear),
    ({"type": "conversation.item.create", "item": USER_ITEM}, msg.ItemCreate),
    (
        {
            "type": "conversation.item.create",
            "previous_item_id": "root",
            "item": {
                "id": "mine",
                "object": "realtime.item",
                "status": "completed",
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Hello."}],
            },
        },
        msg.ItemCreate,
    ),
    (
        {
            "type": "conversation.item.create",
            "item": {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAAAAAAA"}]},
        },
        msg.ItemCreate,
    ),
    ({"type": "conversation.item.delete", "item_id": "a"}, msg.ItemDelete),
    ({"type": "conversation.item.retrieve", "item_id": "a"}, msg.ItemRetrieve),
    (
        {"type": "conversation.item.truncate", "item_id": "a", "content_index": 0, "audio_end_ms": 1500},
        msg.ItemTruncate,
    ),
    ({"type": "response.create"}, msg.ResponseCreate),
    (
        {
            "type": "response.create",
            "response": {"metadata": {"client_event_id": "x"}, "output_modalities": ["audio"], "instructions": ""},
        },
        msg.ResponseCreate,
    ),
    ({"type": "response.cancel", "response_id": "resp_1"}, msg.ResponseCancel),
    ({"type": "output_audio_buffer.clear"}, msg.OutputClear),
]


@pytest.mark.parametrize(
    ("event", "kind"), ACCEPTED, ids=lambda value: value["type"] if isinstance(value, dict) else ""
)
def test_accepted(event: dict[str, Any], kind: type) -> None:
    parsed = parse(json.dumps(event | {"event_id": "e1"}))
    assert isinstance(parsed, kind)
    assert parsed.event_id == "e1"
    assert parse(json.dumps(event)).event_id is None


def test_every_event_type_is_tried() -> None:
    assert {kind for _, kind in ACCEPTED} == set(msg.ClientEvent.__args__)


def session(**fields: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": {"type": "realtime", **fields}}


def vad(**fields: Any) -> dict[str, Any]:
    return session(audio={"input": {"turn_detection": {"type": "server_vad", **fields}}})


def item(**fields: Any) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": USER_ITEM | fields}


CALLED = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "no.such.event"}, "unknown_event_type", "type"),
    ({"type": "conversation.item.created"}, "unknown_event_type", "type"),
    ({"type": 7}, "unknown_event_type", "type"),
    ({"type": ["session.update"]}, "unknown_event_type", "type"),
    ({}, "unknown_event_type", "type"),
    ({"type": "response.cancel", "x": 1}, "unknown_parameter", "x"),
    (session(colour="red"), "unknown_parameter", "session.colour"),
    (vad(eagerness="low"), "unknown_parameter", "session.audio.input.turn_detection.eagerness"),
    (session(audio={"input": {"transcription": {"x": {}}}}), "unknown_parameter", "session.audio.input.transcription.x"),
    ({"type": "session.update"}, "missing_required_parameter", "session"),
    ({"type": "session.update", "session": {}}, "missing_required_parameter", "session.type"),
    ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
    ({"type": "input_audio_buffer.append", "audio": None}, "invalid_value", "audio"),
    ({"type": "input_audio_buffer.append", "audio": 5}, "invalid_value", "audio"),
    ({"type": "conversation.item.truncate", "item_id": "a", "content_index": 0}, "missing_required_parameter", "audio_end_ms"),
    (
        {"type": "conversation.item.truncate", "item_id": "a", "content_index": 1, "audio_end_ms": 1},
        "invalid_value",
        "content_index",
    ),
    (
        {"type": "conversation.item.truncate", "item_id": "a", "content_index": 0, "audio_end_ms": -1},
        "invalid_value",
        "audio_end_ms",
    ),
    (session(reply_language=7), "invalid_value", "session.reply_language"),
    (session(output_modalities=["audio", "text"]), "invalid_value", "session.output_modalities"),
    (session(output_modalities=["video"]), "invalid_value", "session.output_modalities.0"),
    (session(max_output_tokens=0), "invalid_value", "session.max_output_tokens"),
    (session(max_output_tokens="many"), "invalid_value", "session.max_output_tokens"),
    (session(audio={"output": {"format": {"type": "audio/mp3"}}}), "invalid_value", "session.audio.output.format.type"),
    (session(audio={"output": {"format": {}}}), "missing_required_parameter", "session.audio.output.format.type"),
    (
        session(audio={"input": {"format": {"type": "audio/pcm", "rate": 16000}}}),
        "invalid_value",
        "session.audio.input.format.rate",
    ),
    (
        session(audio={"input": {"turn_detection": {"type": "semantic_vad", "threshold": 0.5}}}),
        "unknown_parameter",
        "session.audio.input.turn_detection.threshold",
    ),
    (session(reasoning={"effort": 7}), "invalid_value", "session.reasoning.effort"),
    (session(include=["x"]), "invalid_value", "session.include.0"),
    (session(tools=[{"type": "function"}], max_output_tokens=0), "invalid_value", "session.max_output_tokens"),
    (session(truncation={"type": "retention_ratio"}), "missing_required_parameter", "session.truncation.retention_ratio"),
    (vad(threshold=1.5), "invalid_value", "session.audio.input.turn_detection.threshold"),
    (vad(silence_duration_ms=-5), "invalid_value", "session.audio.input.turn_detection.silence_duration_ms"),
    (vad(idle_timeout_ms=10), "invalid_value", "session.audio.input.turn_detection.idle_timeout_ms"),
    (
        session(audio={"input": {"noise_reduction": {"type": "studio"}}}),
        "invalid_value",
        "session.audio.input.noise_reduction.type",
    ),
    (item(role="tool"), "invalid_value", "item.role"),
    (item(content=[]), "invalid_value", "item.content"),
    (item(content=[{"type": "input_image", "image_url": "x"}]), "invalid_value", "item.content.0.type"),
    (item(content=[{"type": "input_text"}]), "missing_required_parameter", "item.content.0.text"),
    (item(content=[{"type": "input_text", "text": "x" * 40_000}]), "string_above_max_length", "item.content.0.text"),
    (item(content=[{"type": "input_audio", "audio": ""}] * 2), "invalid_value", "item.content"),
    (item(type="function_call_output"), "missing_required_parameter", "item.call_id"),
    ({"type": "conversation.item.create", "item": CALLED | {"name": "two words"}}, "invalid_value", "item.name"),
    ({"type": "conversation.item.create", "item": CALLED | {"arguments": {}}}, "invalid_value", "item.arguments"),
    ({"type": "conversation.item.create", "item": {"type": "mcp_list_tools"}}, "invalid_value", "item.type"),
    ({"type": "response.create", "response": {"input": [CALLED | {"output": ""}]}}, "unknown_parameter", "response.input.0.output"),
    ({"type": "conversation.item.create", "item": {"type": 7}}, "missing_required_parameter", "item.role"),
    (item(id=""), "invalid_value", "item.id"),
    ({"type": "conversation.item.delete", "item_id": "x" * 600}, "string_above_max_length", "item_id"),
    ({"type": "response.create", "response": {"conversation": "new"}}, "invalid_value", "response.conversation"),
    ({"type": "response.create", "response": {"input": [{"type": "item_reference"}]}}, "missing_required_parameter", "response.input.0.id"),
    ({"type": "response.create", "response": {"input": [{"type": "message"}]}}, "missing_required_parameter", "response.input.0"),
    ({"type": "response.create", "response": {"metadata": {"a": 1}}}, "invalid_value", "response.metadata.a"),
    ({"type": "response.create", "response": {"metadata": {str(n): "" for n in range(17)}}}, "invalid_value", "response.metadata"),
    ({"type": "response.create", "response": []}, "invalid_value", "response"),
]  # fmt: skip


@pytest.mark.parametrize(("event", "code", "param"), REFUSED)
def test_refused(event: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(ClientEventError) as refused:
        parse(json.dumps(event | {"event_id": "mine"}))
    error = refused.value
    assert (error.code, error.param, error.event_id, error.type) == (code, param, "mine", "invalid_request_error")
    assert len(error.message) < 700


@pytest.mark.parametrize(
    "message",
    [
        "",
        "hello",
        "[]",
        "null",
        "7",
        '"type"',
        '{"type": "response.cancel"',
        '{"type": "response.cancel"} {}',
        "[" * 1_000,
        '{"type": ' + '{"a": ' * 5_000 + "1" + "}" * 5_001,
        '{"type": "conversation.item.truncate", "item_id": "a", "content_index": 0, "audio_end_ms": NaN}',
        '{"type": "conversation.item.truncate", "item_id": "a", "content_index": 0, "audio_end_ms": Infinity}',
        '{"type": "response.cancel", "event_id": "\\ud800"}',
        '{"type": "response.cancel", "event_id": 1' + "0" * 5_000 + "}",
        "\x00",
        '{"type": "response.\x00cancel"}',
    ],
    ids=lambda message: message[:24] or "empty",
)
def test_json_garbage(message: str) -> None:
    with pytest.raises(ClientEventError) as refused:
        parse(message)
    assert refused.value.code == "invalid_json"


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1e400", "1" + "0" * 400, "0.5"])
def test_numbers_out_of_this_world(number: str) -> None:
    message = f'{{"type": "session.update", "session": {{"type": "realtime", "max_output_tokens": {number}}}}}'
    with pytest.raises(ClientEventError) as refused:
        parse(message)
    assert (refused.value.code, refused.value.param) == ("invalid_value", "session.max_output_tokens")
    assert len(refused.value.message) < 300


@pytest.mark.parametrize("key", ["x" * 1_000_000, "event_id", "type"])
def test_what_is_huge_is_not_repeated(key: str) -> None:
    with pytest.raises(ClientEventError) as refused:
        parse(json.dumps({"type": "response.cancel"} | {key: "y" * 1_000_000}))
    error = refused.value
    assert len(json.dumps([error.message, error.param, error.event_id])) < 2_000


def test_an_event_id_that_is_no_string_is_not_echoed() -> None:
    with pytest.raises(ClientEventError) as refused:
        parse('{"type": "response.cancel", "event_id": {"a": 1}}')
    assert (refused.value.event_id, refused.value.param) == (None, "event_id")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(
    ["session", "item", "item_id", "audio", "response", "event_id", "content_index", "audio_end_ms", "x"]
)


@given(
    st.sampled_from(sorted({event["type"] for event, _ in ACCEPTED})),
    st.dictionaries(fields, json_values, max_size=4),
)
def test_any_fields_give_an_event_or_an_error_of_the_client(kind: str, rest: dict[str, Any]) -> None:
    try:
        parse(json.dumps({"type": kind, **rest}))
    except ClientEventError as error:
        json.dumps(error.body()).encode()


@given(st.text(max_size=40))
def test_any_text_gives_an_error_of_the_client(text: str) -> None:
    with pytest.raises(ClientEventError):
        parse(text)


def updated(*patches: dict[str, Any]) -> SessionConfig:
    config = SessionConfig(type="realtime")
    for patch in patches:
        event = parse(json.dumps(session(**patch)))
        assert isinstance(event, msg.SessionUpdate)
        config = config.updated(event.session)
    return config


def test_an_update_changes_only_what_it_names() -> None:
    config = updated(
        {"instructions": "Be brief.", "audio": {"output": {"voice": "joe"}}},
        {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 0.8}}}},
        {"audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 300}}}},
        {"audio": {"output": {"format": {"type": "audio/pcmu"}}}},
    )
    assert config.instructions == "Be brief."
    assert config.audio.output == cfg.AudioOutput(voice="joe", format=cfg.AudioPcmu(type="audio/pcmu"))
    assert config.audio.input.turn_detection == cfg.ServerVad(type="server_vad", threshold=0.8, silence_duration_ms=300)


def test_turn_detection_and_transcripts_can_be_turned_off_and_on() -> None:
    off = {"audio": {"input": {"turn_detection": None, "transcription": None}}}
    on = {"audio": {"input": {"turn_detection": {"type": "server_vad"}, "transcription": {"model": "m"}}}}
    assert updated(on, off).audio.input == cfg.AudioInput(turn_detection=None)
    assert updated(off, on).audio.input == cfg.AudioInput(transcription=cfg.Transcription(model="m"))
