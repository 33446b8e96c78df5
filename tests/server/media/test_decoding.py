"""Decoding in processes of their own: what a recording that asks for too much does, and to whom."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import numpy as np
import pytest

from server.media import decoder_process
from server.media.decode import Declared
from server.media.decoding import Decode, DecoderProcess, Decoding, decode_here
from streaming.errors import InvalidRequest, UnsupportedMedia
from streaming.stages import Pcm
from tests.server.front import recording, tone
from tests.server.media.bombs import claims_samples


@pytest.fixture(scope="module")
def decoder() -> Iterator[DecoderProcess]:
    decoder = DecoderProcess()
    yield decoder
    decoder.close()


def test_what_a_process_decodes_is_what_is_decoded_here(decoder: DecoderProcess) -> None:
    data = recording(tone(2.0, 44_100, 2), 44_100, "FLAC")
    assert np.array_equal(decoder(data, Declared(), max_s=30), decode_here(data, Declared(), max_s=30))


def test_its_errors_are_those_of_decoding_here(decoder: DecoderProcess) -> None:
    for data, declared in ((b"", Declared()), (b"nonsense", Declared()), (b"nonsense", Declared("text/plain"))):
        with pytest.raises(InvalidRequest) as here:
            decode_here(data, declared, max_s=30)
        with pytest.raises(InvalidRequest) as there:
            decoder(data, declared, max_s=30)
        assert (type(there.value), there.value.body()) == (type(here.value), here.value.body())
    assert isinstance(there.value, UnsupportedMedia)


def test_a_signal_to_all_processes_is_for_the_gateway(decoder: DecoderProcess) -> None:
    data = recording(tone(1.0))
    decoder(data, Declared(), max_s=30)
    pid = decoder.start().pid
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(pid, number)
    assert decoder(data, Declared(), max_s=30).size
    assert decoder.start().pid == pid


def test_a_container_that_claims_millions_of_samples_is_refused_for_itself_alone(decoder: DecoderProcess) -> None:
    with pytest.raises(InvalidRequest) as refused:
        decoder(claims_samples(20_000_000), Declared(), max_s=30)
    assert refused.value.code in ("audio_too_complex", "audio_unreadable", "audio_empty")
    with open(f"/proc/{decoder.start().pid}/status", encoding="utf-8") as status:
        [peak_kb] = [int(line.split()[1]) for line in status if line.startswith("VmHWM")]
    assert peak_kb << 10 < decoder_process.MEMORY_BYTES  # in this process it takes 700 MB
    assert decoder(recording(), Declared(), max_s=30).size == 16_000


def test_a_process_that_dies_under_a_recording_is_replaced(decoder: DecoderProcess) -> None:
    os.kill(decoder.start().pid, signal.SIGSTOP)
    killer = threading.Timer(0.05, decoder.kill)
    killer.start()
    with pytest.raises(InvalidRequest) as refused:
        decoder(recording(), Declared(), max_s=30)
    assert refused.value.code == "audio_too_complex"
    assert decoder(recording(), Declared(), max_s=30).size == 16_000


def test_the_process_is_lean_and_knows_no_secrets(decoder: DecoderProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CSLM_API_KEY", "secret")
    decoder.close()
    decoder(recording(), Declared(), max_s=30)
    process = f"/proc/{decoder.start().pid}"
    with open(f"{process}/environ", encoding="utf-8") as environ, open(f"{process}/maps", encoding="utf-8") as maps:
        assert "CSLM" not in environ.read()
        assert not [name for name in ("torch", "onnxruntime", "pydantic_core") if name in maps.read()]
    with open(f"{process}/limits", encoding="utf-8") as limits:
        told = {line[:26].strip(): line[26:].split()[0] for line in limits}
    assert int(told["Max address space"]) < decoder_process.MEMORY_BYTES * 3
    assert told["Max file size"] == "0"
    assert int(told["Max cpu time"]) < 60


@pytest.mark.parametrize("declared", [True, False])
def test_channels_and_rate_count_against_the_duration(declared: bool) -> None:
    """A header that tells the length is refused by it; samples without one are counted."""
    pcm = np.zeros((2 * 192_000, 8), np.float32)
    if declared:
        data, what = recording(pcm, 192_000, "FLAC"), Declared()
    else:
        data, what = pcm.tobytes(), Declared("audio/pcm", "pcm_f32le", 192_000, 8)
    assert decode_here(data, what, max_s=10).size
    with pytest.raises(InvalidRequest) as refused:
        decode_here(data, what, max_s=2.5)
    assert refused.value.code == "audio_too_complex"


class Gate:
    """A decoder that waits."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def __call__(self, data: bytes, declared: Declared, *, max_s: float) -> Pcm:
        self.opened.wait()
        return np.zeros(1, np.float32)


@pytest.fixture
async def gated() -> AsyncGenerator[tuple[Decoding, Gate]]:
    gate = Gate()
    decoding = Decoding(10, lambda: gate)
    async with decoding.opened():
        yield decoding, gate
        gate.opened.set()


def ask(decode: Decode, data: bytes) -> int:
    return decode(data, Declared(), max_s=1).size


async def test_long_recordings_do_not_hold_up_short_ones(gated: tuple[Decoding, Gate]) -> None:
    decoding, gate = gated
    long = [asyncio.create_task(decoding.run(600, ask, b"")) for _ in range(5)]
    await asyncio.sleep(0)
    assert await decoding.run(30, lambda decode: "short") == "short"
    gate.opened.set()
    assert await asyncio.gather(*long) == [1] * 5


async def test_a_recording_that_takes_too_long_is_refused_and_its_lane_comes_back() -> None:
    gate = Gate()
    decoding = Decoding(0.05, lambda: gate)
    async with decoding.opened():
        for _ in range(2):
            with pytest.raises(InvalidRequest) as refused:
                await decoding.run(30, ask, b"")
            assert refused.value.code == "audio_too_complex"
        gate.opened.set()
        decoding._limit_s = 10
        assert await decoding.run(30, ask, b"") == 1


async def test_a_client_that_leaves_ends_the_decoder_of_its_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    decoding = Decoding(10)
    decoders: list[DecoderProcess] = []

    def stopped(decode: Any) -> int:
        decoders.append(decode)
        os.kill(decode.start().pid, signal.SIGSTOP)
        return ask(decode, recording())

    async with decoding.opened():
        running = asyncio.create_task(decoding.run(30, stopped))
        while not decoders or decoders[0]._process is None:
            await asyncio.sleep(0.01)
        process = decoders[0]._process
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()
        assert await asyncio.to_thread(process.wait) == -signal.SIGKILL
