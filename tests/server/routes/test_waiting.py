"""A full server: sockets that wait for a place, turns and calls that do, and how those end that wait in vain."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.server.front import Front, eventually, listening, recording
from tests.server.webrtc.rtc_peer import calling

CLEAR = json.dumps({"type": "input_audio_buffer.clear"})
COMMIT = json.dumps({"type": "input_audio_buffer.commit"})


def url(front: Front, path: str = "/v1/realtime") -> str:
    return front.url.replace("http", "ws") + path


async def event(socket: ClientConnection) -> dict[str, Any]:
    return dict(json.loads(await socket.recv()))


@pytest.mark.parametrize("path", ["/v1/realtime", "/v1/realtime/translations"])
async def test_a_socket_that_waits_is_told_and_nothing_it_said_is_lost(path: str) -> None:
    async with listening(max_sessions=1, max_wait_s=60) as front:
        async with connect(url(front), proxy=None) as first:
            assert (await event(first))["type"] == "session.created"
            second = await connect(url(front, path), proxy=None)
            queued = await event(second)
            assert (queued["type"], queued["position"]) == ("session.queued", 1)
            assert queued["estimated_wait_s"] > 0
            assert queued["event_id"]
            for message in ("{", "[]"):
                await second.send(message)
            assert front.state.admission.active == 1
        assert (await event(second))["type"] == "session.created"
        for _ in range(2):
            assert (await event(second))["error"]["code"] == "invalid_json"
        await second.close()
        await eventually(lambda: front.state.admission.active == 0)


async def test_the_beta_knows_no_queue_and_waits_in_silence() -> None:
    async with listening(max_sessions=1, max_wait_s=60) as front:
        async with connect(url(front), proxy=None) as first:
            assert (await event(first))["type"] == "session.created"
            second = await connect(url(front), additional_headers={"OpenAI-Beta": "realtime=v1"}, proxy=None)
            await eventually(lambda: front.state.admission.waiting == 1)
        assert (await event(second))["type"] == "session.created"
        await second.close()


async def test_a_socket_that_waits_in_vain_is_closed_with_1013() -> None:
    async with listening(max_sessions=1, max_wait_s=0.05) as front, connect(url(front), proxy=None):
        async with connect(url(front), proxy=None) as second:
            assert (await event(second))["type"] == "session.queued"
            last = await event(second)
            assert (last["type"], last["error"]["code"]) == ("error", "at_capacity")
            with pytest.raises(ConnectionClosed):
                await second.recv()
            assert (second.close_code, second.close_reason) == (1013, "at_capacity")
        assert front.count("cslm_errors_total", code="at_capacity") == 1


async def test_a_socket_that_goes_away_waits_no_more() -> None:
    async with listening(max_sessions=1, max_wait_s=60) as front, connect(url(front), proxy=None) as first:
        await event(first)
        second = await connect(url(front), proxy=None)
        assert (await event(second))["type"] == "session.queued"
        await second.send("{}")
        await second.close()
        await eventually(lambda: front.state.admission.waiting == 0)
        assert front.state.admission.active == 1


async def test_a_socket_that_says_more_than_is_kept_goes_on_where_it_was() -> None:
    """Six megabytes of events while it waits, of which none is lost."""
    async with listening(max_sessions=1, max_wait_s=60) as front:
        async with connect(url(front), proxy=None) as first:
            await event(first)
            second = await connect(url(front), proxy=None, max_queue=None)
            assert (await event(second))["type"] == "session.queued"
            sending = asyncio.create_task(_send_much(second))
            await eventually(lambda: front.state.admission.waiting == 1)
        assert (await event(second))["type"] == "session.created"
        kinds = [(await event(second)).get("error", {}).get("code") for _ in range(6)]
        await sending
        assert kinds == ["unknown_event_type"] * 6
        await second.close()


async def _send_much(socket: ClientConnection) -> None:
    for _ in range(6):
        await socket.send(json.dumps({"type": "x", "padding": "A" * 1_000_000}))


async def test_a_turn_waits_for_its_place_and_who_is_too_many_is_told_when_to_come_again() -> None:
    settings = {"max_sessions": 1, "max_waiting": 2, "max_waiting_per_peer": 1, "max_wait_s": 60}
    async with listening(**settings) as front:
        async with connect(url(front), proxy=None) as first:
            await event(first)
            asking = asyncio.create_task(front.client.post("/v1/speech", content=recording()))
            await eventually(lambda: front.state.admission.waiting == 1)
            refused = await front.client.post("/v1/speech", content=recording())
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_waiting")
            assert refused.json()["error"]["type"] == "rate_limit_error"
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            with pytest.raises(InvalidStatus) as denied:
                await connect(url(front), proxy=None)
            assert denied.value.response.status_code == 429
            told = await front.client.get("/v1/realtime")
            assert told.json()["error"]["code"] == "too_many_waiting"
            assert (await front.client.get("/readyz")).json()["waiting"] == 1
            metrics = (await front.client.get("/metrics")).text
            assert "cslm_waiting_sessions 1.0" in metrics
        assert (await asking).status_code == 200


async def test_an_offer_whose_caller_has_gone_waits_no_more() -> None:
    async with listening(max_sessions=1, max_wait_s=60) as front, connect(url(front), proxy=None) as first:
        await event(first)
        async with calling() as caller:
            offer = (await caller.offer()).encode()
            head = f"POST /v1/realtime/calls HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\nContent-Length: {len(offer)}"
            _, writer = await asyncio.open_connection(*front.url.removeprefix("http://").split(":"))
            writer.write(f"{head}\r\n\r\n".encode() + offer)
            await eventually(lambda: front.state.admission.waiting == 1)
            writer.transport.abort()
            await eventually(lambda: front.state.admission.waiting == 0)
        assert front.state.admission.active == 1


async def test_a_turn_that_waits_in_vain_is_refused() -> None:
    async with listening(max_sessions=1, max_wait_s=0.05) as front, connect(url(front), proxy=None) as first:
        await event(first)
        refused = await front.client.post("/v1/speech", content=recording())
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "at_capacity")
        assert 1 <= int(refused.headers["retry-after"]) <= 60


async def test_without_a_queue_all_are_refused_at_once() -> None:
    async with (
        listening(max_sessions=1, max_waiting=0, max_wait_s=60) as front,
        connect(url(front), proxy=None) as first,
    ):
        await event(first)
        async with httpx.AsyncClient(base_url=front.url) as client:
            assert (await client.post("/v1/speech", content=recording())).status_code == 503
        with pytest.raises(InvalidStatus) as refused:
            await connect(url(front), proxy=None)
        assert refused.value.response.status_code == 503
