"""Recordings of any kind as frames that are ready to send."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from clients.errors import UnreadableRecording, UnwritableOutput
from clients.realtime import RATE_HZ
from clients.recordings import (
    FRAME_BYTES,
    Recording,
    check_format,
    check_writable,
    read_recording,
    read_recordings,
    speech_end,
    write_recording,
)
from server.media.encode import open_writer


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000, 44_100, 192_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_and_channels_become_mono_at_24_khz(tmp_path: Path, rate_hz: int, channels: int) -> None:
    tone = np.sin(2 * np.pi * 300 * np.arange(rate_hz) / rate_hz) * 0.5
    soundfile.write(tmp_path / "a.wav", np.stack([tone] * channels, axis=1), rate_hz)
    recording = read_recording(tmp_path / "a.wav")
    samples = np.frombuffer(recording.pcm, np.int16)
    assert recording.duration_s == pytest.approx(1.0, abs=0.001)
    assert np.abs(samples).max() == pytest.approx(0.5 * 32767, rel=0.05)
    assert np.abs(np.fft.rfft(samples)).argmax() == 300


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
def test_compressed_files_are_read_and_written(tmp_path: Path, suffix: str) -> None:
    pcm = (np.sin(np.arange(RATE_HZ) / 10) * 9000).astype(np.int16).tobytes()
    write_recording(tmp_path / f"a.{suffix}", pcm)
    assert read_recording(tmp_path / f"a.{suffix}").duration_s == pytest.approx(1.0, abs=0.15)


def test_a_flac_whose_header_does_not_say_how_long_it_is(tmp_path: Path) -> None:
    writer = open_writer("flac", RATE_HZ)
    (tmp_path / "a.flac").write_bytes(writer.push(np.full(RATE_HZ, 0.1, np.float32)) + writer.finish())
    assert read_recording(tmp_path / "a.flac").duration_s == pytest.approx(1.0)


def test_opposite_polarity_is_not_lost(tmp_path: Path) -> None:
    tone = np.sin(2 * np.pi * 300 * np.arange(RATE_HZ) / RATE_HZ) * 0.5
    soundfile.write(tmp_path / "a.wav", np.stack([tone, -tone], axis=1), RATE_HZ)
    assert np.abs(np.frombuffer(read_recording(tmp_path / "a.wav").pcm, np.int16)).max() > 16_000


def test_wav_survives_unchanged(tmp_path: Path) -> None:
    pcm = np.arange(-500, 500, dtype=np.int16).tobytes()
    write_recording(tmp_path / "a.wav", pcm)
    assert soundfile.read(tmp_path / "a.wav", dtype="int16")[0].tobytes() == pcm


def test_messages_hold_the_audio_in_frames_of_20_ms() -> None:
    pcm = np.arange(1000, dtype=np.int16).tobytes()
    frames = [base64.b64decode(json.loads(message)["audio"]) for message in Recording("a", pcm).messages]
    assert {len(frame) for frame in frames} == {FRAME_BYTES}
    assert b"".join(frames) == pcm + bytes(3 * FRAME_BYTES - len(pcm))


@pytest.mark.parametrize(
    ("loud", "silent", "frames"), [(960, 0, 2), (960, 4800, 2), (961, 960, 3), (0, 960, 2), (1, 0, 1)]
)
def test_the_end_of_speech_is_found_in_front_of_silence(loud: int, silent: int, frames: int) -> None:
    samples = np.concatenate([np.full(loud, 8000), np.zeros(silent)]).astype(np.int16)
    assert speech_end(samples, 480) == frames


def test_noise_behind_speech_is_no_speech() -> None:
    noise = np.random.default_rng(0).normal(0, 20, 24_000)
    samples = noise.copy()
    samples[:4800] += 8000 * np.sin(np.arange(4800) / 5)
    assert speech_end(samples.astype(np.int16), 480) == 10


def test_what_is_no_recording_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("hello")
    (tmp_path / "empty.wav").touch()
    soundfile.write(tmp_path / "nothing.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), 8000, subtype="FLOAT")
    for name in ("text.wav", "empty.wav", "nothing.wav", "nan.wav", "missing.wav"):
        with pytest.raises(UnreadableRecording, match=name):
            read_recording(tmp_path / name)


def test_directories_give_their_sound_files_in_order(tmp_path: Path, wav: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"")
    write_recording(tmp_path / "a.flac", bytes(4800))
    (tmp_path / "notes.txt").write_text("no sound")
    assert [recording.name for recording in read_recordings([tmp_path])] == ["a.flac", "question.wav"]


def test_no_recordings_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableRecording, match="no recordings"):
        read_recordings([tmp_path])


def test_outputs_that_cannot_be_written_are_named_before(tmp_path: Path) -> None:
    with pytest.raises(UnwritableOutput, match="cannot write"):
        check_writable(tmp_path / "missing" / "a.wav")
    with pytest.raises(UnwritableOutput, match="cannot write"):
        check_writable(tmp_path)
    with pytest.raises(UnwritableOutput, match="suffix"):
        check_format(tmp_path / "a.doc")
    check_writable(tmp_path / "a.wav")
    check_format(tmp_path / "a.WAV")
