"""`GET /v1/sessions`: who sees what is under way, and in which state."""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from server.state.accounts import Account
from server.state.live import LiveSession
from server.state.sessions import session_model
from streaming.audio import WireFormat
from streaming.realtime.limits import SessionLimits
from streaming.realtime.machine import RealtimeMachine
from streaming.report import TurnReport
from tests.fakes import FakeLM
from tests.server.front import Front, eventually, listening, recording
from tests.server.http.test_keys import ANNA, BEN, SINGLE, auth, entry, opened, written
from tests.server.models import fake_model
from tests.server.routes.test_resume import ASK, Client, cut, send
from tests.streaming.realtime.peer import tone


async def listed(front: Front, key: str = "") -> list[dict[str, Any]]:
    answer = await front.client.get("/v1/sessions", headers=auth(key) if key else {})
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


async def until_state(front: Front, state: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            rows = await listed(front)
            if rows and rows[0]["state"] == state:
                return rows[0]
            await asyncio.sleep(0.01)


async def test_a_key_sees_its_own_and_the_operators_all(tmp_path: Path) -> None:
    keys = written(tmp_path, entry("anna", ANNA), entry("ben", BEN))
    async with listening(keys_file=keys, api_key=SINGLE) as front:
        async with opened(front, ANNA) as anna, opened(front, BEN) as ben:
            await anna.recv(), await ben.recv()
            seen = {key: sorted(row["key"] for row in await listed(front, key)) for key in (ANNA, BEN, SINGLE)}
        refused = await front.client.get("/v1/sessions")
    assert seen == {ANNA: ["anna"], BEN: ["ben"], SINGLE: ["anna", "ben"]}
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "missing_api_key")


async def test_what_a_session_does() -> None:
    lm = FakeLM(hang_after=0)
    async with listening(fake_model(lm=lm)) as front:
        client = Client(front)
        async with client.connected() as socket:
            session = (await client.next(socket))["session"]["id"]
            idle = await until_state(front, "idle")
            assert (idle["id"], idle["transport"], idle["language"], idle["turns"]) == (session, "realtime", "auto", 0)
            await send(socket, *ASK)
            await until_state(front, "answering")
            lm.released.set()
            await client.until(socket, "response.done")
            assert (await until_state(front, "idle"))["turns"] == 1
            audio = base64.b64encode(WireFormat().encode(tone(400))).decode()
            await send(socket, {"type": "input_audio_buffer.append", "audio": audio})
            await until_state(front, "hearing")
            cut(socket)
            await until_state(front, "away")
        async with client.again() as socket:
            while not client.resumed:
                await client.next(socket)
            assert (await listed(front))[0]["state"] != "away"
        await eventually(lambda: not front.state.live.rows())


async def test_a_request_over_http() -> None:
    lm = FakeLM(hang_after=0)
    async with listening(fake_model(lm=lm)) as front:
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(front.client.post("/v1/speech", content=recording()))
            row = await until_state(front, "answering")
            assert (row["transport"], row["key"], row["language"]) == ("rest", "anonymous", None)
            lm.released.set()
        assert asked.result().headers["x-request-id"] == row["id"]
        await eventually(lambda: not front.state.live.rows())


async def test_a_session_that_transcribes_or_translates_is_listed_too() -> None:
    async with listening() as front:
        url = front.url.replace("http", "ws") + "/v1/realtime?intent=transcription"
        async with connect(url, proxy=None) as socket:
            await socket.recv()
            assert [row["language"] for row in await listed(front)] == [None]
        await eventually(lambda: not front.state.live.rows())


@pytest.mark.parametrize(
    ("outcome", "state", "turns"),
    [("completed", "playing", 1), ("failed", "playing", 1), ("cancelled", "idle", 1), (None, "idle", 0)],
)
async def test_what_was_sent_is_still_to_be_heard_unless_it_was_interrupted(
    outcome: Any, state: str, turns: int
) -> None:
    machine = RealtimeMachine(session_model(fake_model()), SessionLimits())
    live, report = LiveSession(machine.id, Account("anna"), "realtime", machine), TurnReport()
    live.begun("resp_1", report)
    report.playout.sent(60.0, time.monotonic())
    assert (live.row().state, live.row().buffered_s > 59) == ("answering", True)
    live.ended("resp_1", outcome)
    assert (live.row().state, live.row().turns) == (state, turns)
    assert bool(live.row().buffered_s) is (state == "playing")
