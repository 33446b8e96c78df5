"""An HTTP response that is sent while it is made."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.types import Send


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
