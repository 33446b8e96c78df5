"""What of its stages a server uses, as its sessions see it; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from streaming.load import FULL, Load, Meter, Stage
from streaming.stages import Pcm, Peek, Sampling, UnitCut
from tests.fakes import UNITS, FakeDecoder, FakeEncoder, FakeLM, fake_stages, in_pieces


@dataclass
class Clock:
    """Time that passes when it is told to."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Slow:
    """A stage of each kind that takes `takes_s` for each piece, on `clock`."""

    clock: Clock
    takes_s: float
    sample_rate: int = 24_000
    closed: list[str] = field(default_factory=list[str])

    async def encode(self, audio: AsyncIterator[Pcm | Peek]) -> AsyncGenerator[list[int]]:
        try:
            async for _ in audio:
                self.clock.now_s += self.takes_s
                yield [1]
            self.clock.now_s += self.takes_s
            yield [2]
        finally:
            self.closed.append("encoder")

    async def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        try:
            for token in range(50):
                self.clock.now_s += self.takes_s
                yield [token]
        finally:
            self.closed.append("lm")

    async def synthesize(self, cuts: AsyncIterator[UnitCut]) -> AsyncGenerator[Pcm]:
        try:
            async for cut in cuts:
                self.clock.now_s += self.takes_s
                yield np.zeros(len(cut.units) * self.sample_rate // 10, np.float32)
        finally:
            self.closed.append("decoder")


def metered(takes_s: float) -> tuple[Load, Any, Slow, Clock]:
    """A load, its stages, what is behind them, and their clock."""
    clock = Clock()
    slow, load = Slow(clock, takes_s), Load(clock)
    return load, load.metered(fake_stages(encoder=slow, lm=slow, decoder=slow)), slow, clock


async def cuts(clock: Clock, number: int, *, every_s: float, buffered_s: float) -> AsyncGenerator[UnitCut]:
    """One second of speech each."""
    for _ in range(number):
        clock.now_s += every_s
        yield UnitCut(range(10), buffered_s=buffered_s)


async def audio(clock: Clock, seconds: int, *, every_s: float) -> AsyncGenerator[Pcm]:
    """A second at a time."""
    for _ in range(seconds):
        clock.now_s += every_s
        yield np.zeros(16_000, np.float32)


async def drained(generator: AsyncGenerator[Any], then: Callable[[], object] = lambda: None) -> None:
    async with aclosing(generator) as pieces:
        async for _ in pieces:
            then()


@pytest.mark.parametrize("takes_s", [0.05, 0.5])
async def test_a_stage_is_as_full_as_it_is_slow(takes_s: float) -> None:
    """The time in which nobody waits for it does not count: not that until its input comes, not that of its reader."""
    load, stages, _, clock = metered(takes_s)

    def idle() -> None:
        clock.now_s += 0.1

    await drained(stages.encoder.encode(audio(clock, 100, every_s=0.1)), idle)
    assert load.stages()["encoder"] * FULL["encoder"] == pytest.approx(takes_s, rel=0.4)
    await drained(stages.decoder.synthesize(cuts(clock, 100, every_s=0.1, buffered_s=2.0)), idle)
    assert load.stages()["vocoder"] * FULL["vocoder"] == pytest.approx(takes_s, rel=0.4)
    assert load.stages()["playback"] == 0.0


async def test_a_token_is_worth_as_much_speech_as_units_make() -> None:
    load, stages, _, clock = metered(0.04)
    await drained(stages.decoder.synthesize(cuts(clock, 200, every_s=0.0, buffered_s=9.0)))
    assert load.tokens_s == pytest.approx(1.25 * 10, rel=0.02)
    await drained(stages.lm.generate([1], Sampling()), lambda: None)
    assert load.stages()["language_model"] * FULL["language_model"] == pytest.approx(0.5, rel=0.5)


async def test_listeners_that_wait_fill_playback_but_not_before_the_first_sound() -> None:
    load, stages, _, clock = metered(0.5)
    await drained(stages.decoder.synthesize(cuts(clock, 1, every_s=0.0, buffered_s=0.0)))
    assert load.stages()["playback"] == 0.0
    await drained(stages.decoder.synthesize(cuts(clock, 20, every_s=0.5, buffered_s=0.4)))
    assert load.stages()["playback"] > 1.0


async def test_waiting_shows_before_it_is_over() -> None:
    clock = Clock()
    load = Load(clock)
    stages = load.metered(fake_stages(encoder=FakeEncoder(hang=True), lm=FakeLM(hang_after=0)))
    encoding = asyncio.create_task(drained(stages.encoder.encode(in_pieces(np.zeros(1600, np.float32)))))
    writing = asyncio.create_task(drained(stages.lm.generate([1], Sampling())))
    await asyncio.sleep(0.01)
    assert load.value() == 0.0
    clock.now_s += 10
    assert load.stages()["language_model"] > 1.0
    for task in (encoding, writing):
        task.cancel()
    await asyncio.wait({encoding, writing})
    clock.now_s += 60
    assert load.value() < 0.01


async def test_what_is_closed_is_closed_behind_it() -> None:
    load, stages, slow, clock = metered(0.1)
    for generator in (
        stages.encoder.encode(audio(clock, 5, every_s=0.0)),
        stages.lm.generate([1], Sampling()),
        stages.decoder.synthesize(cuts(clock, 5, every_s=0.0, buffered_s=1.0)),
    ):
        await anext(generator)
        await generator.aclose()
    assert slow.closed == ["encoder", "lm", "decoder"]
    clock.now_s += 100
    assert load.value() < 0.01, "nobody waits any more"


async def test_stages_give_what_they_gave() -> None:
    load = Load()
    bare, stages = fake_stages(), load.metered(fake_stages())
    pcm = np.linspace(0, 1, 16_000, dtype=np.float32)
    for encoder in (bare.encoder, stages.encoder):
        units = [unit async for piece in encoder.encode(in_pieces(pcm)) for unit in piece]
        assert len(units) > 10
    assert units == [unit async for piece in bare.encoder.encode(in_pieces(pcm)) for unit in piece]

    async def both() -> AsyncGenerator[UnitCut]:
        yield UnitCut(UNITS[:6])
        yield UnitCut(UNITS[6:], final=True)

    said = np.concatenate([piece async for piece in stages.decoder.synthesize(both())])
    assert np.array_equal(said, FakeDecoder().speak(UNITS))
    assert stages.decoder.sample_rate == 24_000


def test_one_who_is_stuck_does_not_fill_a_stage_that_serves_others() -> None:
    meter = Meter()
    meter.begin("stuck", 0.0)
    for second in range(1, 101):
        meter.add(float(second), waited_s=0.3, speech_s=3.0)  # three others, each of whom waits a tenth of the time
    assert meter.value(100.0) < 0.5
    meter.end("stuck", 100.0)
    assert meter.value(100.0) < 0.5


def test_many_who_are_stuck_fill_it() -> None:
    meter = Meter()
    for number in range(5):
        meter.begin(number, 0.0)
    meter.add(3.0, waited_s=0.3, speech_s=3.0)
    assert meter.value(3.0) > 1.0


def test_one_bad_gap_is_over_soon() -> None:
    meter = Meter(0.02)
    meter.add(0.0, waited_s=5.0, speech_s=1.0)
    assert meter.value(0.0) == pytest.approx(2.0)
    for second in range(1, 9):
        meter.add(float(second), speech_s=1.0)
    assert meter.value(8.0) < 0.7


def test_a_meter_forgets() -> None:
    meter = Meter()
    meter.add(0.0, waited_s=10.0, speech_s=10.0)
    assert meter.value(0.0) == pytest.approx(10 / 12)
    assert meter.value(30.0) < 0.02


def test_every_stage_has_its_measure() -> None:
    assert set(Load().stages()) == set(FULL) == set(Stage.__args__)
