"""The vocoder in its process: several sessions at once, each with its voice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from model.kinds import vocoder_kind
from model.vocoders.flow_hift.decoder import FlowHiftVocoder
from model.vocoders.flow_hift.small import VOICES
from model.vocoders.process import VocoderProcess
from model.vocoders.streams import Cut, Failure, Streams
from model.vocoders.worker import VocoderWorker
from streaming.errors import BundleError
from streaming.stages import Pcm, UnitCut


async def cuts(units: Sequence[int], size: int, voice: str | None) -> AsyncIterator[UnitCut]:
    for at in range(0, len(units), size):
        yield UnitCut(units[at : at + size], final=at + size >= len(units), voice=voice)


async def spoken(worker: VocoderWorker, units: Sequence[int], size: int, voice: str | None) -> Pcm:
    return np.concatenate([pcm async for pcm in worker.synthesize(cuts(units, size, voice))])


async def test_sessions_share_the_process(weights: Path, vocoder: FlowHiftVocoder) -> None:
    worker = VocoderWorker(VocoderProcess(vocoder_kind("flow_hift"), weights), 22_050)
    await worker.start()
    try:
        units = list(range(100, 150))
        heard = await asyncio.gather(
            spoken(worker, units, 6, None),
            spoken(worker, units, 25, VOICES[1]),
            spoken(worker, units[:30], 7, VOICES[0]),
        )
    finally:
        await worker.close()
    for pcm, (line, voice) in zip(heard, [(units, None), (units, VOICES[1]), (units[:30], VOICES[0])], strict=True):
        wanted = vocoder.decode(line, voice)
        assert pcm.size == wanted.size
        assert np.sqrt(np.mean((pcm - wanted) ** 2)) <= 0.02 * np.sqrt(np.mean(wanted**2))


async def test_a_broken_file_stops_the_start_and_is_named(tmp_path: Path) -> None:
    worker = VocoderWorker(VocoderProcess(vocoder_kind("flow_hift"), tmp_path), 22_050)
    try:
        with pytest.raises(BundleError, match=r"flow\.pt is missing"):
            await worker.start()
    finally:
        await worker.close()


def test_check_says_what_is_wrong(weights: Path) -> None:
    look = vocoder_kind("flow_hift").checks["vocoder"]

    class Wanted:
        output_sample_rate_hz, n_units, voices = 22_050, 4096, ("英文女",)

    assert "durations are predicted" in look(weights, Wanted())  # type: ignore[arg-type]
    Wanted.voices = ("nobody",)
    with pytest.raises(BundleError, match="nobody"):
        look(weights, Wanted())  # type: ignore[arg-type]
    Wanted.n_units, Wanted.voices = 100, ("英文女",)
    with pytest.raises(BundleError, match="4096 units"):
        look(weights, Wanted())  # type: ignore[arg-type]


def test_one_bad_stream_fails_only_itself(vocoder: FlowHiftVocoder) -> None:
    streams, units = Streams(vocoder), list(range(60))
    begun = streams.decode([Cut(1, None, units[:30], False), Cut(2, VOICES[1], units[:30], False)])
    batch = [
        Cut(1, None, units[30:], True),
        Cut(2, VOICES[1], [10**6], False),
        Cut(3, "nobody", units, True),
        Cut(4, VOICES[1], units, True),
    ]
    rest, failed, refused, whole = streams.decode(batch)
    assert isinstance(failed, Failure)
    assert failed.error.retryable
    assert "1000000" in failed.trace
    assert isinstance(refused, Failure)
    assert "nobody" in refused.error.message
    assert not refused.trace
    np.testing.assert_allclose(np.concatenate([begun[0], rest]), vocoder.decode(units), atol=1e-4)
    np.testing.assert_allclose(whole, vocoder.decode(units, VOICES[1]), atol=1e-4)
    assert not streams._states
