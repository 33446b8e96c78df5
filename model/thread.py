"""One thread for work that must not run on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from streaming.errors import EngineUnavailable

_P = ParamSpec("_P")
_T = TypeVar("_T")


class SingleThread:
    """Calls of all sessions, one after the other, in order of arrival. `what`: who works there, for logs and errors."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=what.replace(" ", "-"))
        self._closed = False

    def close(self) -> None:
        """Stop once the call under way is done. Calls that wait, and later ones, fail with EngineUnavailable."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """`function(*args, **kwargs)` there. Cancelling the caller takes a call that waits out of the queue."""
        if self._closed:
            raise self._stopped()
        call = self._pool.submit(function, *args, **kwargs)
        try:
            return await asyncio.wrap_future(call)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling() or not call.cancelled():
                raise
            raise self._stopped() from None  # nobody cancelled the caller: `close` took the call out of the queue

    def _stopped(self) -> EngineUnavailable:
        return EngineUnavailable(f"the {self._what} was stopped")
