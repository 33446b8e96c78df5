"""A request ends when its client goes."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streaming.task_groups import TaskGroup

_AHEAD_BYTES = 1 << 20
"""A question of half a minute as it is usually sent."""


class Presence:
    """ASGI middleware. A client that goes cancels its request, wherever that is: in the queue, being decoded, being answered.

    Once the last bytes of the answer are on their way, the request is left to its end. `most_bytes`: of a body.
    """

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app = app
        self._ahead_bytes = min(_AHEAD_BYTES, most_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = _Client(receive, self._ahead_bytes, waits="expect" in Headers(scope=scope))

        async def send_watched(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                watch.cancel()
            await send(message)

        try:
            async with TaskGroup() as group:
                watch = group.create_task(client.watch(), name="presence")
                await self._app(scope, client.receive, send_watched)
                watch.cancel()
        except ExceptionGroup as failures:
            if not any(isinstance(failure, ClientDisconnect) for failure in failures.exceptions):
                raise failures.exceptions[0] from None


class _Client:
    """Who asks. Its messages are read ahead of the application, so that its leaving is seen.

    Of a long body no more than `most_bytes` is read ahead: the rest is to wait until the request is let in. Nothing is read of a
    client that `waits` to be told to go on (`100 Continue`).
    """

    def __init__(self, receive: Receive, most_bytes: int, *, waits: bool) -> None:
        self._receive, self._most_bytes = receive, most_bytes
        self._messages: asyncio.Queue[Message] = asyncio.Queue()  # bounded in bytes
        self._ahead_bytes = 0
        self._taken, self._asked = asyncio.Event(), asyncio.Event()
        if not waits:
            self._asked.set()

    async def watch(self) -> None:
        """Read until the client has gone. Raises ClientDisconnect then."""
        await self._asked.wait()
        while (message := await self._receive())["type"] != "http.disconnect":
            self._ahead_bytes += len(message.get("body", b""))
            self._messages.put_nowait(message)
            while message.get("more_body", False) and self._ahead_bytes >= self._most_bytes:
                self._taken.clear()
                await self._taken.wait()
        raise ClientDisconnect

    async def receive(self) -> Message:
        """The next message."""
        self._asked.set()
        message = await self._messages.get()
        self._ahead_bytes -= len(message.get("body", b""))
        self._taken.set()
        return message
