"""`GET /v1/realtime` without an upgrade: what a browser, which does not see a refused handshake, can ask."""

from __future__ import annotations

import websockets

from tests.server.front import listening, serving


async def test_a_socket_would_be_let_in() -> None:
    async with serving() as front:
        answer = await front.client.get("/v1/realtime", params={"model": "fake"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (426, "upgrade_required")


async def test_it_says_why_a_socket_would_not() -> None:
    async with serving() as front:
        answer = await front.client.get("/v1/realtime?model=nobody")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
        answer = await front.client.get("/v1/realtime?call_id=rtc_1")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_parameter")
    async with serving(api_key="sk-1") as front:
        assert (await front.client.get("/v1/realtime")).json()["error"]["code"] == "missing_api_key"
    async with listening(max_sessions=1, max_waiting=0) as front:
        async with websockets.connect(front.url.replace("http", "ws") + "/v1/realtime", proxy=None):
            answer = await front.client.get("/v1/realtime")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "at_capacity")
        assert (await front.client.get("/metrics")).status_code == 200
