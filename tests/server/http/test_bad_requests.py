"""Everything a client can get wrong over HTTP, with the status and code it is told. One shape for all of it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
import pytest

from streaming.errors import BundleError, EngineUnavailable, InvalidRequest
from tests.fakes import FakeDecoder, FakeEncoder, FakeLM, FakePrompts, answer_ids
from tests.server.front import Front, recording, serving, tone
from tests.server.models import fake_model, opener

SPEECH = "/v1/speech"


def error_of(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The error object of an answer, which must be all there is."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"type", "code", "message", "param"}
    assert body["error"]["code"] == code, body
    assert "secret" not in answer.text
    assert body["error"]["message"]
    return body["error"]


@pytest.fixture
async def front() -> AsyncGenerator[Front]:
    async with serving(max_body_bytes=200_000) as front:
        yield front


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "audio_empty"),
        (recording(np.zeros(0, np.float32)), "audio_empty"),
        (recording(np.zeros(16_000, np.float32)), "audio_silent"),
        (recording(0.0001 * tone(), subtype="FLOAT"), "audio_silent"),
        (recording(0.005 * tone(), subtype="FLOAT"), "audio_silent"),
        (recording(np.ones(1, np.float32)), "audio_too_short"),
        (recording(tone(600, 8000), 8000, "FLAC")[:180_000], "audio_too_long"),
        (recording(np.full(8000, np.nan, np.float32), subtype="FLOAT"), "audio_not_finite"),
        (recording(np.full(8000, np.inf, np.float32), subtype="FLOAT"), "audio_not_finite"),
        (recording()[:30], "audio_unreadable"),
        (b"RIFF\x10\0\0\0WAVEnonsense", "audio_unreadable"),
        (np.random.default_rng(0).bytes(5000), "audio_unreadable"),
        (b'{"text": "hi"}', "audio_unreadable"),
    ],
)
@pytest.mark.parametrize("how", ["raw", "form", "json"])
async def test_recordings_that_cannot_be_answered(front: Front, content: bytes, code: str, how: str) -> None:
    if how == "raw":
        answer = await front.client.post(SPEECH, content=content, headers={"content-type": "application/octet-stream"})
    elif how == "form":
        answer = await front.client.post(SPEECH, files={"file": ("q.wav", content, "audio/wav")})
    elif len(content) > 100_000:
        return
    else:
        answer = await front.client.post(SPEECH, json={"audio": base64.b64encode(content).decode()})
    error = error_of(answer, 400, code)
    assert error["type"] == "invalid_request_error"
    assert error["param"] == "file"
    assert front.count("cslm_errors_total", code=code) == 1
    assert front.state.admission.active == 0


@pytest.mark.parametrize(
    "content",
    [
        recording(np.sign(tone())),
        recording(5 * tone(), subtype="FLOAT"),
        recording(subtype="PCM_U8"),
        recording(tone(0.25, 192_000), 192_000),
        recording(tone(channels=2)),
        recording()[:-1000],
    ],
    ids=["clipped", "louder than full scale", "8 bit", "192 kHz", "stereo", "truncated"],
)
async def test_recordings_that_are_answered_all_the_same(front: Front, content: bytes) -> None:
    assert (await front.client.post(SPEECH, content=content)).status_code == 200


@pytest.mark.parametrize(
    ("params", "code", "param", "named"),
    [
        ({"volume": "11"}, "unknown_parameter", "volume", "volume"),
        ({"reply_language": "fr"}, "invalid_value", "reply_language", "auto, en, zh"),
        ({"question_language": "fr"}, "invalid_value", "question_language", "auto, en, zh"),
        ({"schedule": "later"}, "invalid_value", "schedule", "'interleaved' or 'full_chain'"),
        ({"stream": "yes"}, "invalid_value", "stream", "'audio', 'events' or 'file'"),
        ({"temperature": "hot"}, "invalid_value", "temperature", ""),
        ({"temperature": "-1"}, "invalid_value", "temperature", "0"),
        ({"temperature": "nan"}, "invalid_value", "temperature", ""),
        ({"top_p": "0"}, "invalid_value", "top_p", "0"),
        ({"top_p": "1.5"}, "invalid_value", "top_p", "1"),
        ({"max_tokens": "0"}, "invalid_value", "max_tokens", "1"),
        ({"max_tokens": "9e99"}, "invalid_value", "max_tokens", ""),
        ({"voice": "nobody"}, "invalid_value", "voice", "default, other"),
        ({"response_format": "aiff"}, "unsupported_format", "response_format", "'flac'"),
        ({"input_format": "midi"}, "unsupported_format", "input_format", "'pcm'"),
        ({"response_format": "json", "stream": "events"}, "invalid_value", "stream", ""),
        ({"text": "and text"}, "invalid_value", "text", ""),
        ({"instructions": "x" * 5000}, "string_above_max_length", "instructions", "4000"),
        ({"input_format": "flac"}, "audio_unreadable", "file", "wav"),
        ({"input_format": "pcm"}, "missing_required_parameter", "sample_rate", "rate"),
    ],
)
async def test_parameters(front: Front, params: dict[str, str], code: str, param: str, named: str) -> None:
    for how in ({"params": params, "content": recording()}, {"data": params, "files": {"file": ("q", recording())}}):
        error = error_of(await front.client.post(SPEECH, **how), 400, code)  # type: ignore[arg-type]
        assert error["param"] == param
        assert named in error["message"]


async def test_an_unknown_model(front: Front) -> None:
    for answer in (
        await front.client.post(SPEECH, params={"model": "gpt-9"}, content=recording()),
        await front.client.post(SPEECH, data={"model": "gpt-9"}, files={"file": ("q", recording())}),
        await front.client.get("/v1/models/gpt-9"),
        await front.client.get("/v1/models/some/thing"),
    ):
        error_of(answer, 404, "model_not_found")


async def test_formats_nobody_can_read_or_write(front: Front) -> None:
    pdf = await front.client.post(SPEECH, content=b"%PDF-1.7 ...", headers={"content-type": "application/pdf"})
    assert "audio/wav" in error_of(pdf, 415, "unsupported_format")["message"]
    midi = await front.client.post(SPEECH, files={"file": ("q.mid", b"MThd....", "audio/midi")})
    error_of(midi, 415, "unsupported_format")
    accept = await front.client.post(SPEECH, content=recording(), headers={"accept": "image/png"})
    assert "audio/wav" in error_of(accept, 406, "unsupported_format")["message"]
    refused = await front.client.post(SPEECH, content=recording(), headers={"accept": "audio/wav;q=0"})
    error_of(refused, 406, "unsupported_format")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"content": b"{broken", "headers": {"content-type": "application/json"}}, "body_unreadable"),
        ({"content": b"[" * 10_000, "headers": {"content-type": "application/json"}}, "body_unreadable"),
        ({"content": b"\xff\xfe", "headers": {"content-type": "application/json"}}, "body_unreadable"),
        ({"json": [1, 2]}, "body_unreadable"),
        ({"json": {"audio": "not base64!"}}, "invalid_audio"),
        ({"json": {"audio": 7}}, "invalid_audio"),
        ({"json": {"audio": "ÄÖÜ"}}, "invalid_audio"),
        ({"json": {}}, "missing_required_parameter"),
        ({"json": {"text": ""}}, "invalid_value"),
        ({"json": {"text": " \n "}}, "invalid_value"),
        ({"content": b'{"text": "\\ud800"}', "headers": {"content-type": "application/json"}}, "invalid_value"),
        ({"content": b'{"\\ud800": 1}', "headers": {"content-type": "application/json"}}, "invalid_value"),
        (
            {"content": b'{"\\ud800": 1, "\\ud800": 2}', "headers": {"content-type": "application/json"}},
            "duplicate_parameter",
        ),
        ({"json": {"text": {"a": 1}}}, "invalid_value"),
        ({"json": {"text": "hi", "nested": {"a": 1}}}, "unknown_parameter"),
        (
            {"content": b'{"text": "a", "text": "b"}', "headers": {"content-type": "application/json"}},
            "duplicate_parameter",
        ),
        ({"json": {"text": "a"}, "params": {"text": "b"}}, "duplicate_parameter"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, "body_unreadable"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=b"}}, "body_unreadable"),
        ({"content": b"text", "headers": {"content-type": "application/x-www-form-urlencoded"}}, "body_unreadable"),
        ({"files": {"picture": ("p.png", b"x")}}, "unknown_parameter"),
        ({"files": [("file", ("a", recording())), ("file", ("b", recording()))]}, "body_unreadable"),
        ({"files": {"file": (None, "no filename")}}, "invalid_value"),
        ({"files": {"response_format": (None, "wav")}}, "missing_required_parameter"),
        ({"files": {"text": (None, "x" * 70_000)}}, "body_unreadable"),
    ],
)
async def test_bodies_that_cannot_be_read(front: Front, request_: dict[str, Any], code: str) -> None:
    error_of(await front.client.post(SPEECH, **request_), 400, code)


async def test_unknown_routes_and_methods(front: Front) -> None:
    error_of(await front.client.get("/v1/nothing"), 404, "not_found")
    error_of(await front.client.get("/nothing.html"), 404, "not_found")
    error_of(await front.client.get("/../../etc/passwd"), 404, "not_found")
    wrong = await front.client.get(SPEECH)
    error_of(wrong, 405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"
    error_of(await front.client.delete("/healthz"), 405, "method_not_allowed")


async def test_an_announced_body_over_the_limit_is_not_read(front: Front) -> None:
    async def body() -> AsyncGenerator[bytes]:
        yield b"x"
        pytest.fail("it was read on")

    answer = await front.client.post(SPEECH, content=body(), headers={"content-length": "200001"})
    error_of(answer, 413, "too_large")


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/json", "multipart/form-data; boundary=b"])
async def test_an_unannounced_body_is_counted_while_it_comes(front: Front, kind: str) -> None:
    sent = 0

    async def body() -> AsyncGenerator[bytes]:
        nonlocal sent
        yield b'--b\r\ncontent-disposition: form-data; name="file"; filename="q"\r\n\r\n'
        while True:
            sent += 10_000
            yield bytes(10_000)

    answer = await front.client.post(SPEECH, content=body(), headers={"content-type": kind})
    error_of(answer, 413, "too_large")
    assert sent <= 210_000


async def test_a_body_that_never_arrives() -> None:
    async def body() -> AsyncGenerator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    async with serving(max_upload_s=0.05) as front:
        error_of(await front.client.post(SPEECH, content=body()), 408, "upload_timeout")
        assert front.state.admission.active == 0


async def test_no_slot_left() -> None:
    async with serving(max_sessions=1, max_waiting=0) as front, front.state.admission.slot("realtime"):
        answer = await front.client.post(SPEECH, content=recording())
        assert error_of(answer, 503, "at_capacity")["type"] == "rate_limit_error"
        assert int(answer.headers["retry-after"]) >= 1


async def test_a_model_that_is_loading_or_could_not_be_loaded() -> None:
    async with serving(open_model=opener(fake_model(), warm=asyncio.Event()), wait=False) as front:
        answer = await front.client.post(SPEECH, content=recording())
        error_of(answer, 503, "model_loading")
        assert int(answer.headers["retry-after"]) >= 1
        error_of(await front.client.get("/v1/models"), 503, "model_loading")
    broken = opener(fake_model(), error=BundleError("secret: no /weights"))
    async with serving(open_model=broken, wait=False) as front:
        await asyncio.sleep(0)
        error_of(await front.client.post(SPEECH, content=recording()), 503, "model_failed")


FAILURES = {
    "encoder": {"encoder": FakeEncoder(error=RuntimeError("secret"))},
    "lm": {"lm": FakeLM(fail_after=0)},
    "decoder": {"decoder": FakeDecoder(fail_after=0)},
}


@pytest.mark.parametrize("stage", list(FAILURES))
@pytest.mark.parametrize("form", ["wav", "json"])
async def test_a_stage_that_fails_is_an_internal_error_and_says_no_more(stage: str, form: str) -> None:
    async with serving(fake_model(**FAILURES[stage])) as front:
        answer = await front.client.post(SPEECH, content=recording(), params={"response_format": form})
        error_of(answer, 500, "internal_error")
        assert front.count("cslm_turns_total", transport="rest", outcome="failed") == 1
        assert front.state.admission.active == 0
        assert (await front.client.get("/healthz")).status_code == 200


async def test_a_stage_that_died_can_be_asked_again() -> None:
    lm = FakeLM(fail_after=0, error=EngineUnavailable("the engine is being restarted"))
    async with serving(fake_model(lm=lm)) as front:
        answer = await front.client.post(SPEECH, content=recording())
        error_of(answer, 503, "engine_unavailable")
        assert "retry-after" in answer.headers
        lm.fail_after = None
        assert (await front.client.post(SPEECH, content=recording())).status_code == 200


async def test_a_prompt_that_is_too_long() -> None:
    async with serving(fake_model(prompts=FakePrompts(max_prompt_tokens=10))) as front:
        answer = await front.client.post(f"{SPEECH}?stream=events", content=recording())
        error_of(answer, 400, "context_length_exceeded")


async def test_a_turn_that_takes_too_long() -> None:
    lm = FakeLM(hang_after=0)
    async with serving(fake_model(lm=lm), max_turn_s=0.05) as front:
        error_of(await front.client.post(SPEECH, content=recording()), 504, "turn_timeout")
        assert (lm.active, lm.cancelled) == (0, 1)


async def test_an_answer_without_speech() -> None:
    lm = FakeLM(answer_ids("Hm?", ("Only words. ", ())))
    async with serving(fake_model(lm=lm)) as front:
        error_of(await front.client.post(SPEECH, content=recording()), 422, "no_speech")
        document = (await front.client.post(f"{SPEECH}?response_format=json", content=recording())).json()
        assert (document["text"], document["incomplete"]) == ("Only words. ", "no_speech")


async def test_an_unexpected_error_in_a_route(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode() -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(front.state.serving, "model", explode)
    error_of(await front.client.get("/v1/models"), 500, "internal_error")


def test_every_public_error_is_documented() -> None:
    import re
    from pathlib import Path

    root = Path(__file__).parents[3]
    documented = set(re.findall(r"^\| `([a-z0-9_]+)`", (root / "docs" / "errors.md").read_text(), re.MULTILINE))
    places = [place for room in ("server", "streaming", "model") for place in (root / room).rglob("*.py")]
    raised = {code for place in places for code in re.findall(r'code(?:: str)? ?= ?"([a-z0-9_]+)"', place.read_text())}
    assert raised <= documented, raised - documented
    assert InvalidRequest.code in documented


FLOODS: dict[str, bytes] = {
    "empty objects": b'{"messages": [{"role": "user", "content": [' + b",".join([b"{}"] * 100_000) + b"]}]}",
    "unknown keys": b"{" + b",".join(b'"k%d":1' % n for n in range(10_000)) + b"}",
    "keys below": b'{"messages": [{' + b",".join(b'"k%d":1' % n for n in range(1_000)) + b"}]}",
    "parts": b'{"messages": [{"role": "user", "content": [' + b",".join([b"{}"] * 1_025) + b"]}]}",
    "depth": b'{"messages": ' + b"[" * 40 + b"]" * 40 + b"}",
}


@pytest.mark.parametrize("body", FLOODS.values(), ids=FLOODS)
@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/speech", "/v1/audio/speech", "/v1/realtime/client_secrets"]
)
async def test_a_flood_of_values_is_refused_before_it_is_validated(
    path: str, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("validated")

    async with serving() as front:
        if path == "/v1/speech":  # its query is validated, too, before the body comes
            await front.client.post(path, json={"text": "Hello"})
        else:
            monkeypatch.setattr("pydantic.BaseModel.model_validate", never)
        answer = await front.client.post(path, content=body, headers={"content-type": "application/json"})
        too_large = path.endswith("client_secrets") and len(body) > 65_536
        error_of(answer, 413 if too_large else 400, "too_large" if too_large else "too_complex")


async def test_a_query_of_many_parameters_is_refused_before_it_is_validated(front: Front) -> None:
    query = "&".join(f"k{n}=1" for n in range(200))
    error_of(await front.client.post(f"{SPEECH}?{query}", content=recording()), 400, "too_complex")


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi $"}]}, "messages.0.content"),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi $"}]}]},
            "messages.0.content.0.text",
        ),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "assistant", "content": "$"}, {"role": "user", "content": "Hi"}]},
            "messages.0.content",
        ),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi", "name": "$"}]}, "messages.0.name"),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "tools": ["$"]}, "tools.0"),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "metadata": {"$": 1}}, "metadata"),
        ("/v1/speech", {"text": "Hi", "instructions": "$"}, "instructions"),
        ("/v1/speech", {"text": "Hi", "voice": "$"}, "voice"),
        ("/v1/audio/speech", {"input": "Hi", "voice": {"id": "$"}}, "voice.id"),
        ("/v1/audio/speech", {"input": "Hi", "model": "$"}, "model"),
        ("/v1/realtime/client_secrets", {"session": {"type": "realtime", "instructions": "$"}}, None),
        ("/v1/realtime/sessions", {"instructions": "$"}, None),
    ],
)
async def test_half_a_surrogate_pair_is_no_text(front: Front, path: str, body: Any, param: str | None) -> None:
    headers = {"content-type": "application/json"}
    content = json.dumps(body).replace("$", "\\ud83d")
    error = error_of(
        await front.client.post(path, content=content, headers=headers),
        400,
        "invalid_value" if param else "invalid_json",
    )
    assert error["param"] == param
    whole = await front.client.post(path, content=content.replace("\\ud83d", "\\ud83d\\ude00"), headers=headers)
    assert whole.status_code != 500
    assert "surrogate" not in whole.text


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
async def test_json_has_no_such_numbers(front: Front, number: str) -> None:
    content = f'{{"text": "Hi", "temperature": {number}}}'
    error_of(
        await front.client.post(SPEECH, content=content, headers={"content-type": "application/json"}),
        400,
        "body_unreadable",
    )


async def test_json_with_a_byte_order_mark_is_json(front: Front) -> None:
    for encoding in ("utf-8-sig", "utf-16"):
        content = json.dumps({"text": "Hi"}).encode(encoding)
        answer = await front.client.post(SPEECH, content=content, headers={"content-type": "application/json"})
        assert answer.status_code == 200, encoding


def base64s(data: bytes) -> dict[str, str]:
    """The ways to write `data` that clients use."""
    plain = base64.b64encode(data).decode()
    return {
        "plain": plain,
        "lines": base64.encodebytes(data).decode(),
        "crlf": base64.encodebytes(data).decode().replace("\n", "\r\n"),
        "url-safe": base64.urlsafe_b64encode(data).decode(),
        "unpadded": base64.urlsafe_b64encode(data).decode().rstrip("="),
        "address": f"data:audio/wav;base64,{plain}",
        "address with a codec": f"data:audio/webm;codecs=opus;base64,{base64.urlsafe_b64encode(data).decode()}",
    }


@pytest.mark.parametrize("how", base64s(b""))
async def test_base64_is_read_as_clients_write_it(front: Front, how: str) -> None:
    """Over HTTP; `tests/streaming/test_base64_text.py` has the reader, which the socket shares."""
    text = base64s(recording())[how]
    assert (await front.client.post(SPEECH, json={"audio": text})).status_code == 200
    part = {"type": "input_audio", "input_audio": {"data": text, "format": "wav"}}
    answer = await front.client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": [part]}]})
    assert answer.status_code == 200


async def test_a_large_form_needs_no_room_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    long = recording(tone(25.0, 48_000), 48_000)
    assert len(long) > 2 << 20
    async with serving() as front:
        answer = await front.client.post(SPEECH, files={"file": ("a.wav", long)})
        assert answer.status_code == 200


async def test_what_a_bundle_lacks_is_for_the_log() -> None:
    failing = FakeDecoder(fail_after=0, error=BundleError("/srv/weights/model.safetensors is damaged"))
    async with serving(fake_model(decoder=failing)) as front:
        answer = await front.client.post(SPEECH, json={"text": "Hello", "response_format": "json"})
        assert error_of(answer, 500, "bundle_invalid")["message"]
        assert "/srv" not in answer.text
