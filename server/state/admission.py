"""Admission: one number of slots for REST turns and sockets together. A full server refuses at once; nobody waits."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from streaming.errors import CapacityError

Watcher = Callable[[str, int], None]


class Admission:
    """Slots of one server. `on_change(transport, by)` hears of every slot taken (+1) and given back (-1)."""

    def __init__(self, slots: int, on_change: Watcher = lambda transport, by: None) -> None:
        self._slots = slots
        self._on_change = on_change
        self.active = 0

    def check(self) -> None:
        """Raises CapacityError when no slot is free."""
        if self.active >= self._slots:
            raise CapacityError(f"all {self._slots} sessions of this server are in use; try again later")

    @asynccontextmanager
    async def slot(self, transport: str) -> AsyncGenerator[None]:
        """One slot while the context lasts. Raises CapacityError at once when none is free."""
        self.check()
        self.active += 1
        self._on_change(transport, 1)
        try:
            yield
        finally:
            self.active -= 1
            self._on_change(transport, -1)
