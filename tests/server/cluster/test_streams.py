"""Streams through a stage on a replica, and in the gateway, where replicas come and go. No Ray is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from model.workers.worker import WorkerLost
from server.cluster.ranking import Wish
from server.cluster.replay import MOST_LOSSES, RemoteEncoder, RemoteVocoder
from server.cluster.streams import IDLE_S, PEEK, Answer, Step, StreamLost, Streams
from streaming.errors import EngineUnavailable, InvalidRequest
from streaming.stages import Pcm, Peek, UnitCut


class Sums:
    """An encoder whose units depend on all samples before them: one for every third sample, at the end one for the rest."""

    def __init__(self) -> None:
        self.closed = 0

    async def encode(self, audio: AsyncIterator[Pcm | Peek]) -> AsyncGenerator[list[int]]:
        total, count = 0, 0
        try:
            async for item in audio:
                if isinstance(item, Peek):
                    item.tell([total + 1000])
                    continue
                for sample in item:
                    total, count = total + int(sample), count + 1
                    if count % 3 == 0:
                        yield [total]
            yield [total]
        finally:
            self.closed += 1


async def _speak(cuts: AsyncIterator[UnitCut]) -> AsyncGenerator[Pcm]:
    held = list[int]()
    async for cut in cuts:
        held += cut.units
        ready = held if cut.final else held[:-1]
        held = held[len(ready) :]
        if ready:
            yield np.repeat(np.float32(ready), 2)


class Replicas:
    """Replicas of one stage. `dies_at`: after so many calls the replica that answers is gone; with its answer, or before it."""

    def __init__(self, stage: Any, *dies_at: int) -> None:
        self._stage, self._dies_at = stage, dies_at
        self.calls, self.dropped, self.asked = 0, list[str](), list[Wish]()
        self._number, self._streams = 0, Streams(stage, "0")

    async def step(self, step: Step, wish: Wish) -> Answer:
        self.calls += 1
        self.asked.append(wish)
        if self.calls in self._dies_at:
            await self._streams.close()
            self._number += 1
            self._streams = Streams(self._stage, str(self._number))
            raise WorkerLost("the replica went")
        try:
            return await self._streams.step(step)
        except StreamLost as lost:
            raise WorkerLost(lost.message) from None

    def drop(self, stream: str, replica: str) -> None:
        self.dropped.append(replica)


AUDIO = [np.float32(piece) for piece in ([1, 2], [3, 4, 5, 6], [7], [8, 9, 10])]
UNITS = [[6], [21], [45], [55]]


async def _encoded(encoder: RemoteEncoder, peeks: list[list[int]] | None = None) -> list[list[int]]:
    async def audio() -> AsyncIterator[Pcm | Peek]:
        for piece in AUDIO:
            yield piece
            if peeks is not None:
                yield Peek(peeks.append)

    return [units async for units in encoder.encode(audio())]


def _flat(pieces: list[list[int]]) -> list[int]:
    return [unit for piece in pieces for unit in piece]


async def test_a_stream_stays_with_its_replica() -> None:
    replicas = Replicas(Sums().encode)
    assert await _encoded(RemoteEncoder(replicas)) == UNITS
    assert [wish.replica for wish in replicas.asked] == ["", "0", "0", "0", "0"]
    assert not replicas.dropped


@pytest.mark.parametrize("dies_at", [(call,) for call in range(1, 6)] + [(2, 3), (4, 6), (5, 6, 7)])
async def test_what_is_heard_is_the_same_whichever_replicas_die(dies_at: tuple[int, ...]) -> None:
    assert _flat(await _encoded(RemoteEncoder(Replicas(Sums().encode, *dies_at)))) == _flat(UNITS)


@pytest.mark.parametrize("dies_at", [(), *[(call,) for call in range(1, 10)]])
async def test_a_peek_is_answered_whichever_replicas_die(dies_at: tuple[int, ...]) -> None:
    peeks = list[list[int]]()
    assert _flat(await _encoded(RemoteEncoder(Replicas(Sums().encode, *dies_at)), peeks)) == _flat(UNITS)
    assert peeks == [[1003], [1021], [1028], [1055]]


async def _spoken(replicas: Replicas) -> list[float]:
    async def cuts() -> AsyncIterator[UnitCut]:
        for first in range(1, 100, 9):
            yield UnitCut(range(first, first + 9), final=first == 91)

    decoder = RemoteVocoder(replicas, 16_000)
    return [float(sample) async for pcm in decoder.synthesize(cuts()) for sample in pcm]


@pytest.mark.parametrize("dies_at", [(), (1,), (2,), (8,), (11,), (6, 7), (6, 8), (9, 11, 12)])
async def test_what_is_spoken_is_the_same_whichever_replicas_die(dies_at: tuple[int, ...]) -> None:
    """Also where one dies while it speaks again what another had spoken."""
    whole = [float(unit) for unit in range(1, 100) for _ in range(2)]
    assert await _spoken(Replicas(_speak, *dies_at)) == whole


async def test_a_lost_stream_goes_to_other_replicas_each_time() -> None:
    replicas = Replicas(Sums().encode, 3, 4)
    assert _flat(await _encoded(RemoteEncoder(replicas))) == _flat(UNITS)
    first, *_, again, at_last, replayed, after = replicas.asked[:7]
    assert first == Wish()
    assert (again.losses, again.lost, at_last.losses) == (1, "0", 2)
    assert again.key == at_last.key != ""
    assert (replayed.replica, replayed.losses) == ("2", 2), "what is sent again may take as long"
    assert (after.replica, after.losses) == ("2", 0)


async def test_an_item_that_every_replica_dies_of_ends_the_stream() -> None:
    with pytest.raises(EngineUnavailable, match="replica after replica"):
        await _encoded(RemoteEncoder(Replicas(Sums().encode, *range(1, MOST_LOSSES + 1))))


async def test_a_stream_that_is_left_is_dropped() -> None:
    replicas = Replicas(_speak)

    async def cuts() -> AsyncIterator[UnitCut]:
        yield UnitCut([1, 2])
        yield UnitCut([3], final=True)

    async with aclosing(RemoteVocoder(replicas, 16_000).synthesize(cuts())) as audio:
        await anext(audio)
    assert replicas.dropped == ["0"]


async def test_what_the_stage_refuses_reaches_the_caller_and_costs_no_replica() -> None:
    async def refuse(cuts: AsyncIterator[UnitCut]) -> AsyncGenerator[Pcm]:
        async for _ in cuts:
            raise InvalidRequest("no such voice", param="voice")
        yield np.float32([])

    streams = Streams(refuse, "0")
    with pytest.raises(InvalidRequest, match="no such voice"):
        await streams.step(Step("a", 0, [UnitCut([1])]))
    assert len(streams) == 0


async def test_an_unknown_stream_and_a_gap_are_refused() -> None:
    streams = Streams(Sums().encode, "0")
    with pytest.raises(StreamLost):
        await streams.step(Step("a", 3, [AUDIO[0]]))
    await streams.step(Step("a", 0, [AUDIO[0]]))
    with pytest.raises(StreamLost):
        await streams.step(Step("a", 2, [AUDIO[1]]))
    assert (await streams.step(Step("a", 1, [AUDIO[1]]))).pieces == UNITS[:2]
    await streams.close()


async def test_a_cancelled_step_closes_the_stage() -> None:
    closed = asyncio.Event()

    async def hang(_: AsyncIterator[Any]) -> AsyncGenerator[list[int]]:
        try:
            await asyncio.Event().wait()
            yield []
        finally:
            closed.set()

    streams = Streams(hang, "0")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await streams.step(Step("a", 0, [AUDIO[0]]))
    assert closed.is_set()
    assert len(streams) == 0


async def test_streams_of_a_gateway_that_is_gone_are_dropped() -> None:
    now, sums = 0.0, Sums()
    streams = Streams(sums.encode, "0", lambda: now)
    await streams.step(Step("old", 0, [AUDIO[0]]))
    now = IDLE_S + 1
    await streams.step(Step("new", 0, [AUDIO[0]]))
    assert len(streams) == 1
    assert sums.closed == 1
    await streams.close()


async def test_a_peek_on_its_way_is_no_item_of_the_audio() -> None:
    streams = Streams(Sums().encode, "0")
    answer = await streams.step(Step("a", 0, [AUDIO[0], PEEK]))
    assert (answer.pieces, answer.told) == ([], [1003])
    await streams.close()
