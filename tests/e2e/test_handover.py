"""One server takes over from another at the same port, while clients connect as fast as they can: nobody is refused or reset."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.live_server import START_S, free_port, running_server

pytestmark = pytest.mark.e2e


class Knocking:
    """Clients that open connections without a pause. `failures`: what each of them met that was no answer."""

    def __init__(self, port: int) -> None:
        self._url = f"127.0.0.1:{port}"
        self.requests = self.sessions = 0
        self.failures: list[str] = []

    async def ask(self) -> None:
        """A connection for each request."""
        while True:
            async with httpx.AsyncClient(base_url=f"http://{self._url}", timeout=30) as client:
                await self._asked(client)

    async def ask_again(self) -> None:
        """Requests over one connection, as long as the server keeps it."""
        async with httpx.AsyncClient(base_url=f"http://{self._url}", timeout=30) as client:
            while True:
                await self._asked(client)

    async def _asked(self, client: httpx.AsyncClient) -> None:
        try:
            answer = await client.get("/v1/models")
        except httpx.TransportError as failure:
            self.failures.append(f"request {self.requests}: {failure!r}")
            return
        self.requests += 1
        if answer.status_code != 200:
            self.failures.append(f"request {self.requests}: {answer.status_code} {answer.text}")

    async def talk(self) -> None:
        """A session for each connection, up to its first event."""
        while True:
            try:
                async with connect(f"ws://{self._url}/v1/realtime", proxy=None) as socket:
                    assert json.loads(await socket.recv())["type"] == "session.created"
                    self.sessions += 1
            except Exception as failure:
                self.failures.append(f"session {self.sessions}: {failure!r}")


async def knocked(port: int, number: int, knocking: Knocking) -> None:
    async with asyncio.TaskGroup() as tasks:
        for _ in range(number):
            for work in (knocking.ask, knocking.ask_again, knocking.talk):
                tasks.create_task(work())


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
