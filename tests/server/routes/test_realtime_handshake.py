"""Handshakes: which are refused, with what, and who speaks which dialect; and a client that never reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.fakes import UNITS, FakeDecoder, FakeLM, answer_ids
from tests.server.front import Front, eventually, listening
from tests.server.models import fake_model

BETA = {"OpenAI-Beta": "realtime=v1"}


def socket_url(front: Front, path: str = "/v1/realtime") -> str:
    return front.url.replace("http", "ws") + path


async def test_a_refusal_says_what_it_takes() -> None:
    async with listening(api_key="sk-1") as front:
        with pytest.raises(InvalidStatus) as refused:
            await connect(socket_url(front), proxy=None)
        assert refused.value.response.status_code == 401
        assert refused.value.response.headers["WWW-Authenticate"] == "Bearer"


async def test_a_refusal_says_when_to_come_again() -> None:
    async with listening(max_sessions=1, max_waiting=0) as front, connect(socket_url(front), proxy=None):
        with pytest.raises(InvalidStatus) as refused:
            await connect(socket_url(front), proxy=None)
        assert refused.value.response.status_code == 503
        assert int(refused.value.response.headers["Retry-After"]) >= 1


@pytest.mark.parametrize(("path", "shape"), [("/v1/realtime", "modalities"), ("/v1/realtime/translations", "audio")])
async def test_the_beta_dialect_is_that_of_conversations(path: str, shape: str) -> None:
    async with (
        listening() as front,
        connect(socket_url(front, path), additional_headers=BETA, proxy=None) as socket,
    ):
        created = json.loads(await socket.recv())
        assert created["type"] == "session.created"
        assert shape in created["session"]


async def test_a_client_that_never_reads_is_let_go() -> None:
    """The answer has more audio, some 60 MB, than all buffers between here and there; the connection itself stays open."""
    lm = FakeLM(answer_ids("Q", ("Text. ", UNITS * 500)), per_step=500)
    decoder = FakeDecoder(per_unit=24_000)
    async with (
        listening(fake_model(lm=lm, decoder=decoder), write_timeout_s=0.2) as front,
        connect(socket_url(front), max_queue=1, proxy=None, close_timeout=0.1) as socket,
    ):
        content = [{"type": "input_text", "text": "Hello?"}]
        item = {"type": "message", "role": "user", "content": content}
        await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
        await socket.send(json.dumps({"type": "response.create", "response": {"max_output_tokens": "inf"}}))
        await eventually(lambda: lm.active == 1)
        await eventually(lambda: front.state.admission.active == 0)
        assert (lm.active, lm.cancelled, decoder.active, decoder.closed) == (0, 1, 0, 1)
        socket.transport.abort()


@pytest.mark.parametrize(
    ("offered", "selected"),
    [
        (["realtime", "openai-insecure-api-key.sk-1"], "realtime"),
        (["openai-insecure-api-key.sk-1", "openai-beta.realtime-v1", "realtime"], "realtime"),
        (["openai-insecure-api-key.sk-1", "openai-beta.realtime-v1"], "openai-beta.realtime-v1"),
        (["openai-insecure-api-key.sk-1"], "openai-insecure-api-key.sk-1"),
    ],
)
async def test_browsers_need_one_of_their_subprotocols_selected(offered: list[Any], selected: str) -> None:
    async with (
        listening(api_key="sk-1") as front,
        connect(socket_url(front), subprotocols=offered, proxy=None) as socket,
    ):
        assert socket.subprotocol == selected


async def test_a_message_that_is_too_large_is_refused_and_the_session_goes_on() -> None:
    async with listening(max_message_bytes=1000) as front, connect(socket_url(front), proxy=None) as socket:
        assert json.loads(await socket.recv())["type"] == "session.created"
        await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 2000}))
        error = json.loads(await socket.recv())["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "too_large")
        await socket.send(json.dumps({"type": "input_audio_buffer.clear"}))
        assert json.loads(await socket.recv())["type"] == "input_audio_buffer.cleared"
        await socket.send("A" * 5000)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize("path", ["/", "/realtime", "/v1/speech", "/v1/realtime/", "/v1/realtime/calls"])
async def test_a_socket_elsewhere_is_told_where_the_sockets_are(path: str) -> None:
    async with listening() as front:
        with pytest.raises(InvalidStatus) as refused:
            await connect(socket_url(front, path), proxy=None)
        answer = refused.value.response
        error = json.loads(answer.body)["error"]
        assert (answer.status_code, error["code"]) == (404, "not_found")
        assert path in error["message"] and "/v1/realtime, /v1/realtime/translations" in error["message"]
