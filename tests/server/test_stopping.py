"""A server that is stopped: who is being answered hears the end, nobody else is let in, and every failure has its shape."""

from __future__ import annotations

import asyncio
import base64
import json

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from streaming.audio import WireFormat
from streaming.stages import Pcm
from tests.fakes import FakeLM
from tests.server.front import Front, eventually, listening, recording, tone
from tests.server.models import fake_model

QUESTION = {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Well?"}]}}  # fmt: skip


def stop(front: Front) -> asyncio.Task[None]:
    """As a signal does."""
    assert front.server is not None
    return asyncio.create_task(front.server.shutdown())


async def test_a_turn_under_way_is_answered_to_its_end_and_nobody_else_is_let_in() -> None:
    lm = FakeLM(delay_s=0.01)
    async with listening(fake_model(lm=lm), shutdown_s=10) as front, httpx.AsyncClient(base_url=front.url) as kept:
        await kept.get("/healthz")
        asking = asyncio.create_task(front.client.post("/v1/speech", content=recording()))
        await eventually(lambda: lm.active)
        stopping = stop(front)
        await asyncio.sleep(0)
        refused = await kept.post("/v1/speech", content=recording())
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "server_stopping")
        assert refused.headers["retry-after"]
        ready = await kept.get("/readyz")
        assert (ready.status_code, ready.json()["reason"]) == (503, "stopping")
        with pytest.raises(httpx.ConnectError):
            await httpx.AsyncClient().get(f"{front.url}/healthz")
        answer = await asking
        assert answer.status_code == 200
        assert answer.content
        await stopping


@pytest.mark.parametrize("stream", ["", "?stream=events"])
async def test_a_turn_that_hangs_is_told_in_the_shape_of_every_error(stream: str) -> None:
    lm = FakeLM(hang_after=12 if stream else 0)
    async with listening(fake_model(lm=lm), shutdown_s=0.2) as front:
        asking = asyncio.create_task(front.client.post(f"/v1/speech{stream}", content=recording()))
        await eventually(lambda: lm.active)
        await stop(front)
        answer = await asking
        if stream:
            last = json.loads(answer.text.strip().split("\n\n")[-1].partition("data: ")[2])
            assert (answer.status_code, last["error"]["code"]) == (200, "server_stopping")
        else:
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "server_stopping")
        assert lm.active == 0


async def test_a_body_that_never_comes_is_told_so_too() -> None:
    async with listening(shutdown_s=0.1) as front:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(front.url.rpartition(":")[2]))
        writer.write(b"POST /v1/speech HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\nRIFF")
        await eventually(lambda: front.state.admission.active)
        await stop(front)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert json.loads(body)["error"]["code"] == "server_stopping"
        writer.close()


@pytest.mark.parametrize("hangs", [False, True])
async def test_sockets_hear_their_response_to_its_end_and_are_told(hangs: bool) -> None:
    lm = FakeLM(delay_s=0.01, hang_after=12 if hangs else None)
    async with listening(fake_model(lm=lm), shutdown_s=0.5 if hangs else 10) as front:
        url = front.url.replace("http", "ws") + "/v1/realtime"
        async with connect(url) as idle, connect(url) as answering:
            await answering.send(json.dumps(QUESTION))
            await answering.send(json.dumps({"type": "response.create"}))
            await eventually(lambda: lm.active)
            stopping = stop(front)
            said = {id(socket): [event async for event in heard(socket)] for socket in (idle, answering)}
            await stopping
            for socket in (idle, answering):
                last = said[id(socket)][-1]
                assert (last["type"], last["error"]["code"]) == ("error", "server_stopping")
                assert (socket.close_code, socket.close_reason) == (1012, "the server is stopping; connect again")
            done = [event for event in said[id(answering)] if event["type"] == "response.done"]
            assert [event["response"]["status"] for event in done] == ([] if hangs else ["completed"])


@pytest.mark.parametrize("knows_us", [False, True])
async def test_who_speaks_is_heard_and_answered_before_the_server_leaves(knows_us: bool) -> None:
    subprotocols = [Subprotocol("realtime"), *([Subprotocol("cslm")] if knows_us else [])]
    async with listening(shutdown_s=30) as front:
        url = front.url.replace("http", "ws") + "/v1/realtime"
        async with connect(url, subprotocols=subprotocols) as socket:
            await say(socket, tone(0.5, 24_000))
            while json.loads(await socket.recv())["type"] != "input_audio_buffer.speech_started":
                pass
            stopping = stop(front)
            await eventually(front.state.admission.stop.asked.is_set)
            await say(socket, np.zeros(24_000, np.float32))
            events = [event async for event in heard(socket)]
            await stopping
    kinds = [event["type"] for event in events]
    assert kinds.count("session.ending") == knows_us, "stock clients may fail at events that they do not know"
    assert all(event["within_s"] == 30 for event in events if event["type"] == "session.ending")
    [done] = [event for event in events if event["type"] == "response.done"]
    assert done["response"]["status"] == "completed"
    assert events[-1]["error"]["code"] == "server_stopping"


async def say(socket: ClientConnection, pcm: Pcm) -> None:
    audio = base64.b64encode(WireFormat().encode(pcm)).decode()
    await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))


async def test_a_connection_is_answered_once_more_when_another_server_goes_on() -> None:
    async with listening(shutdown_s=5) as front, httpx.AsyncClient(base_url=front.url) as kept:
        assert (await kept.get("/healthz")).headers.get("connection") is None
        reader, writer = await asyncio.open_connection("127.0.0.1", int(front.url.rpartition(":")[2]))
        assert front.server is not None
        await eventually(lambda: len(front.server.server_state.connections) == 2)
        front.state.admission.moved = True
        stopping = stop(front)
        await asyncio.sleep(0)
        assert not front.state.admission.stop.asked.is_set()
        last = await kept.post("/v1/speech", content=recording())
        assert (last.status_code, last.headers["connection"]) == (200, "close")
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
        await stopping


async def heard(socket):  # type: ignore[no-untyped-def]
    """All events until the close."""
    try:
        while True:
            yield json.loads(await socket.recv())
    except ConnectionClosed:
        return
