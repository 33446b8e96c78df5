"""The tokenizer as an async stage: one thread, which encodes the waiting speech of all sessions in one batch.

Attention reaches from the first frame to the last, so a speech is encoded when it is over, all of it at once. With early units
(`model.encoders.s3.early`) the stage also encodes unfinished speech and commits the units that no longer change; committed
units stand. Without them the units do not depend on how the samples arrived.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from model.encoders import EarlyUnits
from model.encoders.s3.early import Budget, EarlySpeech
from model.encoders.s3.network import S3Network
from model.encoders.s3.windows import joined, merged, windows
from model.mel import SAMPLE_RATE, LogMel
from model.thread import SingleThread, ThreadHung
from model.workers.supervisor import WorkerState
from streaming.errors import EngineUnavailable
from streaming.stability import EarlyCounts, Trust
from streaming.stages import Pcm, Peek

_LEAST_SAMPLES = 400
_MEL_FRAMES_PER_CODE = 4
_STEP_S = 20.0


@dataclass(slots=True)
class Counters:
    """What the stage did."""

    speeches: int = 0
    batches: int = 0


@dataclass(slots=True, eq=False)
class _Job:
    """`hung`: it was in a batch that hung, perhaps because of it, and is encoded alone."""

    pcm: Pcm
    codes: asyncio.Future[list[int]]
    partial: bool = False
    hung: bool = False


class S3Stage:
    """Runs the network for all sessions. `early`: None to tell nothing of a speech before it is over."""

    def __init__(
        self, network: S3Network, *, device: str = "cpu", batch: int = 16, early: EarlyUnits | None = None
    ) -> None:
        self._device = torch.device(device)
        self._network = network.to(self._device).eval()
        self._mel = LogMel(network.config.n_mels).to(self._device)
        self._batch = batch
        self._thread = SingleThread("encoder", _STEP_S)
        self._waiting: list[_Job] = []
        self._busy = self._closed = False
        self._rested: asyncio.TimerHandle | None = None
        self.counters = Counters()
        self.early_counts = EarlyCounts()
        self.commit_early(early)

    def commit_early(self, plan: EarlyUnits | None) -> None:
        """Look at speeches that begin from now on as `plan` says, or not at all."""
        self._early = plan
        self._budget = Budget(plan.share if plan else 1.0)
        self._trust = Trust(plan.rule) if plan else None

    @property
    def busy(self) -> bool:
        """Something is being encoded."""
        return self._busy

    def limit_steps(self, step_s: float) -> None:
        """A batch may take it, and the length of its speech."""
        self._thread.limit_s = step_s

    def state(self) -> WorkerState:
        """How its thread is."""
        return self._thread.state()

    def warm(self) -> None:
        """Encode a second of silence, so that the first turn does not wait for what the device does only once."""
        self._codes([np.zeros(SAMPLE_RATE, np.float32)])

    def close(self) -> None:
        """Stop the thread once its current batch is done; what waits fails with EngineUnavailable."""
        self._closed = True
        if self._rested is not None:
            self._rested.cancel()
        for job in self._waiting:
            self._turn_away(job)
        self._thread.close()

    async def encode(self, audio: AsyncIterator[Pcm | Peek]) -> AsyncGenerator[list[int]]:
        """See `SpeechEncoder.encode`. With `EarlyUnits.commit`, the early units also depend on when the stage had time."""
        last = -1
        if self._early is None or self._trust is None:
            heard = list[Pcm]()
            async with aclosing(self._peeked(audio, heard, merged)) as pieces:
                async for pcm in pieces:
                    heard.append(pcm)
            if not heard:
                return
            rest = await self.submit(np.concatenate(heard))
        else:
            speech = EarlySpeech(self._early, self._trust, self.early_counts, self._submit_partial)
            pieces = self._peeked(audio, speech.heard, lambda codes: _behind(last, speech.behind(codes)))
            async with aclosing(pieces), aclosing(speech.listen(pieces)) as frames:
                async for fresh in frames:
                    if units := _behind(last, fresh):
                        yield units
                    last = fresh[-1]
            if not speech.heard:
                return
            rest = speech.settle(await self.submit(np.concatenate(speech.heard)))
        self.counters.speeches += 1
        if units := _behind(last, rest):
            yield units

    async def _peeked(
        self, audio: AsyncIterator[Pcm | Peek], heard: Sequence[Pcm], units: Callable[[list[int]], list[int]]
    ) -> AsyncGenerator[Pcm]:
        """`audio` without its peeks, which are answered by what all that was `heard` says so far."""
        async for piece in audio:
            if isinstance(piece, Peek):
                piece.tell(units(await self.submit(np.concatenate(heard)) if heard else []))
            else:
                yield piece

    def submit(self, pcm: Pcm) -> asyncio.Future[list[int]]:
        """Codes of `pcm`, 25 a second, unmerged. Cancelling the future takes it out of the queue."""
        return self._enqueue(_Job(pcm, asyncio.get_running_loop().create_future()))

    def _submit_partial(self, pcm: Pcm) -> asyncio.Future[list[int]] | None:
        """The same for a speech that goes on, behind all those that are over; None where it would take too long."""
        if not self._budget.affords(pcm.size / SAMPLE_RATE):
            return None
        return self._enqueue(_Job(pcm, asyncio.get_running_loop().create_future(), partial=True))

    def _enqueue(self, job: _Job) -> asyncio.Future[list[int]]:
        if self._closed:
            self._turn_away(job)
        else:
            self._waiting.append(job)
            self._pump()
        return job.codes

    @staticmethod
    def _turn_away(job: _Job) -> None:
        if not job.codes.done():
            job.codes.set_exception(EngineUnavailable("the speech tokenizer was stopped"))

    def _pump(self) -> None:
        if self._busy or self._closed:
            return
        self._waiting = [job for job in self._waiting if not job.codes.done()]
        batch = self._whole_batch() or self._partial_batch()
        if not batch:
            return
        self._waiting = [job for job in self._waiting if job not in batch]
        self._busy = True
        self.counters.batches += 1
        speech_s = sum(job.pcm.size for job in batch) / SAMPLE_RATE
        work = self._thread.run_within(self._thread.limit_s + speech_s, self._timed, [job.pcm for job in batch])
        self._running = asyncio.create_task(work, name="encoder-batch")
        self._running.add_done_callback(lambda done: self._deliver(batch, done))

    def _whole_batch(self) -> list[_Job]:
        """The speeches that are over, as many as go together."""
        over = [job for job in self._waiting if not job.partial]
        return over[:1] if over and over[0].hung else [job for job in over if not job.hung][: self._batch]

    def _partial_batch(self) -> list[_Job]:
        """The partial passes to do now: as many as fit into the time that one may take, none before the last ones have rested."""
        loop, chosen = asyncio.get_running_loop(), list[_Job]()
        if self._rested is not None:
            self._rested.cancel()
            self._rested = None
        if self._waiting and (rest_s := self._budget.rest_s(loop.time())):
            self._rested = loop.call_later(rest_s, self._pump)
            return []
        for job in self._waiting[: self._batch]:
            longest_s = max(each.pcm.size for each in [*chosen, job]) / SAMPLE_RATE
            if self._budget.affords((len(chosen) + 1) * longest_s):
                chosen.append(job)
            elif chosen:
                break
            else:
                job.codes.cancel()  # could be afforded when it was asked for
        return chosen

    def _deliver(self, batch: list[_Job], done: asyncio.Task[tuple[list[list[int] | Exception], float]]) -> None:
        self._busy = False
        if done.cancelled() or (failure := done.exception()) is not None:
            self._failed(batch, None if done.cancelled() else failure)
            return
        outcomes, busy_s = done.result()
        now_s = asyncio.get_running_loop().time()
        if not all(isinstance(outcome, Exception) for outcome in outcomes):
            longest_s = max(_LEAST_SAMPLES, *(job.pcm.size for job in batch)) / SAMPLE_RATE
            self._budget.spent(busy_s, len(batch) * longest_s, now_s, partial=batch[0].partial)
        elif batch[0].partial:
            self._budget.rest(busy_s, now_s)
        for job, outcome in zip(batch, outcomes, strict=True):
            if job.codes.done():
                continue
            if isinstance(outcome, Exception):
                job.codes.set_exception(outcome)
            else:
                job.codes.set_result(outcome)
        self._pump()

    def _failed(self, batch: list[_Job], failure: BaseException | None) -> None:
        """A batch that hung is done again, once, each speech alone; what is only partial can be left."""
        for job in batch:
            if not isinstance(failure, ThreadHung) or self._closed:
                self._turn_away(job)
            elif job.partial:
                job.codes.cancel()
            elif not job.codes.done():
                if job.hung:
                    job.codes.set_exception(failure)
                else:
                    job.hung = True
                    self._waiting.insert(0, job)
        self._pump()

    def _timed(self, speeches: Sequence[Pcm]) -> tuple[list[list[int] | Exception], float]:
        """What came of each, and the seconds that all took."""
        began_s = time.perf_counter()
        return self._tried(speeches), time.perf_counter() - began_s

    def _tried(self, speeches: Sequence[Pcm]) -> list[list[int] | Exception]:
        """Codes of each speech. Where the batch fails, each is tried alone, so that one speech fails for itself only."""
        try:
            return list[list[int] | Exception](self._codes(speeches))
        except Exception as error:
            if len(speeches) == 1:
                return [error]
            return [outcome for pcm in speeches for outcome in self._tried([pcm])]

    @torch.inference_mode()
    def _codes(self, speeches: Sequence[Pcm]) -> list[list[int]]:
        mels = [self._mel(self._tensor(pcm)[None])[0] for pcm in speeches]
        spans = [windows(mel.shape[1]) for mel in mels]
        parts = [mel[:, start:end] for mel, cut in zip(mels, spans, strict=True) for start, end in cut]
        lengths = torch.tensor([part.shape[1] for part in parts], device=self._device)
        longest = max(part.shape[1] for part in parts)
        padded = torch.stack([F.pad(part, (0, longest - part.shape[1])) for part in parts])
        codes, frames = self._network(padded, lengths)
        rows = [row[:count] for row, count in zip(codes.tolist(), frames.tolist(), strict=True)]
        return [joined([rows.pop(0) for _ in cut], _MEL_FRAMES_PER_CODE) for cut in spans]

    def _tensor(self, pcm: Pcm) -> torch.Tensor:
        clean = np.nan_to_num(np.clip(pcm, -1.0, 1.0)).astype(np.float32, copy=False)
        return torch.from_numpy(np.pad(clean, (0, max(0, _LEAST_SAMPLES - clean.size)))).to(self._device)


def _behind(last: int, frames: Sequence[int]) -> list[int]:
    """The units of `frames`, which follow a frame of `last`."""
    return merged([last, *frames])[1:]
