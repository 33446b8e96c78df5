"""Files that are read anew while the server runs: when they change, and when the operator asks (SIGHUP)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.errors import StartError
from streaming.background import beside

log = logging.getLogger("cslm.reload")

_LOOK_S = 1.0

_Signature = tuple[tuple[int, int, int] | None, ...]


@dataclass(slots=True)
class _Watched:
    what: str
    files: Sequence[Path]
    load: Callable[[], Any]
    apply: Callable[[Any], None]
    seen: _Signature
    failed: bool = False


class Reloading:
    """What is read anew. What cannot be read is told and changes nothing."""

    def __init__(self) -> None:
        self._watched: list[_Watched] = []
        self._asked = asyncio.Event()

    @property
    def failed(self) -> bool:
        """Something on the disk is not what holds, because it cannot be read."""
        return any(each.failed for each in self._watched)

    def add(self, what: str, files: Sequence[Path], load: Callable[[], Any], apply: Callable[[Any], None]) -> None:
        """Have `load` called in a thread when one of `files` changes, and `apply` on the loop with what it returns.

        `load` may raise StartError. What the files hold now counts as read.
        """
        self._watched.append(_Watched(what, files, load, apply, _signature(files)))

    def soon(self) -> None:
        """Read everything anew."""
        self._asked.set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Look for changes while the context lasts."""
        async with beside(self._watch, "reloading"):
            yield

    async def _watch(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._asked.wait()
            except TimeoutError:
                pass
            asked = self._asked.is_set()
            self._asked.clear()
            for each in self._watched:
                await self._look(each, asked=asked)

    async def _look(self, each: _Watched, *, asked: bool) -> None:
        signature = await asyncio.to_thread(_signature, each.files)
        if signature == each.seen and not asked:
            return
        each.seen = signature
        try:
            each.apply(await asyncio.to_thread(each.load))
        except StartError as error:
            each.failed = True
            log.error("%s: what was read before still holds: %s: %s", each.what, error.code, error.message)
        except Exception:
            each.failed = True
            log.exception("%s: what was read before still holds", each.what)
        else:
            each.failed = False
            log.info("%s: read anew", each.what)


def _signature(files: Sequence[Path]) -> _Signature:
    found: list[tuple[int, int, int] | None] = []
    for path in files:
        try:
            state = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((state.st_mtime_ns, state.st_size, state.st_ino))
    return tuple(found)
