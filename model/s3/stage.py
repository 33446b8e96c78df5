"""The tokenizer as an async stage: one thread, and in one batch what waits of all sessions.

Attention reaches from the first frame to the last, so a speech is encoded when it is over, all of it at once; that is the only
source of the units it yields, and they do not depend on how the samples came. While it goes on it may be encoded again and again
(`Speculation`) to say which beginning is likely to stay: see `streaming.stability`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from model.encoder import LogMel
from model.s3.network import S3Network
from model.s3.windows import joined, merged, windows
from streaming.stability import LikelyPrefix, StabilityRule
from streaming.stages import Pcm

_SAMPLE_RATE, _LEAST_SAMPLES = 16_000, 400
_MEL_FRAMES_PER_CODE = 4

Guess = Callable[[list[int]], None]
"""Told the merged units that are likely to begin the speech; a later call may take some of them back."""


@dataclass(frozen=True, slots=True)
class Speculation:
    """Encode an unfinished speech every `interval_s` seconds of it."""

    interval_s: float = 0.5
    rule: StabilityRule = field(default_factory=StabilityRule)


@dataclass(slots=True)
class Counters:
    """What the stage did. `frames_relied`, `frames_revised`: of speculation, and how much of it was wrong."""

    speeches: int = 0
    batches: int = 0
    looks: int = 0
    frames_relied: int = 0
    frames_revised: int = 0


@dataclass(slots=True, eq=False)
class _Job:
    pcm: Pcm
    codes: asyncio.Future[list[int]]


class S3Stage:
    """Runs the network for all sessions. Whole speeches go before looks at unfinished ones."""

    def __init__(
        self, network: S3Network, *, device: str = "cpu", batch: int = 16, speculation: Speculation | None = None
    ) -> None:
        self._device = torch.device(device)
        self._network = network.to(self._device).eval()
        self._mel = LogMel(network.config.n_mels).to(self._device)
        self._batch = batch
        self._speculation = speculation
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        self._whole: list[_Job] = []
        self._unfinished: list[_Job] = []
        self._busy = False
        self.counters = Counters()

    def warm(self) -> None:
        """Encode a second of silence, so that the first turn does not wait for what the device does only once."""
        self._codes([np.zeros(_SAMPLE_RATE, np.float32)])

    def close(self) -> None:
        """Stop the thread once its current batch is done."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def encode(self, audio: AsyncIterator[Pcm], guess: Guess | None = None) -> AsyncGenerator[list[int]]:
        """See `SpeechEncoder.encode`. `guess` is told what is likely while the speech goes on, if the stage speculates."""
        heard: list[Pcm] = []
        looks = _Looks(self, self._speculation, guess) if guess and self._speculation else None
        try:
            async for pcm in audio:
                heard.append(pcm)
                if looks:
                    looks.heard(heard)
            if not heard:
                return
            if looks:
                looks.stop()
            codes = await self.submit(np.concatenate(heard), whole=True)
            if looks:
                looks.settle(codes)
            self.counters.speeches += 1
            if units := merged(codes):
                yield units
        finally:
            if looks:
                looks.stop()

    def submit(self, pcm: Pcm, *, whole: bool) -> asyncio.Future[list[int]]:
        """Codes of `pcm`, 25 a second, unmerged. Cancelling the future takes it out of the queue."""
        job = _Job(pcm, asyncio.get_running_loop().create_future())
        (self._whole if whole else self._unfinished).append(job)
        self._pump()
        return job.codes

    def _pump(self) -> None:
        if self._busy:
            return
        waiting = [job for job in (*self._whole, *self._unfinished) if not job.codes.done()]
        batch, left = waiting[: self._batch], waiting[self._batch :]
        self._whole = [job for job in self._whole if job in left]
        self._unfinished = [job for job in self._unfinished if job in left]
        if not batch:
            return
        self._busy = True
        self.counters.batches += 1
        running = asyncio.get_running_loop().run_in_executor(self._thread, self._codes, [job.pcm for job in batch])
        running.add_done_callback(lambda done: self._deliver(batch, done))

    def _deliver(self, batch: list[_Job], done: asyncio.Future[list[list[int]]]) -> None:
        self._busy = False
        failure = asyncio.CancelledError() if done.cancelled() else done.exception()
        for place, job in enumerate(batch):
            if job.codes.done():
                continue
            if failure is None:
                job.codes.set_result(done.result()[place])
            elif isinstance(failure, Exception):
                job.codes.set_exception(failure)
            else:
                job.codes.cancel()
        if not done.cancelled():
            self._pump()

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


class _Looks:
    """The looks at one unfinished speech: at most one at a time."""

    def __init__(self, stage: S3Stage, speculation: Speculation, guess: Guess) -> None:
        self._stage = stage
        self._every = round(speculation.interval_s * _SAMPLE_RATE)
        self._prefix = LikelyPrefix(speculation.rule)
        self._guess = guess
        self._look: asyncio.Future[list[int]] | None = None
        self._looked_at = 0
        self._told: list[int] = []

    def heard(self, pieces: list[Pcm]) -> None:
        samples = sum(piece.size for piece in pieces)
        if samples - self._looked_at < self._every or (self._look and not self._look.done()):
            return
        self._looked_at = samples
        self._look = self._stage.submit(np.concatenate(pieces), whole=False)
        self._look.add_done_callback(self._seen)

    def _seen(self, look: asyncio.Future[list[int]]) -> None:
        if look.cancelled() or look.exception():
            return  # the whole speech will meet the same failure, and say so
        self._stage.counters.looks += 1
        likely = merged(self._prefix.look(look.result()))
        if likely != self._told:
            self._told = likely
            self._guess(likely)

    def settle(self, codes: list[int]) -> None:
        self._prefix.settle(codes)
        self._stage.counters.frames_relied += self._prefix.relied
        self._stage.counters.frames_revised += self._prefix.revised

    def stop(self) -> None:
        if self._look:
            self._look.cancel()
