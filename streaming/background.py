"""Work that goes on beside something else for as long as that lasts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

log = logging.getLogger(__name__)

_AGAIN_S = 1.0


@asynccontextmanager
async def beside(work: Callable[[], Awaitable[object]], name: str) -> AsyncGenerator[None]:
    """Do `work` while the context lasts, and cancel it at its end. Where it fails, that is logged, and it begins again."""
    task = asyncio.create_task(_kept_up(work, name), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _kept_up(work: Callable[[], Awaitable[object]], name: str) -> None:
    while True:
        try:
            await work()
        except Exception:
            log.exception("%s failed, and begins again", name)
            await asyncio.sleep(_AGAIN_S)
        else:
            return
