"""Early units: when to encode an unfinished speech, and how much time that may take.

A partial pass encodes everything that was heard so far. Passes lie on a grid of the speech's own samples, so their input does not
depend on how the samples arrived. Whether there is time for a pass does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import numpy as np

from model.encoders import EarlyUnits
from model.mel import SAMPLE_RATE
from streaming.stability import CommittedPrefix, EarlyCounts, Trust
from streaming.stages import Pcm

log = logging.getLogger(__name__)

LONGEST_S = 0.1
"""No partial pass takes longer, as far as can be foreseen (the first of all can't): a speech that ends meanwhile waits for it."""

PartialPass = Callable[[Pcm], asyncio.Future[list[int]] | None]


class Budget:
    """What partial passes cost, measured as the encoder runs: they rest until they take no more than their share of its time."""

    def __init__(self, share: float) -> None:
        self._rest_per_s = 1 / share - 1
        self._rests_until_s = 0.0
        self._sums = np.zeros(5)  # of 1, x, y, x², x·y: sound and time of recent batches

    def affords(self, sound_s: float) -> bool:
        """So much sound is encoded within `LONGEST_S`, as far as can be foreseen."""
        return self.foreseen_s(sound_s) <= LONGEST_S

    def foreseen_s(self, sound_s: float) -> float:
        """The expected time of an encoding, from recent ones: a fixed part, and a part for each second.

        0 before anything was encoded.
        """
        n, x, y, xx, xy = self._sums
        if not n:
            return 0.0
        spread = n * xx - x * x
        if spread <= 1e-6 * n * xx:  # all were of one length
            return float(y / n * max(1.0, sound_s * n / x))
        per_s = max(0.0, (n * xy - x * y) / spread)
        fixed_s = (y - per_s * x) / n
        return float(fixed_s + per_s * sound_s if fixed_s >= 0 else y / x * sound_s)

    def rest_s(self, now_s: float) -> float:
        """Time until the next pass may begin."""
        return max(0.0, self._rests_until_s - now_s)

    def spent(self, busy_s: float, sound_s: float, now_s: float, *, partial: bool) -> None:
        """A batch with so much sound, padding included, took so long."""
        self._sums = 0.9 * self._sums + (1.0, sound_s, busy_s, sound_s**2, sound_s * busy_s)
        if partial:
            self.rest(busy_s, now_s)

    def rest(self, busy_s: float, now_s: float) -> None:
        """Partial passes took so long, with or without success."""
        self._rests_until_s = now_s + busy_s * self._rest_per_s


class EarlySpeech:
    """One speech that is encoded while it lasts: at most one partial pass is under way."""

    def __init__(self, plan: EarlyUnits, trust: Trust, counts: EarlyCounts, encode: PartialPass) -> None:
        self._step = round(plan.rule.every_s * SAMPLE_RATE)
        self._commit = plan.commit and trust.holds
        self._trust, self._counts, self._encode = trust, counts, encode
        self._prefix = CommittedPrefix(plan.rule)
        self._encoded = 0
        self.heard: list[Pcm] = []

    async def listen(self, audio: AsyncIterator[Pcm]) -> AsyncGenerator[list[int]]:
        """Hear all of `audio` into `heard`; yields the frames committed meanwhile.

        A partial pass begins only when all that came has been heard: speech that comes faster than it is spoken, such as a file,
        has none. Closing the generator takes a pass that waits out of the queue.
        """
        coming, partial = asyncio.ensure_future(_next(audio)), None
        try:
            while True:
                await asyncio.sleep(0)  # what has come already is read before anything is decided
                if partial is None and not coming.done():
                    partial = self._begin()
                under_way: set[asyncio.Future[Any]] = {coming, partial} if partial else {coming}
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                if partial is not None and partial.done():
                    fresh, partial = self._seen(partial), None
                    if fresh:
                        yield fresh
                if coming.done():
                    if (pcm := coming.result()) is None:
                        return
                    self.heard.append(pcm)
                    coming = asyncio.ensure_future(_next(audio))
        finally:
            if partial is not None:
                partial.cancel()
            coming.cancel()
            await asyncio.wait({coming})

    def behind(self, codes: list[int]) -> list[int]:
        """`codes`: the frames of the whole speech if it ended here. Returns those behind the committed ones."""
        return codes[len(self._prefix.frames) :] if self._commit else codes

    def settle(self, codes: list[int]) -> list[int]:
        """`codes`: the frames of the whole speech. Returns those to tell behind the committed ones."""
        rest = self._prefix.settle(codes)
        self._trust.judge(self._prefix)
        self._counts.add(self._prefix, committed=self._commit)
        self._counts.wrong_of_late = self._trust.wrong
        return rest if self._commit else codes

    def _begin(self) -> asyncio.Future[list[int]] | None:
        samples = sum(pcm.size for pcm in self.heard)
        due = samples - samples % self._step
        if due == self._encoded:
            return None
        self._encoded = due
        partial = self._encode(np.concatenate(self.heard)[:due])
        if partial is None:
            self._counts.refused += 1
        return partial

    def _seen(self, partial: asyncio.Future[list[int]]) -> list[int]:
        """The units that a pass commits. A failed pass costs only its time: the whole speech is still encoded at the end."""
        if partial.cancelled():
            self._counts.refused += 1
            return []
        try:
            codes = partial.result()
        except Exception:
            log.warning("a partial pass over unfinished speech failed", exc_info=not self._counts.failed)
            self._counts.failed += 1
            return []
        self._counts.partial_passes += 1
        fresh = self._prefix.update(codes)
        return fresh if self._commit else []


async def _next(audio: AsyncIterator[Pcm]) -> Pcm | None:
    return await anext(audio, None)
