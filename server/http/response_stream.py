"""An HTTP response that is sent while it is made."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Send

from streaming.task_groups import TaskGroup

T = TypeVar("T")


class ClientStalled(Exception):
    """The client left the answer unread for too long."""


class ResponseStream:
    """One HTTP answer under way. Status and headers leave with the first bytes, so a failure before them still has a status."""

    def __init__(self, send: Send, *, media_type: str, headers: Mapping[str, str], timeout_s: float) -> None:
        self._send = send
        every = {"content-type": media_type, "cache-control": "no-store", "x-accel-buffering": "no", **headers}
        self._headers = [(key.encode(), value.encode("latin-1", "replace")) for key, value in every.items()]
        self._timeout_s = timeout_s
        self._lock = asyncio.Lock()
        self.started = False

    def header(self, name: str, value: str) -> None:
        """One more header; it is lost where the first bytes have left."""
        self._headers.append((name.encode(), value.encode("latin-1", "replace")))

    async def send(self, data: bytes, *, last: bool = False) -> None:
        """Send `data`, and wait while the client does not read. Empty data is not sent. Raises ClientStalled."""
        if not data and not last:
            return
        try:
            async with self._lock, asyncio.timeout(self._timeout_s):
                if not self.started:
                    self.started = True
                    if last:  # all of it is known
                        self._headers.append((b"content-length", str(len(data)).encode()))
                    await self._send({"type": "http.response.start", "status": 200, "headers": self._headers})
                await self._send({"type": "http.response.body", "body": data, "more_body": not last})
        except TimeoutError:
            raise ClientStalled from None


async def run_until_disconnect(work: Coroutine[Any, Any, None], receive: Receive) -> bool:
    """Run `work` to its end, or until the client disconnects: then it is cancelled, and the answer is False."""
    try:
        async with TaskGroup() as group:
            job = group.create_task(work, name="turn")
            watch = group.create_task(_disconnected(receive), name="disconnect")
            job.add_done_callback(lambda _: watch.cancel())
            watch.add_done_callback(lambda _: job.cancel())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return not job.cancelled()


async def result_unless_disconnected(work: Coroutine[Any, Any, T], receive: Receive) -> T:
    """What `work` returns. Raises what that does, and ClientDisconnect if the client goes before: `work` is cancelled then."""
    result = list[T]()

    async def keep() -> None:
        result.append(await work)

    if not await run_until_disconnect(keep(), receive):
        raise ClientDisconnect
    return result[0]


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
