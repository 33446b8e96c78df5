"""In the gateway: streams through a stage on some replica. Where the replica goes, another gets all items again.

Both encoder and vocoder yield the same for any split of their items. So what another replica yields begins with what the first
had yielded, and the stream goes on behind that. Nothing here knows of Ray.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from model.workers.worker import WorkerLost
from server.cluster.ranking import Wish
from server.cluster.streams import PEEK, Answer, Step
from streaming.errors import EngineUnavailable
from streaming.stages import Pcm, Peek, UnitCut

MOST_LOSSES = 4
"""Replicas that may go under one item. Then it is taken for the cause."""

_AGAIN_SAMPLES, _AGAIN_UNITS = 8_000, 48
"""Sent again at a time, so that the streams of others come in between."""


class Seats(Protocol):
    """How replicas are reached."""

    async def step(self, step: Step, wish: Wish) -> Answer:
        """Have a replica take a step. Raises WorkerLost where the stream is gone with it."""
        ...

    def drop(self, stream: str, replica: str) -> None:
        """Forget a stream that ends early."""
        ...


class _Replayed:
    """One stream. `items`: all that were taken; `given`: how much of what was yielded has been passed on."""

    def __init__(self, seats: Seats, again: Callable[[Sequence[Any], Any], Iterable[Any]]) -> None:
        self._seats, self._again = seats, again
        self._items = list[Any]()
        self._key = uuid.uuid4().hex
        self._wish: Wish
        self._replica: str
        self._taken: int
        self._given = 0
        self._open(Wish())

    async def step(self, item: Any = None, *, end: bool = False) -> tuple[list[Any], Sequence[int]]:
        """What is new with the next item, and what a `PEEK` was told. Raises EngineUnavailable after `MOST_LOSSES`."""
        fresh = list[Any]()
        self._wish = replace(self._wish, losses=0)
        for losses in itertools.count(1):
            try:
                if not self._taken:
                    for earlier in self._again(self._items, item):
                        fresh += (await self._ask([earlier], end=False))[0]
                pieces, told = await self._ask([] if item is None else [item], end=end)
                break
            except WorkerLost:
                self._open(Wish(key=self._key, losses=losses, lost=self._replica))
                if losses == MOST_LOSSES:
                    raise EngineUnavailable("replica after replica died under this turn") from None
        if item is not None and item is not PEEK:
            self._items.append(item)
        if end:
            self._replica = ""
        return fresh + pieces, told

    def close(self) -> None:
        """Tell the replica, where the stream has not ended."""
        if self._replica:
            self._seats.drop(self._name, self._replica)

    async def _ask(self, items: Sequence[Any], *, end: bool) -> tuple[list[Any], Sequence[int]]:
        answer = await self._seats.step(Step(self._name, self._taken, items, end), self._wish)
        self._replica, self._wish = answer.replica, replace(self._wish, replica=answer.replica)
        self._taken += len(items)
        return [piece for piece in map(self._fresh, answer.pieces) if len(piece)], answer.told

    def _fresh(self, piece: Any) -> Any:
        """What of it was not passed on yet; from now on it is."""
        self._made += len(piece)
        unheard = min(len(piece), max(0, self._made - self._given))
        self._given += unheard
        return piece[len(piece) - unheard :]

    def _open(self, wish: Wish) -> None:
        """Begin where `wish` leads, under a new name: another replica may still be busy with the old one."""
        self._name, self._replica, self._wish = uuid.uuid4().hex, "", wish
        self._taken = self._made = 0


class RemoteEncoder:
    """A `SpeechEncoder` on other hosts. A stream stays with its replica; its audio is kept until it ends."""

    def __init__(self, seats: Seats) -> None:
        self._seats = seats

    async def encode(self, audio: AsyncIterator[Pcm | Peek]) -> AsyncGenerator[list[int]]:
        """See `SpeechEncoder.encode`."""
        stream = _Replayed(self._seats, lambda heard, _: _audio_again(heard))
        try:
            async for item in audio:
                pieces, told = await stream.step(PEEK if isinstance(item, Peek) else item)
                for piece in pieces:
                    yield piece
                if isinstance(item, Peek):
                    item.tell(list(told))
            for piece in (await stream.step(end=True))[0]:
                yield piece
        finally:
            stream.close()


class RemoteVocoder:
    """A `SpeechDecoder` on other hosts. A stream stays with its replica; its units are kept until it ends."""

    def __init__(self, seats: Seats, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._seats = seats

    async def synthesize(self, cuts: AsyncIterator[UnitCut]) -> AsyncGenerator[Pcm]:
        """See `SpeechDecoder.synthesize`."""
        stream = _Replayed(self._seats, _units_again)
        try:
            async for cut in cuts:
                for piece in (await stream.step(cut, end=cut.final))[0]:
                    yield piece
        finally:
            stream.close()


def _audio_again(heard: Sequence[Pcm]) -> Iterable[Pcm]:
    if not heard:
        return
    audio = np.concatenate(heard)
    for at in range(0, audio.size, _AGAIN_SAMPLES):
        yield audio[at : at + _AGAIN_SAMPLES]


def _units_again(spoken: Sequence[UnitCut], now: UnitCut) -> Iterable[UnitCut]:
    """As urgent as the cut that waits for them."""
    units = [unit for cut in spoken for unit in cut.units]
    for at in range(0, len(units), _AGAIN_UNITS):
        yield replace(now, units=units[at : at + _AGAIN_UNITS], final=False)
