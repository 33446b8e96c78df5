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
from model.vocoders.source_filter.decoder import SourceFilterVocoder
from model.vocoders.worker import VocoderWorker
from streaming.errors import BundleError, EngineUnavailable
from streaming.stages import Pcm, UnitCut

BUNDLE = find_bundle("cslm-mini")
UNITS = list(range(5, 45))


@pytest.fixture
async def worker() -> AsyncGenerator[VocoderWorker]:
    worker = VocoderWorker(BUNDLE.vocoder_kind, BUNDLE.vocoder, BUNDLE.profile.output_sample_rate_hz)
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


async def test_after_its_death_turns_fail_and_the_next_are_served(worker: VocoderWorker) -> None:
    async def deadly() -> AsyncIterator[UnitCut]:
        yield UnitCut(UNITS)
        assert worker._process is not None
        for process in worker._process._processes.values():
            os.kill(process.pid or 0, signal.SIGKILL)
        yield UnitCut(UNITS, final=True)

    with pytest.raises(EngineUnavailable) as caught:
        async for _ in worker.synthesize(deadly()):
            pass
    assert caught.value.retryable
    assert (await spoken(worker, [UNITS])).size


async def test_weights_that_cannot_be_loaded_again_are_tried_until_they_can(
    worker: VocoderWorker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kind, directory, *rest = worker._weights
    worker._weights = (kind, tmp_path, *rest)
    assert worker._process is not None
    for process in worker._process._processes.values():
        os.kill(process.pid or 0, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(EngineUnavailable):
            await spoken(worker, [UNITS])
        assert worker.fault()
    worker._weights = (kind, directory, *rest)
    while worker.fault():
        await asyncio.sleep(0.1)
    assert (await spoken(worker, [UNITS])).size
    assert "vocoder cannot be loaded again" in caplog.text


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


async def test_closing_ends_the_turns_that_wait(worker: VocoderWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = asyncio.Event()

    async def never(*arguments: object) -> list[Pcm]:
        begun.set()
        return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(worker, "_call", never)
    turns = [asyncio.create_task(spoken(worker, [UNITS])) for _ in range(3)]
    await begun.wait()
    await worker.close()
    for outcome in await asyncio.gather(*turns, return_exceptions=True):
        assert isinstance(outcome, EngineUnavailable)
    with pytest.raises(EngineUnavailable, match="stopped"):
        await spoken(worker, [UNITS])


async def test_weights_of_another_shape_stop_the_start_and_are_named(tmp_path: Path) -> None:
    vocoder = shutil.copytree(BUNDLE.vocoder, tmp_path / "vocoder")
    config = json.loads((vocoder / "config.json").read_text(encoding="utf-8"))
    (vocoder / "config.json").write_text(json.dumps(config | {"unit_width": 128}), encoding="utf-8")
    worker = VocoderWorker(BUNDLE.vocoder_kind, vocoder, 24_000)
    try:
        with pytest.raises(BundleError, match=r"vocoder\.safetensors: acoustics\..* expected") as caught:
            await worker.start()
    finally:
        await worker.close()
    assert caught.value.code == "bundle_invalid"
