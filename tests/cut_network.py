"""A network that breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress


class Network:
    """Between client and server: the first connection passes so many bytes, either way, before it breaks, then the second, …"""

    def __init__(self, port: int, lives: list[int]) -> None:
        self._port = port
        self._lives = lives
        self.connections = 0

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[str]:
        async with await asyncio.start_server(self._connected, "127.0.0.1", 0) as server:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _connected(self, near: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        left = self._lives.pop(0) if self._lives else 1 << 60
        self.connections += 1
        far, far_writer = await asyncio.open_connection("127.0.0.1", self._port)

        async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal left
            with suppress(ConnectionError):
                while left > 0 and (data := await reader.read(4096)):
                    writer.write(data[:left])
                    await writer.drain()
                    left -= len(data)
            near_writer.transport.abort()
            far_writer.transport.abort()

        await asyncio.gather(passed(near, far_writer), passed(far, near_writer))
