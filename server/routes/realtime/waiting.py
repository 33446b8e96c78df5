"""A socket whose session waits for a place: it is told where it stands, and nothing that it says is lost."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from contextlib import suppress

from fastapi import WebSocket, WebSocketDisconnect
from starlette.types import Message

from server.state.gate import Place
from streaming.realtime.events import ServerEvent, SessionQueued
from streaming.realtime.ga import Dialect

_MOST_BYTES = 1024 * 1024
"""Kept of a client that waits: 16 s of speech. With more, it is not read until it is in."""
_TELL_S = 1.0


class WaitingClient:
    """Around one socket, from before its handshake. `subprotocol`: what is selected with it."""

    def __init__(self, socket: WebSocket, dialect: Dialect, subprotocol: str | None) -> None:
        self.socket = socket
        self._dialect = dialect
        self._subprotocol = subprotocol
        self._early: deque[Message] = deque()
        self._accepted = asyncio.Event()

    @property
    def accepted(self) -> bool:
        """The handshake is over."""
        return self._accepted.is_set()

    async def accept(self) -> None:
        """End the handshake, if that has not been done."""
        if not self.accepted:
            await self.socket.accept(subprotocol=self._subprotocol)
            self._accepted.set()

    async def queued(self, place: Place) -> None:
        """Tell it where it waits."""
        await self.accept()
        await self.tell(SessionQueued(place.position, round(place.wait_s, 1)))

    async def tell(self, event: ServerEvent) -> None:
        """Send an event; nothing to one that does not read, or has gone."""
        with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(_TELL_S):
                for message in self._dialect.encode(event):
                    await self.socket.send_text(message)

    async def until(self, admitted: Awaitable[None]) -> bool:
        """Await `admitted`, and keep what the client says meanwhile. False where it has gone. Raises what `admitted` raises."""
        listening = asyncio.create_task(self._listen(), name="waiting-client")
        try:
            async with asyncio.timeout(None) as waiting:

                def leave(_: asyncio.Task[None]) -> None:
                    with suppress(RuntimeError):  # both at once: it was let in, and the time-out is over
                        waiting.reschedule(asyncio.get_running_loop().time())

                listening.add_done_callback(leave)
                try:
                    await admitted
                finally:
                    listening.remove_done_callback(leave)
        except TimeoutError:
            if not waiting.expired():
                raise
            return False
        finally:
            listening.cancel()
            await asyncio.wait({listening})
        return True

    async def receive(self) -> Message:
        """The next message: those that came early first."""
        return self._early.popleft() if self._early else await self.socket.receive()

    async def _listen(self) -> None:
        """Until the client has gone."""
        await self._accepted.wait()
        room = _MOST_BYTES
        while room > 0:
            message = await self.socket.receive()
            self._early.append(message)
            if message["type"] == "websocket.disconnect":
                return
            room -= len(message.get("text") or message.get("bytes") or "")
        await asyncio.Event().wait()
