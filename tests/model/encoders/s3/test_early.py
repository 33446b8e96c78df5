"""Units of a speech before it is over: the same for any split, a beginning of what is told at last, and never in the way."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.encoders import EarlyUnits
from model.encoders.s3 import early
from model.encoders.s3.early import Budget, EarlySpeech
from model.encoders.s3.stage import S3Stage
from model.encoders.s3.windows import merged
from model.mel import SAMPLE_RATE
from streaming.errors import EngineUnavailable
from streaming.stability import EarlyCounts, StabilityRule, Trust
from streaming.stages import Pcm
from tests.model.encoders.s3.test_stage import NETWORK, sound, units

EAGER = StabilityRule(repeats=1, edge_frames=3, every_s=0.2, most_wrong=1.0)  # nothing is stable in random weights
COMMIT, WATCH = EarlyUnits(commit=True, share=1.0, rule=EAGER), EarlyUnits(share=1.0, rule=EAGER)
STEP = round(EAGER.every_s * SAMPLE_RATE)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Stage]:
    """A stage for which every look is cheap, however slow the machine."""
    monkeypatch.setattr(Budget, "affords", lambda self, sound_s: True)
    stage = S3Stage(NETWORK, early=COMMIT)
    yield stage
    stage.close()


async def live(stage: S3Stage, pcm: Pcm, samples: int) -> AsyncGenerator[Pcm]:
    """Sound that comes no faster than the stage works."""
    for start in range(0, pcm.size, samples):
        await idle(stage)
        yield pcm[start : start + samples]
    await idle(stage)


async def idle(stage: S3Stage) -> None:
    """Nothing is being encoded, and whoever waited for it had its turn."""
    for _ in range(5):
        await asyncio.sleep(0)
    while stage.busy or stage._waiting:
        await asyncio.sleep(0.001)


async def told(stage: S3Stage, pcm: Pcm, samples: int = 1600) -> list[list[int]]:
    async with aclosing(stage.encode(live(stage, pcm, samples))) as encoded:
        return [piece async for piece in encoded]


def flat(pieces: Sequence[Sequence[int]]) -> list[int]:
    return [unit for piece in pieces for unit in piece]


def codes_of(pcm: Pcm) -> list[int]:
    """Frames that settle as the speech goes on: the last ones, and every seventh, depend on all of it."""
    frames = pcm.size // 640
    return [(n // 3 + frames) % 5 if n > frames - 8 or n % 7 == 0 else n // 3 % 5 for n in range(frames)]


async def heard_in(cuts: Sequence[int], pcm: Pcm) -> tuple[list[int], list[int]]:
    """Frames committed of a speech that comes in pieces of such sizes, and the places that were looked at."""
    looked = list[int]()

    def look(heard: Pcm) -> asyncio.Future[list[int]]:
        looked.append(heard.size)
        done = asyncio.get_running_loop().create_future()
        done.set_result(codes_of(heard))
        return done

    async def audio() -> AsyncGenerator[Pcm]:
        at = 0
        for size in [*cuts, *[STEP] * (pcm.size // STEP + 1)]:
            if at < pcm.size:
                yield pcm[at : at + size]
                for _ in range(5):
                    await asyncio.sleep(0)
            at += size

    rule = replace(EAGER, repeats=2)
    speech = EarlySpeech(EarlyUnits(commit=True, rule=rule), Trust(rule), EarlyCounts(), look)
    async with aclosing(speech.listen(audio())) as frames:
        committed = [code async for fresh in frames for code in fresh]
    assert np.array_equal(np.concatenate(speech.heard), pcm)
    whole = codes_of(pcm)
    assert committed + speech.settle(whole) == committed + whole[len(committed) :]
    return committed, looked


@given(st.lists(st.integers(1, STEP), max_size=60))
def test_any_chunking_looks_at_the_same_places_and_commits_the_same(cuts: list[int]) -> None:
    pcm = np.linspace(-1, 1, 11 * STEP + 77, dtype=np.float32)
    committed, looked = asyncio.run(heard_in(cuts, pcm))
    assert looked == [STEP * number for number in range(1, 12)]
    assert (committed, looked) == asyncio.run(heard_in([], pcm))
    assert len(committed) > 5


async def test_units_come_early_and_stand(stage: S3Stage) -> None:
    pcm = sound(4.0)
    pieces = await told(stage, pcm)
    assert len(pieces) > 1
    assert flat(pieces) == merged(flat(pieces))
    for samples in (320, 999, STEP):
        assert flat(await told(stage, pcm, samples)) == flat(pieces)
    whole = await stage.submit(pcm)
    counts = stage.early_counts
    assert counts.committed > 0
    assert flat(pieces)[-1] == whole[-1]  # the end is as the whole speech has it
    assert counts.committed_wrong < counts.committed
    assert counts.watched == 0


async def test_a_file_is_not_looked_at(stage: S3Stage) -> None:
    alone, pcm = S3Stage(NETWORK), sound(3.0)

    async def at_once() -> AsyncGenerator[Pcm]:
        for start in range(0, pcm.size, 1600):
            yield pcm[start : start + 1600]

    async with aclosing(stage.encode(at_once())) as encoded:
        assert [piece async for piece in encoded] == [await units(alone, pcm)]
    assert stage.early_counts == EarlyCounts(wrong_of_late=1.0)
    alone.close()


async def test_who_only_watches_tells_what_the_whole_speech_says(stage: S3Stage) -> None:
    stage.commit_early(WATCH)
    pcm = sound(3.0)
    assert await told(stage, pcm) == [merged(await stage.submit(pcm))]
    assert stage.early_counts.watched > 0
    assert stage.early_counts.committed == 0


async def test_what_changes_its_mind_is_not_believed(stage: S3Stage) -> None:
    stage.commit_early(EarlyUnits(commit=True, share=1.0, rule=StabilityRule(2, 3, 0.2, most_wrong=0.0)))
    pcm = sound(3.0)
    assert await told(stage, pcm) == [merged(await stage.submit(pcm))]
    assert stage.early_counts.watched > 0


async def test_never_two_looks_of_one_speech_and_finished_speeches_first(
    stage: S3Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, batches, encode = threading.Event(), list[list[int]](), stage._codes

    def slowly(speeches: Sequence[Pcm]) -> list[list[int]]:
        batches.append([pcm.size for pcm in speeches])
        go.wait(10)
        while len(batches) == 2 and len(stage._waiting) < 2:  # the speech's next look, and the other one
            time.sleep(0.001)
        return encode(speeches)

    monkeypatch.setattr(stage, "_codes", slowly)
    monkeypatch.setattr(early, "LONGEST_S", math.inf)  # however slow the machine, two looks can be afforded
    come: asyncio.Queue[Pcm | None] = asyncio.Queue()

    async def audio() -> AsyncGenerator[Pcm]:
        while (pcm := await come.get()) is not None:
            yield pcm

    async def speak() -> list[int]:
        async with aclosing(stage.encode(audio())) as encoded:
            return flat([piece async for piece in encoded])

    async with asyncio.TaskGroup() as group:
        speaking = group.create_task(speak())
        for _ in range(10):  # ten places to look at go by while the first look is under way
            come.put_nowait(sound(EAGER.every_s))
            await asyncio.sleep(0.002)
        finished = stage.submit(sound(0.5))
        waiting = stage._submit_partial(sound(0.4))
        go.set()
        await finished
        assert waiting is not None
        await waiting
        come.put_nowait(None)
    assert speaking.result()
    assert batches[:2] == [[STEP], [8000]]
    assert len(batches[2]) == 2, "what waits of several sessions is one batch"


async def test_who_leaves_while_a_look_waits_takes_it_along(stage: S3Stage) -> None:
    async with aclosing(stage.encode(live(stage, sound(2.0), 640))) as encoded:
        await anext(encoded)
    await idle(stage)
    assert stage.early_counts.committed == 0, "a speech that was broken off is not judged"


async def test_a_look_that_fails_costs_nothing(stage: S3Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    encode, calls = stage._codes, list[int]()

    def sometimes(speeches: Sequence[Pcm]) -> list[list[int]]:
        calls.append(len(speeches))
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        return encode(speeches)

    pcm = sound(3.0)
    monkeypatch.setattr(stage, "_codes", sometimes)
    pieces = await told(stage, pcm)
    assert stage.early_counts.failed == 1
    assert flat(pieces)[-1] == (await stage.submit(pcm))[-1]


def test_the_budget_refuses_what_takes_too_long_and_learns_from_every_batch() -> None:
    budget = Budget(share=0.2)
    assert budget.affords(30.0), "nothing is known yet"
    budget.spent(0.5, 1.0, 0.0, partial=False)
    assert not budget.affords(0.1), "it may be a fixed cost"
    for _ in range(60):  # finished speeches are encoded anyway: their pace brings the looks back
        budget.spent(0.001, 1.0, 0.0, partial=False)
    assert budget.affords(10.0)
    assert budget.rest_s(0.0) == 0.0


def test_the_budget_knows_a_fixed_cost_from_one_that_grows() -> None:
    budget = Budget(share=0.2)
    for sound_s in (0.6, 10.0) * 20:
        budget.spent(0.02 + 0.001 * sound_s, sound_s, 0.0, partial=False)
    assert budget.foreseen_s(0.6) == pytest.approx(0.0206)
    assert budget.foreseen_s(30.0) == pytest.approx(0.05)


async def test_looks_that_fail_rest_as_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: S3Stage, speeches: object) -> list[list[int]]:
        raise RuntimeError("out of memory")

    stage = S3Stage(NETWORK, early=COMMIT)
    stage._budget.spent(0.001, 1.0, 0.0, partial=False)
    monkeypatch.setattr(S3Stage, "_codes", fails)
    look = stage._submit_partial(sound(1.0))
    assert look is not None
    with pytest.raises(RuntimeError):
        await look
    assert stage._budget.rest_s(0.0) > 0
    stage.close()


async def test_what_waits_when_the_stage_is_closed_fails_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, begun, codes = S3Stage(NETWORK), threading.Event(), S3Stage._codes

    def begins(self: S3Stage, speeches: Sequence[Pcm]) -> list[list[int]]:
        begun.set()
        return codes(self, speeches)

    monkeypatch.setattr(S3Stage, "_codes", begins)
    first, second = stage.submit(sound(1.0)), stage.submit(sound(1.0))
    await asyncio.to_thread(begun.wait, 60)
    stage.close()
    assert await first
    with pytest.raises(EngineUnavailable):
        await second
    with pytest.raises(EngineUnavailable):
        await stage.submit(sound(1.0))


def test_looks_rest_until_they_have_had_no_more_than_their_share() -> None:
    budget = Budget(share=0.25)
    budget.spent(0.1, 5.0, 100.0, partial=True)
    assert budget.rest_s(100.0) == pytest.approx(0.3)
    assert budget.rest_s(100.3) == pytest.approx(0.0)


async def test_an_encoder_that_is_too_slow_is_not_asked() -> None:
    stage = S3Stage(NETWORK, early=COMMIT)
    stage._budget.spent(10.0, 1.0, 0.0, partial=False)
    pcm = sound(1.0)
    assert await told(stage, pcm) == [merged(await stage.submit(pcm))]
    assert stage.early_counts.refused > 0
    assert stage.early_counts.partial_passes == 0
    stage.close()
