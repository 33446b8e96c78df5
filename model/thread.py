"""One thread for work that must not run on the event loop. One that hangs is left behind, and another takes its place."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, ParamSpec, TypeVar

from streaming.errors import EngineUnavailable

log = logging.getLogger(__name__)

_P = ParamSpec("_P")
_T = TypeVar("_T")


class ThreadHung(EngineUnavailable):
    """The call took too long and was left behind. What it was given may still change; the work may be done again."""


class SingleThread:
    """Calls of all sessions, one after the other, in order of arrival.

    `what`: who works there, for logs and errors. `limit_s`: a call that takes longer fails with ThreadHung, and those behind it
    go to a new thread. None: a call may take any time.
    """

    def __init__(self, what: str, limit_s: float | None = None) -> None:
        self._what = what
        self._limit_s = limit_s
        self._lane = _Lane(what)
        self._closed = False
        self.hangs = 0

    def close(self) -> None:
        """Stop once the call under way is done. Calls that wait, and later ones, fail with EngineUnavailable."""
        self._closed = True
        self._lane.close()

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """`function(*args, **kwargs)` there. Cancelling the caller takes a call that waits out of the queue."""
        while True:
            if self._closed:
                raise self._stopped()
            lane = self._lane
            call = lane.submit(partial(function, *args, **kwargs))
            try:
                return await self._done(lane, call)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling() or not call.cancelled():
                    raise  # else nobody cancelled the caller: the call was taken out of the queue

    async def _done(self, lane: _Lane, call: Future[_T]) -> _T:
        result = asyncio.wrap_future(call)
        while not result.done():
            left_s = None if self._limit_s is None else max(0.05, self._limit_s - lane.busy_s())
            try:
                await asyncio.wait({result}, timeout=left_s)
            except asyncio.CancelledError:
                result.cancel()
                raise
            if not result.done() and self._limit_s is not None and lane.busy_s() > self._limit_s:
                self._leave(lane)
                if call is lane.current:
                    result.cancel()
                    raise ThreadHung(f"the {self._what} took longer than {self._limit_s:g} s")
        return await result

    def _leave(self, lane: _Lane) -> None:
        if lane is self._lane:
            self.hangs += 1
            log.error("the %s hangs; it goes on with another thread", self._what)
            self._lane = _Lane(self._what)
            lane.close()

    def _stopped(self) -> EngineUnavailable:
        return EngineUnavailable(f"the {self._what} was stopped")


class _Lane:
    """A daemon thread and what waits for it: the interpreter's end does not wait for a call that hangs."""

    def __init__(self, name: str) -> None:
        self._waiting: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._calls = set[Future[Any]]()
        self._began_s: float | None = None
        self.current: Future[Any] | None = None
        threading.Thread(target=self._work, name=name.replace(" ", "-"), daemon=True).start()

    def busy_s(self) -> float:
        """For how long the call under way has been."""
        began_s = self._began_s
        return 0.0 if began_s is None else time.monotonic() - began_s

    def submit(self, call: Callable[[], _T]) -> Future[_T]:
        future: Future[_T] = Future()
        self._calls.add(future)
        future.add_done_callback(self._calls.discard)
        self._waiting.put((future, call))
        return future

    def close(self) -> None:
        """Cancel what waits, and end after the call under way."""
        for future in list(self._calls):
            future.cancel()
        self._waiting.put(None)

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            future, call = item
            if not future.set_running_or_notify_cancel():
                continue
            self.current, self._began_s = future, time.monotonic()
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
            finally:
                self.current = self._began_s = None
