"""Answers in every form, read by other libraries than the one that writes them."""

from __future__ import annotations

import io
import wave

import av
import numpy as np
import pytest
import soundfile

from server.media.decode import Declared, identify, sniff
from server.media.encode import open_writer
from streaming.audio import pcm16_to_float
from tests.server.front import tone
from tests.server.media.decoded import assert_tone, read


def written(kind: str, pcm: np.ndarray, rate: int, cut: int) -> list[bytes]:
    writer = open_writer(kind, rate)  # type: ignore[arg-type]
    pieces = [writer.push(pcm[start : start + cut]) for start in range(0, pcm.size, cut)]
    return [*pieces, writer.finish()]


@pytest.mark.parametrize("kind", ["wav", "pcm", "flac", "mp3", "opus"])
@pytest.mark.parametrize("rate", [24_000, 22_050])
def test_an_answer_streams_and_is_whole(kind: str, rate: int) -> None:
    pcm = tone(2.0, rate)
    pieces = written(kind, pcm, rate, rate // 10)
    assert sum(map(bool, pieces[:10])) >= 4, "the first second leaves before the second"
    data = b"".join(pieces)
    declared = Declared(f"audio/pcm;rate={rate}") if kind == "pcm" else Declared()
    heard = read(data, declared)
    slack_s = 0.08 if kind in ("mp3", "opus") else 1e-3
    assert abs(heard.size / 16_000 - 2.0) < slack_s
    assert_tone(heard[:16_000])


@pytest.mark.parametrize("kind", ["wav", "pcm", "flac"])
def test_lossless_answers_are_the_same_for_any_cut(kind: str) -> None:
    pcm = tone(0.7, 24_000)
    one, many = (b"".join(written(kind, pcm, 24_000, cut)) for cut in (pcm.size, 337))
    assert one == many
    if kind == "flac":
        source = identify(one, Declared())
        assert source.name == "flac"
        with av.open(io.BytesIO(one)) as container:
            samples = np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(audio=0)])
        np.testing.assert_array_equal(
            samples / np.float32(32768), pcm16_to_float(b"".join(written("pcm", pcm, 24_000, 99)))
        )


def test_a_streamed_wav_is_read_by_others() -> None:
    pcm = tone(0.5, 24_000)
    data = b"".join(written("wav", pcm, 24_000, 100))
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    assert rate == 24_000
    np.testing.assert_allclose(samples, pcm, atol=1 / 32_000)
    with wave.open(io.BytesIO(data)) as reader:
        assert len(reader.readframes(reader.getnframes())) == 2 * pcm.size


@pytest.mark.parametrize("kind", ["wav", "pcm", "flac", "mp3", "opus"])
def test_an_answer_without_audio_is_still_a_file(kind: str) -> None:
    data = open_writer(kind, 24_000).finish()  # type: ignore[arg-type]
    assert (not data) if kind == "pcm" else sniff(data) is not None or kind == "mp3"
