"""On a replica: streams through a stage, item by item, as remote calls bring them.

A stage takes all items of a stream from one iterator. A call brings the next one, and its answer is all that the stage has
yielded when it asks for more. Nothing here knows of Ray.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from streaming.errors import EngineUnavailable
from streaming.stages import Peek

Stage = Callable[[AsyncIterator[Any]], AsyncGenerator[Any]]

PEEK = "peek"
"""Stands for a `Peek` on its way to the replica."""

IDLE_S = 60.0
"""A stream of which nothing was heard for so long is dropped: its gateway may be gone. If not, it sends all items again."""


class StreamLost(EngineUnavailable):
    """The replica does not have the stream, or not all of it. Its items can be sent again, to any replica."""


@dataclass(frozen=True, slots=True)
class Step:
    """The next items of a stream. `taken`: items before these, 0 opens the stream; `end`: none follow."""

    stream: str
    taken: int
    items: Sequence[Any]
    end: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a stage has yielded for a step, by which replica. `told`: the answer to a `PEEK`."""

    replica: str
    pieces: Sequence[Any]
    told: Sequence[int] = ()


class Streams:
    """All streams of a replica's stage."""

    def __init__(self, stage: Stage, replica: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._stage, self._replica, self._clock = stage, replica, clock
        self._streams: dict[str, _Stream] = {}

    def __len__(self) -> int:
        return len(self._streams)

    async def step(self, step: Step) -> Answer:
        """Take a step. Raises StreamLost, and what the stage raises; the stream is dropped then, as it is when cancelled."""
        await self._drop_idle()
        if step.taken == 0:
            await self.drop(step.stream)
            self._streams[step.stream] = _Stream(self._stage)
        stream = self._streams.get(step.stream)
        if stream is None or stream.taken != step.taken or stream.busy:
            raise StreamLost("the replica does not know this stream; it is sent again")
        told = list[int]()
        stream.busy = True
        try:
            for item in step.items:
                await stream.take(Peek(told.extend) if isinstance(item, str) else item)
            if step.end:
                await stream.finish()
        except BaseException:
            await self.drop(step.stream)
            raise
        stream.busy, stream.used_s = False, self._clock()
        if step.end:
            await self.drop(step.stream)
        return Answer(self._replica, stream.yielded(), told)

    async def drop(self, name: str) -> None:
        """Forget a stream, if it is there."""
        if (stream := self._streams.pop(name, None)) is not None:
            await stream.close()

    async def close(self) -> None:
        """Forget all."""
        for name in list(self._streams):
            await self.drop(name)

    async def _drop_idle(self) -> None:
        since_s = self._clock() - IDLE_S
        for name in [name for name, stream in self._streams.items() if not stream.busy and stream.used_s < since_s]:
            await self.drop(name)


class _Stream:
    """One stream: the stage works in a task of its own, which waits for the next item whenever it has none."""

    def __init__(self, stage: Stage) -> None:
        self.taken, self.busy, self.used_s = 0, False, 0.0
        self._items: asyncio.Queue[Any] = asyncio.Queue(1)
        self._rests = asyncio.Event()
        self._pieces = list[Any]()
        self._task = asyncio.create_task(self._run(stage), name="stream")
        self._task.add_done_callback(lambda _: self._rests.set())

    async def take(self, item: Any) -> None:
        """Have the stage work until it wants more."""
        self.taken += 1
        self._rests.clear()
        if not self._task.done():
            self._items.put_nowait((item,))
            await self._rests.wait()
        if self._task.done():
            self._task.result()

    async def finish(self) -> None:
        """Have the stage work to its end."""
        if not self._task.done():
            self._items.put_nowait(None)
        await asyncio.shield(self._task)

    def yielded(self) -> list[Any]:
        """What came since this was asked last."""
        pieces, self._pieces = self._pieces, []
        return pieces

    async def close(self) -> None:
        """Cancel what the stage does."""
        self._task.cancel()
        with suppress(BaseException):
            await asyncio.wait({self._task})

    async def _run(self, stage: Stage) -> None:
        async with aclosing(stage(self._next_items())) as pieces:
            async for piece in pieces:
                self._pieces.append(piece)

    async def _next_items(self) -> AsyncIterator[Any]:
        while (held := await self._items.get()) is not None:
            yield held[0]
            self._rests.set()  # resumed: the stage asks for the next
