"""The vocoder in a process of its own. Of the cuts of all sessions, it takes the one nearest to an underrun first.

The gateway decides the order and hands over one batch of cuts at a time, as large as the vocoder gains from. So an urgent cut
never waits for more than one other batch. Streams are states in the worker's memory, opened with their first cut and closed with
their turn.

If the process fails, no turn is lost. Units give the same samples however they are cut: the next process speaks the units of a
turn again, and the turn goes on after the last sample that was given.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from model.vocoders.streams import Cut, Failure
from model.workers.supervisor import WorkerState
from model.workers.worker import WorkerLost
from streaming.errors import EngineUnavailable
from streaming.stages import Pcm, UnitCut

log = logging.getLogger(__name__)

_AGAIN_UNITS = 48
"""Units spoken again at a time: others come in between."""

_MOST_LOSSES = 4
"""Processes that may go under one cut, the last three under it alone. Then it is taken for the cause."""

_STOPPED = "the vocoder was stopped"


class Decoding(Protocol):
    """What speaks the batches. `serving` is whatever holds the streams now: with another, they are gone."""

    @property
    def serving(self) -> object | None: ...

    async def start(self) -> int:
        """Returns how many cuts it gains from taking at once."""
        ...

    async def close(self) -> None: ...

    async def wait(self) -> object:
        """Wait for `serving`. Raises EngineUnavailable."""
        ...

    async def decode(self, cuts: Sequence[Cut]) -> list[Pcm | Failure]:
        """A piece for each cut, at most one of each stream; one call at a time. Raises WorkerLost."""
        ...

    def forget(self, stream: int) -> None: ...

    def state(self) -> WorkerState: ...


@dataclass(order=True, slots=True)
class _Job:
    """A cut that waits: earliest deadline first, then in order of arrival."""

    deadline_s: float
    number: int
    stream: _Stream = field(compare=False)
    cut: UnitCut = field(compare=False)
    done: asyncio.Future[Pcm] = field(compare=False)


@dataclass(slots=True, eq=False)
class _Stream:
    """The speech of one turn. `units`: all that were spoken; `holder`: what has them in its memory.

    `made`: samples that the holder has made of the turn; `given`: samples that the turn has got. `losses`: processes that went
    under its next cut.
    """

    number: int
    holder: object | None = None
    units: list[int] = field(default_factory=list[int])
    made: int = 0
    given: int = 0
    losses: int = 0

    def fresh(self, pcm: Pcm) -> Pcm:
        """What of the holder's next samples the turn has not got yet; from now on it has."""
        self.made += pcm.size
        unheard = max(0, self.made - self.given)
        self.given += unheard
        return pcm[pcm.size - unheard :]


class VocoderWorker:
    """A `SpeechDecoder` in front of one process that speaks."""

    def __init__(self, decoding: Decoding, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._decoding = decoding
        self._batch = 1
        self._numbers = itertools.count()
        self._waiting: list[_Job] = []
        self._work = asyncio.Event()
        self._dispatcher: asyncio.Task[None] | None = None
        self._closed = False

    async def start(self) -> None:
        """Start the process and load the weights. Raises BundleError."""
        self._batch = await self._decoding.start()
        self._dispatcher = asyncio.create_task(self._dispatch(), name="vocoder-dispatch")

    def fault(self) -> str | None:
        """Why nothing can be spoken right now, or None."""
        return self.state().fault

    def state(self) -> WorkerState:
        """How its process is."""
        return self._decoding.state()

    async def close(self) -> None:
        """Stop the process. Turns that wait for it fail with EngineUnavailable."""
        self._closed = True
        if self._dispatcher is not None:
            self._dispatcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._dispatcher
        for job in self._waiting:
            _fail(job, EngineUnavailable(_STOPPED))
        await self._decoding.close()

    async def synthesize(self, cuts: AsyncIterator[UnitCut]) -> AsyncGenerator[Pcm]:
        """See `SpeechDecoder.synthesize`. Closing it drops the cut that waits and the stream's state."""
        stream, final = _Stream(next(self._numbers)), False
        try:
            async for cut in cuts:
                pcm = await self._speak(stream, cut)
                final = cut.final
                if pcm.size:
                    yield pcm
        finally:
            if not final and stream.holder is self._decoding.serving:
                self._decoding.forget(stream.number)

    async def _speak(self, stream: _Stream, cut: UnitCut) -> Pcm:
        """Audio of the next cut. Where the stream's state has gone, what was spoken is spoken again before it."""
        while True:
            try:
                pieces = [await self._decode(stream, again) for again in await self._missed(stream, cut)]
                pieces.append(await self._decode(stream, cut))
                break
            except WorkerLost:
                if stream.losses >= _MOST_LOSSES:
                    raise EngineUnavailable("the vocoder died under this turn again and again") from None
        stream.losses = 0
        stream.units += cut.units
        return stream.fresh(np.concatenate(pieces))

    async def _missed(self, stream: _Stream, cut: UnitCut) -> list[UnitCut]:
        """Cuts that whoever serves has not heard of this stream, to be spoken before `cut` and as urgent."""
        if self._closed:
            raise EngineUnavailable(_STOPPED)
        holder = await self._decoding.wait()
        if stream.holder is holder:
            return []
        stream.holder, stream.made = holder, 0
        starts = range(0, len(stream.units), _AGAIN_UNITS)
        return [replace(cut, units=stream.units[at : at + _AGAIN_UNITS], final=False) for at in starts]

    async def _decode(self, stream: _Stream, cut: UnitCut) -> Pcm:
        loop = asyncio.get_running_loop()
        job = _Job(loop.time() + cut.buffered_s, next(self._numbers), stream, cut, loop.create_future())
        heapq.heappush(self._waiting, job)
        self._work.set()
        return await job.done

    async def _dispatch(self) -> None:
        """A batch at a time, the nearest deadlines first; cuts whose turn was cancelled are passed over."""
        while True:
            await self._work.wait()
            jobs = self._next_batch()
            if not jobs:
                self._work.clear()
                continue
            cuts = [Cut(job.stream.number, job.cut.voice, list(job.cut.units), job.cut.final) for job in jobs]
            try:
                _deliver(jobs, await self._decoding.decode(cuts))
            except WorkerLost as lost:
                for job in jobs:
                    job.stream.losses += 1
                    _fail(job, lost)
            except asyncio.CancelledError:
                for job in jobs:
                    _fail(job, EngineUnavailable(_STOPPED))
                raise

    def _next_batch(self) -> list[_Job]:
        """Who went down with a process before is served alone: the next death shows whose it is."""
        jobs, serving = list[_Job](), self._decoding.serving
        while self._waiting and len(jobs) < self._batch:
            job = self._waiting[0]
            if job.done.done():
                heapq.heappop(self._waiting)
            elif job.stream.holder is not serving:
                _fail(heapq.heappop(self._waiting), WorkerLost("the vocoder's process went"))
            elif job.stream.losses and jobs:
                break
            else:
                jobs.append(heapq.heappop(self._waiting))
                if job.stream.losses:
                    break
        return jobs


def _deliver(jobs: Sequence[_Job], pieces: Sequence[Pcm | Failure]) -> None:
    for job, piece in zip(jobs, pieces, strict=True):
        if isinstance(piece, Failure) and piece.trace:
            log.error("vocoder failed\n%s", piece.trace)
        if job.done.done():
            continue
        if isinstance(piece, Failure):
            job.done.set_exception(piece.error)
        else:
            job.done.set_result(piece)


def _fail(job: _Job, error: EngineUnavailable) -> None:
    if not job.done.done():
        job.done.set_exception(error)
