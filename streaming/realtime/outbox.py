"""The way out of a session: events of several tasks, each group of them whole and in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from streaming.realtime.conversation import new_id

Event = dict[str, Any]
"""A server event of the protocol; JSON."""

Send = Callable[[Event], Awaitable[None]]


class Outbox:
    """Gives every event its id. Whoever sends waits while the client does not read."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = asyncio.Lock()

    async def send(self, *events: Event) -> None:
        """Events that belong together; those of another task come before or after them."""
        await self.send_made(lambda: events)

    async def send_made(self, make: Callable[[], Sequence[Event]]) -> None:
        """The same, made when it is their turn: what making them changes is changed in the order in which it is told."""
        async with self._lock:
            for event in make():
                await self._send({"event_id": new_id("event"), **event})
