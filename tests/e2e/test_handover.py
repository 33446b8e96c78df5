"""One server takes over from another at the same port, while clients connect as fast as they can: nobody is refused or reset."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.knocking import Knocking, knocked
from tests.live_server import START_S, free_port, running_server

pytestmark = pytest.mark.e2e


async def last_words_of(port: int) -> tuple[list[str], int | None]:
    """What an idle session is told until it is closed, and how it is closed."""
    kinds = []
    async with connect(f"ws://127.0.0.1:{port}/v1/realtime", proxy=None) as socket:
        try:
            while True:
                kinds.append(json.loads(await socket.recv())["type"])
        except ConnectionClosed:
            return kinds, socket.close_code


async def test_a_second_server_takes_over_without_a_refused_connection(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    logs: Path = tmp_path_factory.mktemp("handover")
    port, settings = free_port(), {"handover": str(logs / "socket"), "max_sessions": "64"}
    knocking = Knocking(port)
    with running_server(logs / "1.log", port, **settings) as first:
        idle = asyncio.create_task(last_words_of(port))
        knocks = asyncio.create_task(knocked(port, 2, knocking))
        second = running_server(logs / "2.log", port, **settings)
        await asyncio.to_thread(second.__enter__)  # /readyz is the first server's
        try:
            status = await asyncio.to_thread(first.wait, START_S)
            after = knocking.requests, knocking.sessions
            end_s = time.monotonic() + 30
            while min(knocking.requests - after[0], knocking.sessions - after[1]) < 20 and time.monotonic() < end_s:
                await asyncio.sleep(0.1)
            knocks.cancel()
            await asyncio.wait({knocks})
            assert knocking.failures == []
            assert min(after) > 0
            assert knocking.requests > after[0] and knocking.sessions > after[1], "the second server answers"
            assert status == 0, (logs / "1.log").read_text()
            assert await idle == (["session.created", "error"], 1012)
        finally:
            await asyncio.to_thread(second.__exit__, None, None, None)
    assert "another server has taken over" in (logs / "1.log").read_text()
