"""Task groups that leave no reference cycles behind."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from traceback import clear_frames
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")


class TaskGroup(asyncio.TaskGroup):
    """asyncio's, whose failure or cancellation keeps nothing alive that its tasks used.

    A task that was cancelled holds the exception, whose traceback holds frames, which hold task groups and timeouts, which hold
    the task. All that was in their reach, such as an interrupted turn or a session that hung up, would stay in memory until a full
    collection.
    """

    def create_task(  # type: ignore[override]  # typeshed takes generators, too
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        """As asyncio's."""
        task = super().create_task(_freeing(coro), name=name, context=context)
        task.add_done_callback(lambda _: coro.close())  # a task that is cancelled before its first step never awaits it
        return task

    async def __aexit__(
        self, et: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(et, exc, tb)
        except BaseException as failure:
            clear_frames(failure.__traceback__)
            raise
        finally:
            del exc, tb


async def _freeing(work: Coroutine[Any, Any, T]) -> T:
    try:
        return await work
    except BaseException as failure:
        clear_frames(failure.__traceback__)
        raise


def first_cause(group: ExceptionGroup[Exception]) -> Exception:
    """The first exception in `group` that is none itself."""
    first = group.exceptions[0]
    return first_cause(first) if isinstance(first, ExceptionGroup) else first
