"""The tokenizer as a stage: any split, many sessions, cancellation."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing

import numpy as np
import pytest

from model.encoders.s3.stage import S3Stage
from model.encoders.s3.windows import merged
from streaming.stages import Pcm
from tests.released.speech_tokenizer import random_network

NETWORK = random_network()


@pytest.fixture
def stage() -> Iterator[S3Stage]:
    stage = S3Stage(NETWORK)
    yield stage
    stage.close()


def sound(seconds: float, seed: int = 0) -> Pcm:
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * 16_000)) / 16_000
    return (0.3 * np.sin(900 * time * (1 + time % 2)) + 0.1 * rng.standard_normal(time.size)).astype(np.float32)


async def pieces(pcm: Pcm, samples: int = 1600) -> AsyncGenerator[Pcm]:
    for start in range(0, pcm.size, samples):
        yield pcm[start : start + samples]
        await asyncio.sleep(0)


async def units(stage: S3Stage, pcm: Pcm, samples: int = 1600) -> list[int]:
    async with aclosing(stage.encode(pieces(pcm, samples))) as encoded:
        return [unit async for piece in encoded for unit in piece]


async def test_any_split_gives_the_same_units(stage: S3Stage) -> None:
    pcm = sound(3.3)
    whole = await units(stage, pcm, pcm.size)
    assert len(whole) > 10
    assert whole == merged(whole)
    for samples in (37, 1600, 9999):
        assert await units(stage, pcm, samples) == whole


async def test_sessions_side_by_side_share_batches_and_get_what_they_get_alone(stage: S3Stage) -> None:
    speeches = [sound(seconds, seed) for seed, seconds in enumerate((0.7, 5.0, 2.2, 31.5, 1.0))]
    alone = [await units(stage, pcm) for pcm in speeches]
    before = stage.counters.batches
    together = await asyncio.gather(*(units(stage, pcm, pcm.size) for pcm in speeches))
    assert together == alone
    assert stage.counters.batches - before < len(speeches)


@pytest.mark.parametrize("pcm", [np.zeros(0), np.zeros(1), np.full(5000, np.nan), np.full(700, 9.0)])
async def test_strange_input_is_heard_without_error(stage: S3Stage, pcm: np.ndarray) -> None:
    assert all(0 <= unit < 4096 for unit in await units(stage, pcm.astype(np.float32)))


async def test_nothing_heard_is_no_units(stage: S3Stage) -> None:
    assert await units(stage, sound(0)) == []


async def test_who_goes_away_leaves_the_others_alone(stage: S3Stage) -> None:
    async with asyncio.TaskGroup() as group:
        leaving = [group.create_task(units(stage, sound(2.0, seed))) for seed in range(3)]
        staying = group.create_task(units(stage, sound(2.0, 9)))
        await asyncio.sleep(0.01)
        for task in leaving:
            task.cancel()
    assert staying.result() == await units(stage, sound(2.0, 9))


async def test_a_failure_reaches_its_speech_and_the_next_is_heard(
    stage: S3Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(speeches: list[Pcm]) -> list[list[int]]:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as broken:
        broken.setattr(stage, "_codes", fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            await units(stage, sound(1.0))
    assert await units(stage, sound(1.0))


async def test_one_bad_speech_fails_only_itself(stage: S3Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    encode, bad = stage._codes, sound(1.0, 5)

    def picky(speeches: Sequence[Pcm]) -> list[list[int]]:
        if any(np.array_equal(pcm, bad) for pcm in speeches):
            raise ValueError("a bad speech")
        return encode(speeches)

    wanted = await units(stage, sound(1.0, 6))
    monkeypatch.setattr(stage, "_codes", picky)
    stage._busy = True  # so that the three become one batch
    waiting = [stage.submit(pcm) for pcm in (sound(1.0, 6), bad, sound(1.0, 7))]
    stage._busy = False
    stage._pump()
    good, failed, other = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(failed, ValueError)
    assert isinstance(good, list)
    assert merged(good) == wanted
    assert isinstance(other, list)


async def test_speech_in_a_batch_that_hangs_is_encoded_again_alone(
    stage: S3Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    speeches = [sound(0.5, seed) for seed in range(3)]
    alone = [await units(stage, pcm) for pcm in speeches]
    codes, batches, go = S3Stage._codes, list[int](), threading.Event()

    def hangs(self: S3Stage, pcms: Sequence[Pcm]) -> list[list[int]]:
        batches.append(len(pcms))
        if len(batches) == 2:
            go.wait(60)
        return codes(self, pcms)

    monkeypatch.setattr(S3Stage, "_codes", hangs)
    stage.limit_steps(2.0)
    assert await asyncio.gather(*(units(stage, pcm, pcm.size) for pcm in speeches)) == alone
    assert stage.state().restarts["stuck"] == 1
    go.set()
