"""Answers in every form, read by other libraries than the one that writes them."""

from __future__ import annotations

import hashlib
import io
import wave
from base64 import b64encode
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from server.media.decode import Declared, identify, sniff
from server.media.encode import open_writer
from streaming.audio import pcm16_to_float
from tests.chromium import open_page
from tests.server.front import tone
from tests.server.media.decoded import assert_tone, read


def written(kind: str, pcm: np.ndarray, rate: int, cut: int, *, whole: bool = False) -> list[bytes]:
    writer = open_writer(kind, rate, whole=whole)  # type: ignore[arg-type]
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


@pytest.mark.parametrize("kind", ["wav", "pcm", "flac", "mp3", "opus", "aac"])
def test_a_whole_file_comes_at_the_end_and_says_how_long_it_is(kind: str) -> None:
    pcm = tone(2.0, 24_000)
    *early, data = written(kind, pcm, 24_000, 2400, whole=True)
    assert not any(early)
    declared = Declared("audio/pcm;rate=24000") if kind == "pcm" else Declared()
    assert_tone(read(data, declared)[:16_000])
    if kind in ("pcm", "aac"):  # which have no header, and no place in libsndfile
        return
    known = soundfile.info(io.BytesIO(data))
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    assert (known.samplerate, rate) == (24_000, 24_000)
    assert known.frames == samples.size == pytest.approx(pcm.size, abs=1 if kind in ("wav", "flac", "opus") else 2400)


def test_a_whole_flac_has_the_checksum_of_its_samples() -> None:
    """What `flac --test` compares: STREAMINFO ends with the MD5 of the samples (RFC 9639, 8.2)."""
    pcm = tone(1.0, 24_000)
    data = written("flac", pcm, 24_000, 999, whole=True)[-1]
    samples = b"".join(written("pcm", pcm, 24_000, 999))
    assert data[8 + 18 : 8 + 34] == hashlib.md5(samples).digest()


def test_a_whole_wav_has_its_length_in_the_header() -> None:
    data = written("wav", tone(0.5, 24_000), 24_000, 100, whole=True)[-1]
    with wave.open(io.BytesIO(data)) as reader:
        assert reader.getnframes() == 12_000


def test_a_browser_reads_every_format(tmp_path: Path) -> None:
    """Files that came piece by piece, and whole ones."""
    files = {
        f"{kind}{' whole' * whole}": b64encode(b"".join(written(kind, tone(1.0, 24_000), 24_000, 2400, whole=whole)))
        for kind in ("wav", "flac", "mp3", "opus", "aac")
        for whole in (False, True)
    }
    (tmp_path / "page.html").write_text("<!doctype html><title>Sounds</title>")
    decoded = """files => Promise.all(Object.entries(files).map(async ([name, file]) => {
        const bytes = Uint8Array.from(atob(file), each => each.charCodeAt(0)).buffer
        const audio = await new OfflineAudioContext(1, 1, 24000).decodeAudioData(bytes)
        return [name, audio.duration, Math.max(...audio.getChannelData(0).slice(4800, 19200))]
    }))"""
    with open_page((tmp_path / "page.html").as_uri()) as page:
        found = page.evaluate(decoded, {name: data.decode() for name, data in files.items()})
    for name, seconds, peak in found:
        assert seconds == pytest.approx(1.0, abs=0.1), name
        assert peak == pytest.approx(0.5, abs=0.05), name
