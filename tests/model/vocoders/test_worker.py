"""The vocoder's process: same audio as in this one, order by urgency, cancellation, death."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from model.bundle import find_bundle
from model.vocoders import VocoderKind
from model.vocoders.process import VocoderProcess
from model.vocoders.source_filter.decoder import SourceFilterVocoder
from model.vocoders.worker import VocoderWorker
from model.workers.worker import Worker
from streaming.errors import BundleError, EngineUnavailable
from streaming.stages import Pcm, UnitCut

BUNDLE = find_bundle("cslm-mini")
UNITS = list(range(5, 45))
LONG = [5 + 7 * number % 230 for number in range(110)]


@pytest.fixture
async def worker() -> AsyncGenerator[VocoderWorker]:
    worker = VocoderWorker(VocoderProcess(BUNDLE.vocoder_kind, BUNDLE.vocoder), BUNDLE.profile.output_sample_rate_hz)
    await worker.start()
    yield worker
    await worker.close()


async def cuts(pieces: Sequence[Sequence[int]]) -> AsyncIterator[UnitCut]:
    for number, piece in enumerate(pieces):
        yield UnitCut(piece, final=number == len(pieces) - 1)


async def spoken(worker: VocoderWorker, pieces: Sequence[Sequence[int]]) -> Pcm:
    return np.concatenate([pcm async for pcm in worker.synthesize(cuts(pieces))])


async def test_streams_side_by_side_give_what_offline_gives(worker: VocoderWorker) -> None:
    offline = SourceFilterVocoder.load(BUNDLE.vocoder).decode(UNITS)
    first, second = await asyncio.gather(
        spoken(worker, [UNITS[:6], UNITS[6:30], UNITS[30:]]), spoken(worker, [UNITS[:1], UNITS[1:], []])
    )
    for streamed in (first, second):
        assert streamed.size == offline.size
        assert np.abs(streamed - offline).max() <= 1e-4


async def test_a_closed_stream_leaves_the_others_alone(worker: VocoderWorker) -> None:
    async with aclosing(worker.synthesize(cuts([UNITS, UNITS]))) as stream:
        await anext(stream)
    assert (await spoken(worker, [UNITS])).size


def kill(worker: VocoderWorker, by: signal.Signals = signal.SIGKILL) -> None:
    """Hurt the process that speaks."""
    serving = worker._decoding.serving
    assert isinstance(serving, Worker)
    os.kill(serving.pid, by)


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("standby", [False, True])
async def test_a_turn_outlives_the_process_and_every_sample_is_as_if_nothing_had_been(
    by: signal.Signals, standby: bool
) -> None:
    offline = SourceFilterVocoder.load(BUNDLE.vocoder).decode(LONG)
    process = VocoderProcess(BUNDLE.vocoder_kind, BUNDLE.vocoder, standby=standby)
    worker = VocoderWorker(process, BUNDLE.profile.output_sample_rate_hz)
    await worker.start()

    async def deadly() -> AsyncIterator[UnitCut]:
        yield UnitCut(LONG[:7])
        yield UnitCut(LONG[7:60])
        kill(worker, by)
        yield UnitCut(LONG[60:80])
        kill(worker)
        yield UnitCut(LONG[80:], final=True)

    try:
        heard = np.concatenate([pcm async for pcm in worker.synthesize(deadly())])
        assert sum(worker.state().restarts.values()) == 2
    finally:
        await worker.close()
    assert heard.size == offline.size
    assert np.abs(heard - offline).max() <= 1e-4


async def test_a_death_while_idle_costs_the_next_turn_nothing_to_ask_for(worker: VocoderWorker) -> None:
    kill(worker)
    while not worker.state().restarts:
        await asyncio.sleep(0.01)
    while worker.fault():
        await asyncio.sleep(0.01)
    assert (await spoken(worker, [UNITS])).size


class Deadly:
    """A vocoder whose process dies of one unit."""

    sample_rate, voices, batch = 24_000, ("default",), 4

    def open(self, voice: str | None = None) -> list[int]:
        return []

    def push_all(self, jobs: Sequence[tuple[list[int], Sequence[int], bool]]) -> list[Pcm]:
        for _, units, _ in jobs:
            if 13 in units:
                os.kill(os.getpid(), signal.SIGKILL)
        return [np.full(10 * len(units), 0.5, np.float32) for _, units, _ in jobs]

    def decode(self, units: Sequence[int]) -> Pcm:
        return np.zeros(0, np.float32)


def load_deadly(directory: Path, device: str) -> Deadly:
    return Deadly()


async def test_a_cut_that_kills_every_process_takes_only_its_own_turn_along() -> None:
    worker = VocoderWorker(VocoderProcess(VocoderKind(load_deadly, {}), BUNDLE.vocoder, standby=True), 24_000)
    await worker.start()
    try:
        turns = [spoken(worker, [[1, 2], [3, unit]]) for unit in (13, 4, 5, 6)]
        lost, *others = await asyncio.gather(*turns, return_exceptions=True)
    finally:
        await worker.close()
    assert isinstance(lost, EngineUnavailable)
    assert [other.size for other in others if not isinstance(other, BaseException)] == [40, 40, 40]


async def test_weights_that_cannot_be_loaded_again_are_tried_until_they_can(tmp_path: Path) -> None:
    directory = shutil.copytree(BUNDLE.vocoder, tmp_path / "vocoder")
    worker = VocoderWorker(VocoderProcess(BUNDLE.vocoder_kind, directory), 24_000)
    await worker.start()
    try:
        directory.rename(tmp_path / "elsewhere")
        kill(worker)
        while worker.state().restarts.get("failed", 0) < 2:
            assert worker.fault() or not worker.state().restarts
            await asyncio.sleep(0.05)
        (tmp_path / "elsewhere").rename(directory)
        assert (await spoken(worker, [UNITS])).size
        assert worker.fault() is None
    finally:
        await worker.close()


async def test_the_cut_nearest_to_underrun_is_served_first(worker: VocoderWorker) -> None:
    served: list[str] = []

    async def one(name: str, buffered_s: float) -> None:
        async def cut() -> AsyncIterator[UnitCut]:
            yield UnitCut(UNITS, final=True, buffered_s=buffered_s)

        async for _ in worker.synthesize(cut()):
            served.append(name)

    async with asyncio.TaskGroup() as tasks:
        for name, buffered_s in (("busy", 0.0), ("relaxed", 5.0), ("urgent", 0.1)):
            tasks.create_task(one(name, buffered_s))
    assert served.index("urgent") < served.index("relaxed")


async def test_closing_ends_the_turns_that_wait(worker: VocoderWorker) -> None:
    kill(worker, signal.SIGSTOP)
    turns = [asyncio.create_task(spoken(worker, [UNITS])) for _ in range(3)]
    await asyncio.sleep(0)
    await worker.close()
    for outcome in await asyncio.gather(*turns, return_exceptions=True):
        assert isinstance(outcome, EngineUnavailable)
    with pytest.raises(EngineUnavailable, match="stopped"):
        await spoken(worker, [UNITS])


async def test_weights_of_another_shape_stop_the_start_and_are_named(tmp_path: Path) -> None:
    vocoder = shutil.copytree(BUNDLE.vocoder, tmp_path / "vocoder")
    config = json.loads((vocoder / "config.json").read_text(encoding="utf-8"))
    (vocoder / "config.json").write_text(json.dumps(config | {"unit_width": 128}), encoding="utf-8")
    worker = VocoderWorker(VocoderProcess(BUNDLE.vocoder_kind, vocoder), 24_000)
    try:
        with pytest.raises(BundleError, match=r"vocoder\.safetensors: acoustics\..* expected") as caught:
            await worker.start()
    finally:
        await worker.close()
    assert caught.value.code == "bundle_invalid"
