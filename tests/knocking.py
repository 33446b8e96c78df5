"""Clients that connect to a server as fast as they can."""

from __future__ import annotations

import asyncio
import json

import httpx
from websockets.asyncio.client import connect


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
                    while (event := json.loads(await socket.recv()))["type"] == "session.queued":
                        pass  # the server is full, and says when it gives up
                    if event["type"] != "session.created":
                        raise ConnectionRefusedError(event)
                    self.sessions += 1
            except Exception as failure:
                self.failures.append(f"session {self.sessions}: {failure!r}")


async def knocked(port: int, number: int, knocking: Knocking) -> None:
    async with asyncio.TaskGroup() as tasks:
        for _ in range(number):
            for work in (knocking.ask, knocking.ask_again, knocking.talk):
                tasks.create_task(work())
