"""A relay between a stock client and the server: forwards every message as it is, and keeps what went by."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as dial
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from streaming.realtime.events import SessionQueued
from streaming.realtime.ga import Ga

MAX_MESSAGE_BYTES = 16 * 2**20

Origin = Literal["client", "server"]


@dataclass(frozen=True, slots=True)
class Message:
    """One event on the wire, and who sent it."""

    origin: Origin
    event: dict[str, Any]

    @property
    def kind(self) -> str:
        """The event's type."""
        return str(self.event["type"])


@dataclass(slots=True)
class Wire:
    """What went over the connections to one relay, in the order in which it was forwarded; one list each connection."""

    address: str = ""
    connections: list[list[Message]] = field(default_factory=list)


WAIT_S = 1.0
"""How long a client of a full server waits for its session."""


@asynccontextmanager
async def relay(server: str, *, full: bool = False) -> AsyncIterator[Wire]:
    """Listen on a free port of 127.0.0.1 and forward to `server` (`ws://host:port`) until the context ends.

    `full`: clients are told first that they wait in a queue, as a full server tells them, and wait.
    """
    wire = Wire()

    async def forward(client: ServerConnection) -> None:
        messages: list[Message] = []
        wire.connections.append(messages)
        assert client.request is not None
        if full:
            await _tell_to_wait(client, messages)
        key = client.request.headers.get("Authorization")
        async with (
            dial(
                server + client.request.path,
                additional_headers={"Authorization": key} if key else None,
                subprotocols=[client.subprotocol] if client.subprotocol else None,
                max_size=MAX_MESSAGE_BYTES,
                ping_interval=None,
            ) as upstream,
            asyncio.TaskGroup() as pumps,
        ):
            pumps.create_task(_pump(client, upstream, "client", messages))
            pumps.create_task(_pump(upstream, client, "server", messages))

    def choose(_: ServerConnection, offered: list[Subprotocol]) -> Subprotocol | None:
        return Subprotocol("realtime") if "realtime" in offered else None

    async with serve(
        forward, "127.0.0.1", 0, select_subprotocol=choose, max_size=MAX_MESSAGE_BYTES, ping_interval=None
    ) as listener:
        _, port = next(iter(listener.sockets)).getsockname()
        wire.address = f"127.0.0.1:{port}"
        yield wire


async def _tell_to_wait(client: ServerConnection, messages: list[Message]) -> None:
    """What `server.routes.realtime.waiting` does."""
    for position in (2, 1):
        for data in Ga().encode(SessionQueued(position, 1.5 * position)):
            messages.append(Message("server", json.loads(data)))
            await client.send(data)
        await asyncio.sleep(WAIT_S / 2)


async def _pump(
    source: ClientConnection | ServerConnection,
    sink: ClientConnection | ServerConnection,
    origin: Origin,
    messages: list[Message],
) -> None:
    """Forward until either end closes; then close the other with the same code."""
    try:
        async for data in source:
            messages.append(Message(origin, json.loads(data)))
            await sink.send(data)
    except ConnectionClosed:
        pass
    await sink.close(source.close_code if source.close_code in (1000, 1001, 1008, 1011) else 1000)
