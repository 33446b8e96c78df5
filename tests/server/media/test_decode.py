"""Recordings in every form, written by other libraries than the one that decodes them."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile

from server.media import decode as media
from server.media.decode import Declared, check_speech, sniff
from streaming.errors import SpeechServerError
from tests.fakes import FakeVoiceActivity
from tests.server.front import recording, tone
from tests.server.media.decoded import MAX_S, assert_tone, read


def code_of(data: bytes, declared: Declared | None = None) -> str:
    with pytest.raises(SpeechServerError) as failure:
        read(data, declared)
    return failure.value.code


def packed(kind: str, codec: str, rate: int = 48_000, seconds: float = 1.0) -> bytes:
    """A container that libsndfile does not write."""
    out = io.BytesIO()
    with av.open(out, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(seconds, rate)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        for part in (frame, None):
            for packet in stream.encode(part):
                container.mux(packet)
    return out.getvalue()


@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM"]
)
def test_every_kind_of_wav_sample_is_read(subtype: str) -> None:
    assert_tone(read(recording(subtype=subtype)))


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_rate_and_stereo_are_read(rate: int, channels: int) -> None:
    pcm = read(recording(tone(1.0, rate, channels), rate))
    assert_tone(pcm, slack_s=0.001)


@pytest.mark.parametrize(
    ("kind", "subtype"), [("FLAC", None), ("MP3", None), ("OGG", "OPUS"), ("OGG", "VORBIS"), ("AIFF", None)]
)
def test_containers_that_libsndfile_writes_are_read(kind: str, subtype: str | None) -> None:
    assert_tone(read(recording(tone(1.0, 48_000, 2), 48_000, kind, subtype)))


@pytest.mark.parametrize("kind", ["CAF", "AU", "W64", "RF64", "VOC", "IRCAM", "NIST", "SVX"])
def test_other_files_of_samples_are_read(kind: str) -> None:
    assert_tone(read(recording(kind=kind)))


def test_a_file_of_samples_under_the_type_of_samples_alone() -> None:
    assert_tone(read(recording(kind="AU"), Declared("audio/basic")))


@pytest.mark.parametrize(
    ("kind", "codec"),
    [
        ("mpegts", "aac"),
        ("mov", "aac"),
        ("avi", "mp2"),
        ("flv", "aac"),
        ("latm", "aac"),
        ("ac3", "ac3"),
        ("matroska", "flac"),
    ],
)
def test_what_ffmpeg_reads_is_read(kind: str, codec: str) -> None:
    assert_tone(read(packed(kind, codec))[:16_000])


@pytest.mark.parametrize(("head", "frame_bytes"), [(b"#!AMR\n\x3c", 32), (b"#!AMR-WB\n\x44", 61)])
def test_speech_of_telephones_is_read(head: bytes, frame_bytes: int) -> None:
    """RFC 4867, 5: a signature, and frames of 20 ms; the highest rates, 12.2 and 23.85 kbit/s."""
    signature, kind = head[:-1], head[-1:]
    frame = kind + np.random.default_rng(0).bytes(frame_bytes - 1)
    assert abs(read(signature + 50 * frame).size - 16_000) < 400
    assert abs(read(signature + 50 * frame, Declared("audio/amr", "amr")).size - 16_000) < 400


ID3 = b"ID3\x04\0\0\0\0\x02\x01" + bytes(257)


@pytest.mark.parametrize("tags", [1, 3])
@pytest.mark.parametrize(
    "data", [packed("adts", "aac"), packed("mp3", "libmp3lame"), recording(kind="FLAC"), recording()]
)
def test_tags_before_anything_are_skipped(data: bytes, tags: int) -> None:
    assert_tone(read(tags * ID3 + data)[:16_000])


@pytest.mark.parametrize("declared", [Declared(), Declared("audio/mpeg"), Declared(input_format="mp3")])
@pytest.mark.parametrize("cut", [1, 100, 333, 1000])
def test_an_mp3_may_begin_in_mid_frame(cut: int, declared: Declared) -> None:
    assert_tone(read(packed("mp3", "libmp3lame", seconds=2.0)[800 + cut :], declared)[:16_000])


@pytest.mark.parametrize("declared", [Declared(), Declared("audio/aac"), Declared(input_format="aac")])
@pytest.mark.parametrize("cut", [1, 100, 333, 1000])
def test_aac_and_transport_streams_may_begin_in_mid_frame(cut: int, declared: Declared) -> None:
    assert_tone(read(packed("adts", "aac", seconds=2.0)[1000 + cut :], declared)[:16_000])
    assert_tone(read(packed("mpegts", "aac", seconds=2.0)[cut:])[:16_000])


def test_opposite_polarity_is_heard() -> None:
    left = tone()
    assert_tone(read(recording(np.stack([left, -left], axis=1))))


@pytest.mark.parametrize(("kind", "codec"), [("webm", "libopus"), ("ipod", "aac"), ("adts", "aac"), ("mp4", "aac")])
def test_containers_that_browsers_record_are_read(kind: str, codec: str) -> None:
    assert_tone(read(packed(kind, codec)))


@pytest.mark.parametrize(
    ("declared", "dtype", "scale"),
    [
        (Declared("audio/pcm;rate=16000"), "<i2", 32767),
        (Declared('audio/pcm; rate="16000"; channels=1'), "<i2", 32767),
        (Declared("audio/L16;rate=16000"), ">i2", 32767),
        (Declared(input_format="pcm", rate_hz=16_000), "<i2", 32767),
        (Declared(input_format="pcm_s16be", rate_hz=16_000), ">i2", 32767),
        (Declared(input_format="pcm_f32le", rate_hz=16_000), "<f4", 1),
    ],
)
def test_raw_samples_are_read_as_declared(declared: Declared, dtype: str, scale: int) -> None:
    assert_tone(read((tone() * scale).astype(dtype).tobytes(), declared), slack_s=1e-6)


def test_raw_stereo_and_an_odd_last_byte() -> None:
    data = (tone(channels=2) * 32767).astype("<i2").tobytes() + b"x"
    assert_tone(read(data, Declared("audio/pcm;rate=16000;channels=2")), slack_s=1e-3)


def test_telephone_audio_needs_no_rate() -> None:
    out = io.BytesIO()
    soundfile.write(out, tone(rate=8000), 8000, format="RAW", subtype="ULAW")
    assert_tone(read(out.getvalue(), Declared("audio/PCMU")))


def test_raw_samples_that_look_like_a_container_stay_raw() -> None:
    data = b"RIFF\0\0\0\0WAVE" + (tone() * 32767).astype("<i2").tobytes()
    assert read(data, Declared("audio/pcm;rate=16000")).size == len(data) // 2


def test_raw_samples_need_a_rate_that_is_one() -> None:
    samples = b"\0\1" * 4000
    assert code_of(samples, Declared("audio/pcm")) == "missing_required_parameter"
    assert code_of(samples, Declared("audio/pcm;rate=fast")) == "invalid_value"
    assert code_of(samples, Declared("audio/pcm;rate=12")) == "invalid_value"
    assert code_of(samples, Declared("audio/pcm;rate=16000;channels=999")) == "invalid_value"


def test_content_decides_not_the_declared_type() -> None:
    assert_tone(read(recording(), Declared("audio/mpeg")))
    assert_tone(read(recording(), Declared("text/plain")))


def test_an_explicit_format_must_be_true() -> None:
    assert code_of(recording(), Declared(input_format="flac")) == "audio_unreadable"


def test_a_wav_that_was_streamed_without_its_length_is_read() -> None:
    data = bytearray(recording())
    data[40:44] = b"\xff\xff\xff\xff"
    assert_tone(read(bytes(data)))


def test_clipped_and_too_loud_samples_are_accepted_and_bounded() -> None:
    assert np.abs(read(recording(np.sign(tone()).astype(np.float32)))).max() <= 1.0
    assert np.abs(read(recording(40 * tone(), subtype="FLOAT"))).max() <= 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_numbers(bad: float) -> None:
    samples = tone()
    samples[700] = bad
    assert code_of(recording(samples, subtype="FLOAT")) == "audio_not_finite"
    assert (
        code_of(samples.astype("<f4").tobytes(), Declared(input_format="pcm_f32le", rate_hz=16_000))
        == "audio_not_finite"
    )


def test_lengths() -> None:
    assert code_of(b"") == "audio_empty"
    assert code_of(recording(np.zeros(0, np.float32))) == "audio_empty"
    assert code_of(recording(np.zeros(1, np.float32))) == "audio_too_short"
    assert code_of(recording(tone(0.05))) == "audio_too_short"
    assert code_of(recording(tone(600, 8000), 8000)) == "audio_too_long"
    assert read(recording(tone(MAX_S))).size == MAX_S * 16_000


def test_a_long_recording_is_not_decoded_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    data = recording(np.zeros(600 * 8000, np.float32), 8000, "FLAC")
    assert len(data) < 100_000  # ten minutes of silence are a small upload

    frames = media._frames

    def counted(*args: object) -> object:
        for pcm, rate in frames(*args):  # type: ignore[arg-type]
            decoded.append(pcm.size)
            yield pcm, rate

    monkeypatch.setattr(media, "_frames", counted)
    assert code_of(data) == "audio_too_long"
    assert sum(decoded) / 8000 < MAX_S + 1


def damaged_header(offset: int, value: bytes) -> bytes:
    data = bytearray(recording())
    data[offset : offset + len(value)] = value
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        damaged_header(20, b"\x77\x77"),  # a codec nobody has
        damaged_header(22, b"\0\0"),  # no channels
        damaged_header(24, b"\0\0\0\0"),  # 0 Hz
        damaged_header(24, b"\xff\xff\xff\x7f"),  # 2 GHz
        damaged_header(12, b"junk"),
        recording()[:20],
        b"ID3\x04" + bytes(3000),
        b"fLaC" + bytes(3000),
        b"OggS" + bytes(3000),
        b"\x1a\x45\xdf\xa3" + bytes(3000),
        b"\0\0\0\x20ftypM4A " + bytes(3000),
        b"\xff\xfb" + np.random.default_rng(1).bytes(30_000),
        b"\xff\xf1" + np.random.default_rng(2).bytes(30_000),
        packed("ipod", "aac")[:3000],
        b"just words, no sound",
        bytes(5000),
        b"%PDF-1.7 " + bytes(100),
    ],
)
def test_what_cannot_be_decoded(data: bytes) -> None:
    assert code_of(data) == "audio_unreadable"


def test_a_type_that_is_no_audio() -> None:
    assert code_of(b"%PDF-1.7 " + bytes(100), Declared("application/pdf")) == "unsupported_format"
    assert code_of(b"MThd" + bytes(100), Declared("audio/midi")) == "unsupported_format"


@pytest.mark.parametrize(("kind", "rate"), [("WAV", 16_000), ("FLAC", 16_000), ("MP3", 48_000)])
def test_a_truncated_recording_is_taken_as_far_as_it_goes(kind: str, rate: int) -> None:
    whole = recording(tone(2.0, rate), rate, kind)
    assert_tone(read(whole[: len(whole) // 2]), seconds=1.0, slack_s=0.3)


def test_a_damaged_packet_is_skipped() -> None:
    data = bytearray(recording(tone(2.0, 48_000), 48_000, "MP3"))
    data[len(data) // 2 : len(data) // 2 + 200] = np.random.default_rng(0).bytes(200)
    assert 1.5 < read(bytes(data)).size / 16_000 < 2.1


def test_a_recording_cannot_reach_other_files() -> None:
    assert sniff(b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\nfile:///etc/passwd") is None
    assert sniff(b"ffconcat version 1.0\nfile /etc/passwd") is None


def test_silence_and_noise_without_speech() -> None:
    def code(samples: np.ndarray) -> str:
        with pytest.raises(SpeechServerError) as failure:
            check_speech(samples.astype(np.float32), FakeVoiceActivity())
        return failure.value.code

    assert code(np.zeros(16_000)) == "audio_silent"
    assert code(0.0005 * tone()) == "audio_silent"
    assert code(0.005 * tone()) == "audio_silent"  # audible, but no speech
    check_speech(tone(), FakeVoiceActivity())
    check_speech(np.concatenate([np.zeros(16_000, np.float32), tone(0.02)]), FakeVoiceActivity())
