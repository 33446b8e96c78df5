"""The tokenizer as an async stage: one thread, and in one batch what waits of all sessions.

Attention reaches from the first frame to the last, so a speech is encoded when it is over, all of it at once; that is the only
source of the units it yields, and they do not depend on how the samples came.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from model.encoder import LogMel
from model.s3.network import S3Network
from model.s3.windows import joined, merged, windows
from streaming.stages import Pcm

_SAMPLE_RATE, _LEAST_SAMPLES = 16_000, 400
_MEL_FRAMES_PER_CODE = 4


@dataclass(slots=True)
class Counters:
    """What the stage did."""

    speeches: int = 0
    batches: int = 0


@dataclass(slots=True, eq=False)
class _Job:
    pcm: Pcm
    codes: asyncio.Future[list[int]]


class S3Stage:
    """Runs the network for all sessions."""

    def __init__(self, network: S3Network, *, device: str = "cpu", batch: int = 16) -> None:
        self._device = torch.device(device)
        self._network = network.to(self._device).eval()
        self._mel = LogMel(network.config.n_mels).to(self._device)
        self._batch = batch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        self._waiting: list[_Job] = []
        self._busy = False
        self.counters = Counters()

    def warm(self) -> None:
        """Encode a second of silence, so that the first turn does not wait for what the device does only once."""
        self._codes([np.zeros(_SAMPLE_RATE, np.float32)])

    def close(self) -> None:
        """Stop the thread once its current batch is done."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def encode(self, audio: AsyncIterator[Pcm]) -> AsyncGenerator[list[int]]:
        """See `SpeechEncoder.encode`."""
        heard = [pcm async for pcm in audio]
        if not heard:
            return
        codes = await self.submit(np.concatenate(heard))
        self.counters.speeches += 1
        if units := merged(codes):
            yield units

    def submit(self, pcm: Pcm) -> asyncio.Future[list[int]]:
        """Codes of `pcm`, 25 a second, unmerged. Cancelling the future takes it out of the queue."""
        job = _Job(pcm, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._pump()
        return job.codes

    def _pump(self) -> None:
        if self._busy:
            return
        waiting = [job for job in self._waiting if not job.codes.done()]
        batch, self._waiting = waiting[: self._batch], waiting[self._batch :]
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
