"""What would a speech be if it ended here? Asked of an encoder in the middle of it, and without a trace in what follows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import numpy as np
import pytest
import torch

from model.encoders import EarlyUnits, EncoderStage
from model.encoders.block_stage import BlockStage
from model.encoders.s3.stage import S3Stage
from model.encoders.whisper_ctc import WhisperCtc
from model.encoders.whisper_network import UnitHead, WhisperTrunk
from streaming.realtime.utterance import UtteranceEncoding
from streaming.stability import StabilityRule
from streaming.stages import Pcm, Peek
from tests.model.encoders.test_whisper_ctc import CONFIG
from tests.released.speech_tokenizer import random_network
from tests.released.whisper_vq import random_encoder

ALWAYS = EarlyUnits(commit=True, share=1.0, rule=StabilityRule(repeats=1, edge_frames=5, every_s=0.2, most_wrong=1.0))


@pytest.fixture(params=["whisper_ctc", "whisper_vq", "s3"])
def stage(request: pytest.FixtureRequest) -> Iterator[EncoderStage]:
    made: EncoderStage
    if request.param == "whisper_ctc":
        torch.manual_seed(0)
        made = BlockStage(WhisperCtc(CONFIG, WhisperTrunk(CONFIG), UnitHead(CONFIG)))
    elif request.param == "whisper_vq":
        made = BlockStage(random_encoder())
    else:
        made = S3Stage(random_network())
    yield made
    made.close()


def sound(seconds: float) -> Pcm:
    rng, time = np.random.default_rng(5), np.arange(round(seconds * 16_000)) / 16_000
    return (0.3 * np.sin(900 * time * (1 + time % 2)) + 0.1 * rng.standard_normal(time.size)).astype(np.float32)


async def heard(stage: EncoderStage, pieces: list[Pcm | Peek]) -> list[int]:
    async def each() -> AsyncIterator[Pcm | Peek]:
        for piece in pieces:
            yield piece

    async with aclosing(stage.encode(each())) as units:
        return [unit async for some in units for unit in some]


@pytest.mark.parametrize("cut_s", [0.0, 0.13, 1.0, 2.3])
async def test_a_peek_is_the_speech_so_far_and_changes_nothing(stage: EncoderStage, cut_s: float) -> None:
    pcm, cut = sound(2.6), round(cut_s * 16_000)
    seen: list[list[int]] = []

    async def each() -> AsyncIterator[Pcm | Peek]:
        for start in range(0, cut, 1600):
            yield pcm[start : min(cut, start + 1600)]
        yield Peek(lambda tail: seen.append([*told, *tail]))
        yield pcm[cut:]

    told: list[int] = []
    async with aclosing(stage.encode(each())) as units:
        async for some in units:
            told += some
    assert seen == [await heard(stage, [pcm[:cut]]) if cut else []]
    assert told == await heard(stage, [pcm])


async def test_units_that_were_committed_early_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.encoders.s3.early.LONGEST_S", 1e9)  # however slow the machine is
    pcm, told, seen = sound(2.6), list[int](), list[tuple[list[int], list[int]]]()
    stage = S3Stage(random_network(), early=ALWAYS)

    async def each() -> AsyncIterator[Pcm | Peek]:
        for start in range(0, pcm.size, 3200):
            yield pcm[start : start + 3200]
            for _ in range(5):
                await asyncio.sleep(0)
            while stage.busy:
                await asyncio.sleep(0.001)
        yield Peek(lambda tail: seen.append(([*told], tail)))

    async with aclosing(stage.encode(each())) as units:
        async for some in units:
            told += some
    ((before, tail),) = seen
    assert before and [*before, *tail] == told
    stage.close()


async def test_an_utterance_that_may_be_over(stage: EncoderStage) -> None:
    pcm = sound(1.8)
    live, seen, late = UtteranceEncoding(), UtteranceEncoding(), UtteranceEncoding()
    live.push(pcm[:16_000])
    live.peek(seen)
    live.push(pcm[16_000:])
    live.close()
    await live.run(stage)
    live.peek(late)
    assert seen.ended and list(seen.so_far) == await heard(stage, [pcm[:16_000]])
    assert late.ended and late.so_far == live.so_far == tuple(await heard(stage, [pcm]))


async def test_a_peek_fails_with_its_utterance(stage: EncoderStage) -> None:
    stage.close()
    live, seen = UtteranceEncoding(), UtteranceEncoding()
    live.push(sound(1.0))
    live.peek(seen)
    await live.run(stage)
    with pytest.raises(Exception, match=r"stopped|closed|unavailable"):
        _ = [units async for units in seen.units()]
