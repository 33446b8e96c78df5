"""Admission: one number of slots for REST turns and sockets together. A full or a stopping server refuses at once; nobody waits."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from server.errors import ServerStopping
from streaming.errors import CapacityError

Watcher = Callable[[str, int], None]

_ENDED_BY_THEMSELVES = ("rest", "realtime")
"""What a stopping server waits for. Calls are hung up with the application."""


_GOODBYE_S = 1.0
"""To say goodbye to who had to be ended."""


class Admission:
    """Slots of one server. `on_change(transport, by)` hears of every slot taken (+1) and given back (-1).

    `stopping`: nobody is let in any more, and who is idle should go. `over`: who is still there must go now.
    """

    def __init__(self, slots: int, on_change: Watcher = lambda transport, by: None) -> None:
        self._slots = slots
        self._on_change = on_change
        self._taken: Counter[str] = Counter()
        self._returned = asyncio.Event()
        self._limits: set[asyncio.Timeout] = set()
        self.stopping, self.over = asyncio.Event(), asyncio.Event()

    @property
    def active(self) -> int:
        """Slots in use."""
        return self._taken.total()

    def check(self) -> None:
        """Raises ServerStopping, and CapacityError when no slot is free."""
        if self.stopping.is_set():
            raise ServerStopping("the server is stopping; try another, or this one again later")
        if self.active >= self._slots:
            raise CapacityError(f"all {self._slots} sessions of this server are in use; try again later")

    @asynccontextmanager
    async def slot(self, transport: str) -> AsyncGenerator[None]:
        """One slot while the context lasts. Raises ServerStopping or CapacityError at once when there is none."""
        self.check()
        self._taken[transport] += 1
        self._on_change(transport, 1)
        try:
            yield
        finally:
            self._taken[transport] -= 1
            self._on_change(transport, -1)
            self._returned.set()

    @asynccontextmanager
    async def until_over(self) -> AsyncGenerator[None]:
        """Work that ends with ServerStopping when `over` comes."""
        limit = asyncio.timeout(0 if self.over.is_set() else None)
        self._limits.add(limit)
        try:
            async with limit:
                yield
        except TimeoutError:
            if limit.expired():
                raise ServerStopping("the server stops and could not wait for the end of the answer") from None
            raise
        finally:
            self._limits.discard(limit)

    async def drain(self, limit_s: float) -> None:
        """Stop: let nobody in, give turns and sockets `limit_s` to end, then end them."""
        self.stopping.set()
        if await self._empty(limit_s):
            return
        self.over.set()
        now_s = asyncio.get_running_loop().time()
        for limit in self._limits:
            limit.reschedule(now_s)
        await self._empty(_GOODBYE_S)

    async def _empty(self, limit_s: float) -> bool:
        """Wait until all have gone. False if they have not within `limit_s`."""
        try:
            async with asyncio.timeout(limit_s):
                while any(self._taken[transport] for transport in _ENDED_BY_THEMSELVES):
                    self._returned.clear()
                    await self._returned.wait()
        except TimeoutError:
            return False
        return True
