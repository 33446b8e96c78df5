"""One thread for work that must not run on the event loop. One that hangs is left behind, and another takes its place."""

from __future__ import annotations

import asyncio
import atexit
import itertools
import logging
import queue
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, ClassVar, Generic, ParamSpec, TypeVar

from model.workers.supervisor import WorkerState
from streaming.errors import EngineUnavailable

log = logging.getLogger(__name__)

_LOOK_S = 1.0
"""Between two looks at a thread that has no limit to be waited for."""

_SILENT_SHARE = 0.2
"""Share of its limit that a call takes at most, unless something is wrong."""

_MOST_LEFT = 4
"""Threads that hang at once, each with what it holds. With more there would be no end to them."""

_END_S = 2.0
"""How long the interpreter's end waits for calls under way."""

_URGENT, _USUAL, _LAST = range(3)

_P = ParamSpec("_P")
_T = TypeVar("_T")


class ThreadHung(EngineUnavailable):
    """The call took too long and was left behind. What it was given may still change; the work may be done again."""


class SingleThread:
    """Calls of all sessions, one after the other, in order of arrival, the urgent ones first.

    `what`: who works there, for logs and errors. `limit_s`: a call that takes longer fails with ThreadHung, and those behind it
    go to a new thread. It may be changed, for calls that come later. While `_MOST_LEFT` threads hang, all calls fail with
    EngineUnavailable, and `state` tells.
    """

    def __init__(self, what: str, limit_s: float) -> None:
        self.limit_s = limit_s
        self._what = what
        self._lane = _Lane(what)
        self._left: list[_Lane] = []
        self._closed = False
        self._hangs, self._hung_s = 0, 0.0

    def close(self) -> None:
        """Stop once the call under way is done. Calls that wait, and later ones, fail with EngineUnavailable."""
        self._closed = True
        self._lane.close()

    def state(self) -> WorkerState:
        """How it is: a thread that hung counts as a process that was stuck."""
        slow = self._lane.call
        silent = slow is not None and slow.took_s() > _SILENT_SHARE * slow.limit_s
        fault = f"the {self._what} does not answer" if silent or self._is_stuck() else None
        return WorkerState(self._what, fault, {"stuck": self._hangs}, self._hung_s, ())

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """`function(*args, **kwargs)` there. Cancelling the caller takes a call that waits out of the queue."""
        return await self._run(partial(function, *args, **kwargs), self.limit_s, _USUAL)

    async def run_urgent(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """The same, before all calls that wait and are not urgent."""
        return await self._run(partial(function, *args, **kwargs), self.limit_s, _URGENT)

    async def run_within(self, limit_s: float, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """The same for a call that has a limit of its own."""
        return await self._run(partial(function, *args, **kwargs), limit_s, _USUAL)

    async def _run(self, work: Callable[[], _T], limit_s: float, rank: int) -> _T:
        while True:
            if self._closed:
                raise EngineUnavailable(f"the {self._what} was stopped")
            if self._is_stuck():
                raise EngineUnavailable(f"the {self._what} hangs again and again; the server has to be restarted")
            lane, call = self._lane, _Call(work, limit_s)
            lane.submit(call, rank)
            try:
                return await self._done(lane, call)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling() or not call.future.cancelled():
                    raise  # else nobody cancelled the caller: the call was taken out of the queue

    async def _done(self, lane: _Lane, call: _Call[_T]) -> _T:
        result = asyncio.wrap_future(call.future)
        while not result.done():
            under_way = lane.call
            left_s = _LOOK_S if under_way is None else under_way.limit_s - under_way.took_s()
            try:
                await asyncio.wait({result}, timeout=min(max(left_s, 0.05), _LOOK_S))
            except asyncio.CancelledError:
                result.cancel()
                raise
            slow = lane.call
            if not result.done() and slow is not None and slow.took_s() > slow.limit_s:
                self._leave(lane, slow.took_s())
                if call is slow:
                    result.cancel()
                    raise ThreadHung(f"the {self._what} took longer than {call.limit_s:g} s")
        return await result

    def _leave(self, lane: _Lane, hung_s: float) -> None:
        if lane is self._lane:
            self._hangs += 1
            self._hung_s += hung_s
            self._left.append(lane)
            if self._is_stuck():
                log.error("the %s hangs in %d threads; it takes nothing more until one ends", self._what, _MOST_LEFT)
            else:
                log.error("the %s hangs; it goes on with another thread", self._what)
            self._lane = _Lane(self._what)
            lane.close()

    def _is_stuck(self) -> bool:
        """As many threads hang as may."""
        self._left = [lane for lane in self._left if lane.call is not None]
        return len(self._left) >= _MOST_LEFT


class _Call(Generic[_T]):
    """A function to call, and what becomes of it."""

    def __init__(self, function: Callable[[], _T], limit_s: float) -> None:
        self.function, self.limit_s = function, limit_s
        self.future: Future[_T] = Future()
        self._began_s = 0.0

    def took_s(self) -> float:
        """For how long it has been under way."""
        return time.monotonic() - self._began_s

    def do(self) -> None:
        """Call it."""
        try:
            self.future.set_result(self.function())
        except BaseException as error:
            self.future.set_exception(error)

    def begin(self) -> bool:
        """Returns whether anybody still waits for it."""
        self._began_s = time.monotonic()
        return self.future.set_running_or_notify_cancel()


class _Lane:
    """A daemon thread and what waits for it: the interpreter's end waits for a call under way, but not for one that hangs.

    `call`: the one under way.
    """

    alive: ClassVar = weakref.WeakSet["_Lane"]()

    def __init__(self, name: str) -> None:
        self._waiting: queue.PriorityQueue[tuple[int, int, _Call[Any] | None]] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._futures = set[Future[Any]]()
        self.call: _Call[Any] | None = None
        self._thread = threading.Thread(target=self._work, name=name.replace(" ", "-"), daemon=True)
        self._thread.start()
        self.alive.add(self)

    def submit(self, call: _Call[Any], rank: int) -> None:
        """Put it behind those of its rank that wait, and before higher ranks."""
        self._futures.add(call.future)
        call.future.add_done_callback(self._futures.discard)
        self._waiting.put((rank, next(self._numbers), call))

    def close(self) -> None:
        """Cancel what waits, and end after the call under way."""
        for future in list(self._futures):
            future.cancel()
        self._waiting.put((_LAST, 0, None))

    def join(self, limit_s: float) -> None:
        """Wait for its end, for so long at most."""
        self._thread.join(limit_s)

    def _work(self) -> None:
        while (call := self._waiting.get()[-1]) is not None:
            if call.begin():
                self.call = call
                call.do()
                self.call = None


@atexit.register
def _end_threads() -> None:
    """Let the threads end. One that is still in native code then is unwound through it, which aborts the process."""
    ends_s = time.monotonic() + _END_S
    lanes = list(_Lane.alive)
    for lane in lanes:
        lane.close()
    for lane in lanes:
        lane.join(max(0.0, ends_s - time.monotonic()))
