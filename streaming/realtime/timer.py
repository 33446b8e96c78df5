"""One thing to do later, unless something happens before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Timer:
    """Calls `due` once, the time after the last `start`; `stop` prevents it, unless it has begun."""

    def __init__(self, due: Callable[[], Awaitable[None]]) -> None:
        self._due = due
        self._waiting: asyncio.Task[None] | None = None
        self.tasks: asyncio.TaskGroup | None = None

    def start(self, delay_s: float) -> None:
        """Wait anew."""
        assert self.tasks is not None, "the session is not running"
        self.stop()
        self._waiting = self.tasks.create_task(self._wait(delay_s), name="timer")

    def stop(self) -> None:
        """Wait no longer."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    async def _wait(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        self._waiting = None
        await self._due()
