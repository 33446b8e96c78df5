"""The vocoder in a process of its own. Of the cuts of all sessions, it takes the one nearest to an underrun first.

The gateway decides the order and hands over one batch of cuts at a time, as large as the vocoder gains from. So an urgent cut
never waits for more than one other batch. Streams are states in the worker's memory, opened with their first cut and closed with
their turn.
"""

from __future__ import annotations

import asyncio
import copy
import heapq
import itertools
import logging
import multiprocessing
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from model.vocoders import State, StreamingVocoder, VocoderKind
from model.weights import loading
from streaming.errors import BundleError, EngineUnavailable, SpeechServerError
from streaming.stages import Pcm, UnitCut

log = logging.getLogger(__name__)
_T = TypeVar("_T")
_Cut = tuple[int, str | None, list[int], bool]
"""Stream, voice, units, final."""

_LONGEST_PAUSE_S = 30.0
"""Between two attempts to load the weights again."""
_STOPPED = "the vocoder was stopped"


@dataclass(order=True, slots=True)
class _Job:
    """A cut that waits: earliest deadline first, then in order of arrival."""

    deadline_s: float
    number: int
    stream: int = field(compare=False)
    cut: UnitCut = field(compare=False)
    done: asyncio.Future[Pcm] = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a stream cannot go on. `trace`: for the log, where the vocoder failed and the peer did nothing wrong."""

    error: SpeechServerError
    trace: str = ""


class VocoderWorker:
    """A `SpeechDecoder` in front of one worker process. If the process dies, its turns fail and a new one is started.

    `device`: torch's name of where it computes.
    """

    def __init__(
        self, kind: VocoderKind, directory: Path, sample_rate: int, *, device: str = "cpu", threads: int = 1
    ) -> None:
        self._directory = directory
        self._weights = (kind.load, directory, device, threads)
        self.sample_rate = sample_rate
        self._batch = 1
        self._numbers = itertools.count()
        self._waiting: list[_Job] = []
        self._work = asyncio.Event()
        self._dispatcher: asyncio.Task[None] | None = None
        self._process: ProcessPoolExecutor | None = None
        self._generation = 0
        self._restarting = self._closed = False

    async def start(self) -> None:
        """Start the process and load the weights. Raises BundleError."""
        self._process = self._new_process()
        try:
            self._batch = await self._call(_load, *self._weights)
        except (BrokenProcessPool, OSError) as error:
            raise BundleError(f"the vocoder in {self._directory} cannot be loaded: {error}") from error
        self._dispatcher = asyncio.create_task(self._dispatch(), name="vocoder-dispatch")

    def fault(self) -> str | None:
        """Why nothing can be spoken right now, or None."""
        return "the vocoder is restarting" if self._restarting else None

    async def close(self) -> None:
        """Stop the process. Turns that wait for it fail with EngineUnavailable."""
        self._closed = True
        if self._dispatcher is not None:
            self._dispatcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._dispatcher
        for job in self._waiting:
            _fail(job, _STOPPED)
        if self._process is not None:
            self._process.shutdown(wait=False, cancel_futures=True)

    async def synthesize(self, cuts: AsyncIterator[UnitCut]) -> AsyncGenerator[Pcm]:
        """See `SpeechDecoder.synthesize`. Closing it drops the cut that waits and the stream's state."""
        stream, generation = next(self._numbers), self._generation
        try:
            async for cut in cuts:
                if generation != self._generation:
                    raise EngineUnavailable("the vocoder was restarted; the turn is lost, try again")
                pcm = await self._decode(stream, cut)
                if pcm.size:
                    yield pcm
        finally:
            if generation == self._generation and self._process is not None:
                with suppress(BrokenProcessPool, RuntimeError):
                    self._process.submit(_forget, stream)

    async def _decode(self, stream: int, cut: UnitCut) -> Pcm:
        if self._closed:
            raise EngineUnavailable(_STOPPED)
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
            cuts = [(job.stream, job.cut.voice, list(job.cut.units), job.cut.final) for job in jobs]
            try:
                _deliver(jobs, await self._call(_decode, cuts))
            except BrokenProcessPool:
                await self._restart(jobs)
            except asyncio.CancelledError:
                for job in jobs:
                    _fail(job, _STOPPED)
                raise

    def _next_batch(self) -> list[_Job]:
        jobs = list[_Job]()
        while self._waiting and len(jobs) < self._batch:
            job = heapq.heappop(self._waiting)
            if not job.done.done():
                jobs.append(job)
        return jobs

    async def _restart(self, jobs: Sequence[_Job]) -> None:
        """Fail what the dead process was to speak, and bring up a new one, again and again until it has its weights."""
        log.error("vocoder process died; starting a new one")
        self._generation += 1
        self._restarting = True
        lost, pause_s = list(jobs), 1.0
        while self._restarting:
            lost, self._waiting = [*lost, *self._waiting], []
            for each in lost:
                _fail(each, "the vocoder process died; the turn is lost, try again")
            if self._process is not None:
                self._process.shutdown(wait=False)
            self._process = self._new_process()
            try:
                await self._call(_load, *self._weights)
                self._restarting = False
            except Exception:
                log.exception("vocoder cannot be loaded again; once more in %g s", pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _call(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """`function(*arguments)` in the process."""
        return await asyncio.get_running_loop().run_in_executor(self._process, function, *arguments)

    def _new_process(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _deliver(jobs: Sequence[_Job], pieces: Sequence[Pcm | _Failure]) -> None:
    for job, piece in zip(jobs, pieces, strict=True):
        if isinstance(piece, _Failure) and piece.trace:
            log.error("vocoder failed\n%s", piece.trace)
        if job.done.done():
            continue
        if isinstance(piece, _Failure):
            job.done.set_exception(piece.error)
        else:
            job.done.set_result(piece)


def _fail(job: _Job, message: str) -> None:
    if not job.done.done():
        job.done.set_exception(EngineUnavailable(message))


# In the worker process

_streams: _Streams[Any]


class _Streams(Generic[State]):
    """The vocoder and the states of all streams."""

    def __init__(self, vocoder: StreamingVocoder[State]) -> None:
        self.vocoder = vocoder
        self._states: dict[int, State] = {}

    def decode(self, cuts: Sequence[_Cut]) -> list[Pcm | _Failure]:
        """A piece for each cut, at most one of each stream. A stream that fails costs the others of its batch nothing."""
        before = {cut[0]: copy.deepcopy(self._states.get(cut[0])) for cut in cuts} if len(cuts) > 1 else {}
        try:
            return list[Pcm | _Failure](self._push(cuts))
        except Exception as error:
            for stream, state in before.items():
                self._restore(stream, state)
            if len(cuts) > 1:
                return [piece for cut in cuts for piece in self.decode([cut])]
            self.forget(cuts[0][0])
            if isinstance(error, SpeechServerError):
                return [_Failure(error)]
            lost = EngineUnavailable("the vocoder failed; the turn is lost, try again")
            return [_Failure(lost, traceback.format_exc())]

    def forget(self, stream: int) -> None:
        """Drop its state, if there is one."""
        self._states.pop(stream, None)

    def _push(self, cuts: Sequence[_Cut]) -> list[Pcm]:
        for stream, voice, _, _ in cuts:
            if stream not in self._states:
                self._states[stream] = self.vocoder.open(voice)
        pieces = self.vocoder.push_all([(self._states[stream], units, final) for stream, _, units, final in cuts])
        for stream, _, _, final in cuts:
            if final:
                self.forget(stream)
        return pieces

    def _restore(self, stream: int, state: State | None) -> None:
        if state is None:
            self.forget(stream)
        else:
            self._states[stream] = state


def _load(load: Callable[[Path, str], StreamingVocoder[Any]], directory: Path, device: str, threads: int) -> int:
    """Load the weights and speak once, so that the first turn does not wait for it. Returns how many cuts to send at once."""
    import signal

    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the gateway decides when to stop
    torch.set_num_threads(threads)
    global _streams
    with loading(directory):
        vocoder = load(directory, device)
        vocoder.decode([0, 1, 2])
    _streams = _Streams(vocoder)
    return vocoder.batch


def _decode(cuts: list[_Cut]) -> list[Pcm | _Failure]:
    return _streams.decode(cuts)


def _forget(stream: int) -> None:
    _streams.forget(stream)
