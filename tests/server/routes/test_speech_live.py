"""POST /v1/speech over a real socket: what leaves when, and what happens when a client goes."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest

from streaming.errors import EngineUnavailable
from tests.fakes import UNITS, FakeDecoder, FakeEncoder, FakeLM, answer_ids
from tests.server.front import Front, events_of, eventually, listening, recording
from tests.server.models import fake_model

SPEECH = "/v1/speech"
LATE = 60
"""Tokens of the script that the hanging language model gives: transcript, first text and its first units."""


@pytest.mark.parametrize(
    "params", [{"response_format": kind} for kind in ("wav", "pcm", "mp3", "opus", "aac")] + [{"stream": "events"}]
)
async def test_audio_leaves_before_the_model_has_finished(params: dict[str, str]) -> None:
    lm = FakeLM(answer_ids("Q", ("Some text. ", UNITS), ("More text. ", UNITS)), hang_after=LATE)
    async with (
        listening(fake_model(lm=lm)) as front,
        front.client.stream("POST", SPEECH, content=recording(), params=params) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["transfer-encoding"] == "chunked"
        received = b""
        async for chunk in answer.aiter_raw():
            received += chunk
            if b"audio.delta" in received or ("stream" not in params and len(received) > 100):
                break
        assert lm.active == 1


async def gone(front: Front, lm: FakeLM, decoder: FakeDecoder) -> None:
    await eventually(lambda: front.count("cslm_turns_total", transport="rest", outcome="cancelled") == 1)
    assert (lm.active, lm.cancelled, decoder.active, decoder.closed) == (0, 1, 0, 1)
    await eventually(lambda: front.state.admission.active == 0)


@pytest.mark.parametrize("params", [{}, {"stream": "events"}, {"response_format": "json"}, {"response_format": "opus"}])
async def test_a_client_that_goes_mid_answer_ends_the_turn(params: dict[str, str]) -> None:
    lm, decoder, encoder = FakeLM(hang_after=LATE), FakeDecoder(), FakeEncoder()
    async with listening(fake_model(lm=lm, decoder=decoder, encoder=encoder)) as front:
        asking = asyncio.create_task(front.client.post(SPEECH, content=recording(), params=params))
        await eventually(lambda: decoder.cuts)
        asking.cancel()
        await asyncio.wait({asking})
        await gone(front, lm, decoder)
        assert encoder.closed == encoder.calls == 1
        assert (await front.client.get("/healthz")).status_code == 200


async def test_a_client_that_goes_before_the_answer_begins() -> None:
    encoder = FakeEncoder(hang=True)
    async with listening(fake_model(encoder=encoder)) as front:
        asking = asyncio.create_task(front.client.post(SPEECH, content=recording()))
        await eventually(lambda: encoder.calls)
        asking.cancel()
        await asyncio.wait({asking})
        await eventually(lambda: encoder.closed == 1)
        await eventually(lambda: front.state.admission.active == 0)


async def test_a_client_that_sent_its_next_request_and_goes_is_missed_too() -> None:
    encoder, body = FakeEncoder(hang=True), recording()
    head = b"POST /v1/speech HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with listening(fake_model(encoder=encoder)) as front:
        _, writer = await asyncio.open_connection("127.0.0.1", int(front.url.rpartition(":")[2]))
        writer.write(head + body + b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        await eventually(lambda: encoder.calls)
        writer.write(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n")
        writer.close()
        await eventually(lambda: encoder.closed == 1)
        await eventually(lambda: front.state.admission.active == 0)


async def test_a_client_that_goes_mid_upload_frees_its_slot() -> None:
    async with listening() as front:
        _, writer = await asyncio.open_connection("127.0.0.1", int(front.url.rpartition(":")[2]))
        writer.write(b"POST /v1/speech HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nRIFF")
        await eventually(lambda: front.state.admission.active == 1)
        writer.close()
        await eventually(lambda: front.state.admission.active == 0)
        assert front.count("cslm_turns_total", transport="rest", outcome="cancelled") == 0


async def test_a_client_that_never_reads_is_let_go() -> None:
    """Answers endlessly, so that every buffer between here and there fills."""
    lm = FakeLM(answer_ids("Q", ("Text. ", UNITS * 500)), per_step=500)
    decoder = FakeDecoder(per_unit=24_000)
    async with listening(fake_model(lm=lm, decoder=decoder), write_timeout_s=0.2) as front:
        body = recording()
        reader, writer = await asyncio.open_connection("127.0.0.1", int(front.url.rpartition(":")[2]), limit=1)
        head = f"POST /v1/speech?max_tokens=100000 HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await eventually(lambda: front.count("cslm_errors_total", code="client_stalled") == 1)
        await gone(front, lm, decoder)
        assert not reader.at_eof()
        writer.transport.abort()


async def collect(client: httpx.AsyncClient, received: bytearray) -> None:
    """Everything of an answer that arrives."""
    async with client.stream("POST", SPEECH, content=recording()) as answer:
        assert answer.status_code == 200
        async for chunk in answer.aiter_raw():
            received += chunk


FAILING = ("lm", "decoder", "engine")


def failing(stage: str) -> dict[str, Any]:
    """Stages of which one fails when some audio has left."""
    if stage == "decoder":
        return {"lm": FakeLM(delay_s=0.002), "decoder": FakeDecoder(fail_after=6)}
    lm = FakeLM(delay_s=0.002, fail_after=LATE)
    if stage == "engine":
        lm.error = EngineUnavailable("the engine is being restarted")
    return {"lm": lm}


@pytest.mark.parametrize("stage", FAILING)
async def test_a_failure_in_the_middle_breaks_the_audio_off(stage: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "uvicorn.error")
    async with listening(fake_model(**failing(stage))) as front:
        received = bytearray()
        with pytest.raises(httpx.RemoteProtocolError):
            await collect(front.client, received)
        assert received.startswith(b"RIFF")
        await eventually(lambda: front.count("cslm_turns_total", transport="rest", outcome="failed") == 1)
        code = "engine_unavailable" if stage == "engine" else "internal_error"
        assert front.count("cslm_errors_total", code=code) == 1
        assert front.state.admission.active == 0


@pytest.mark.parametrize("stage", FAILING)
async def test_a_failure_in_the_middle_is_an_event(stage: str) -> None:
    async with listening(fake_model(**failing(stage))) as front:
        answer = await front.client.post(f"{SPEECH}?stream=events", content=recording())
        assert answer.status_code == 200
        assert "secret" not in answer.text
        events = events_of(answer.text)
        assert "audio.delta" in [event["type"] for event in events]
        last = events[-1]
        assert last["type"] == "error"
        assert last["error"]["code"] == ("engine_unavailable" if stage == "engine" else "internal_error")
        assert set(last["error"]) == {"type", "code", "message", "param"}


async def test_an_oversized_upload_is_refused_over_the_wire() -> None:
    async with listening(max_body_bytes=100_000) as front:
        body = b"POST /v1/speech HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", int(front.url.rpartition(":")[2]))
        writer.write(body + b"186a1\r\n" + bytes(100_001) + b"\r\n")
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
        assert b"413" in answer
        writer.close()
        assert (await front.client.get("/healthz")).status_code == 200


async def test_the_server_stops_with_a_turn_under_way() -> None:
    lm = FakeLM(hang_after=LATE)
    async with listening(fake_model(lm=lm)) as front:
        asking = asyncio.create_task(front.client.post(SPEECH, content=recording()))
        await eventually(lambda: lm.active)
        asking.cancel()
        await asyncio.wait({asking})
    assert lm.active == 0
