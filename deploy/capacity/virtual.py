"""An event loop whose clock jumps: real asyncio code runs on time that nobody waits for."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")
PASS_S = 1e-6
"""What a pass of the loop takes at least: with none, code that waits for less than the clock can tell would wait for ever."""


class _NoWait(selectors.SelectSelector):
    """Nothing outside happens; when asyncio would sleep, the clock jumps instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("the simulation waits for something that never happens")
        self.now_s += max(PASS_S, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` is virtual seconds since the start."""

    def __init__(self) -> None:
        self._clock = _NoWait()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now_s


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """`asyncio.run` on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


class SharedProcessor:
    """A GPU that several kinds of work share: each of n jobs runs at one nth of its speed."""

    def __init__(self) -> None:
        self._jobs: dict[asyncio.Future[None], float] = {}
        self._since_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.busy_s = 0.0

    async def work(self, seconds: float) -> None:
        """Takes `seconds` of the processor if alone."""
        loop = asyncio.get_running_loop()
        self._progress(loop.time())
        done = loop.create_future()
        self._jobs[done] = seconds
        self._plan(loop)
        try:
            await done
        finally:
            self._progress(loop.time())
            self._jobs.pop(done, None)
            self._plan(loop)

    def _progress(self, now_s: float) -> None:
        passed, self._since_s = now_s - self._since_s, now_s
        if self._jobs:
            self.busy_s += passed
            for done in self._jobs:
                self._jobs[done] -= passed / len(self._jobs)

    def _plan(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._jobs:
            soonest = max(0.0, min(self._jobs.values())) * len(self._jobs)
            self._timer = loop.call_later(soonest, self._finish, loop)

    def _finish(self, loop: asyncio.AbstractEventLoop) -> None:
        self._progress(loop.time())
        for done in [done for done, left in self._jobs.items() if left <= 1e-9]:
            del self._jobs[done]
            if not done.done():
                done.set_result(None)
        self._plan(loop)
