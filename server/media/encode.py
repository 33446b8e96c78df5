"""Encodes PCM to an audio file while the audio is still being made, or to one with its length in the header, at the end."""

from __future__ import annotations

import asyncio
import io
import struct
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import Literal, Protocol, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

from streaming.audio import Resampler, float_to_pcm16
from streaming.stages import Pcm

OPENAI_PCM_HZ = 24_000
"""Rate of `pcm` and `pcm16` in OpenAI's API, whatever the model's own."""

OutputFormat = Literal["wav", "pcm", "flac", "mp3", "opus", "aac"]

SENT_WHOLE: frozenset[OutputFormat] = frozenset({"flac"})
"""Formats that leave when they are complete, where they are the body of an answer: libsndfile reads no flac without its length."""


class AudioWriter(Protocol):
    """An encoder of one answer: audio in, bytes of one file out, as soon as they are known.

    `light`: quick enough to call on the event loop.
    """

    light: bool
    media_type: str
    sample_rate: int

    def push(self, pcm: Pcm) -> bytes:
        """Bytes that `pcm` (float32 mono [T]) completes; may be none."""
        ...

    def finish(self) -> bytes:
        """The rest."""
        ...


def open_writer(kind: OutputFormat, sample_rate: int, *, pcm_hz: int | None = None, whole: bool = False) -> AudioWriter:
    """A writer of `kind` for audio at `sample_rate` Hz. `pcm_hz`: rate of raw samples, where it is agreed upon.

    `whole`: the file comes at the end, with its length in the header.
    """
    if kind == "pcm":
        return PcmWriter(sample_rate, pcm_hz, whole=whole)
    if kind == "wav":
        return WavWriter(sample_rate, whole=whole)
    return CodecWriter(kind, sample_rate, whole=whole)


async def encode_piece(writer: AudioWriter, pcm: Pcm) -> bytes:
    """Bytes that `pcm` completes. Heavy codecs run in a thread."""
    return writer.push(pcm) if writer.light else await asyncio.to_thread(writer.push, pcm)


async def encode_rest(writer: AudioWriter) -> bytes:
    """The rest of the file. Heavy codecs run in a thread."""
    return writer.finish() if writer.light else await asyncio.to_thread(writer.finish)


class PcmWriter:
    """16-bit little-endian samples without a header."""

    light = True

    def __init__(self, from_hz: int, sample_rate: int | None = None, *, whole: bool = False) -> None:
        self._whole, self._pending = whole, b""
        self.sample_rate = sample_rate or from_hz
        self.media_type = f"audio/pcm;rate={self.sample_rate};channels=1"
        self._resampler = Resampler(from_hz, self.sample_rate)

    def push(self, pcm: Pcm) -> bytes:
        data = float_to_pcm16(self._resampler.push(pcm))
        if not self._whole:
            return data
        self._pending += data
        return b""

    def finish(self) -> bytes:
        return self._pending + float_to_pcm16(self._resampler.flush())


UNKNOWN_SIZE = 0xFFFFFFFF
"""In the header of a wav whose end is not known yet; readers take it as "until the end"."""


def wav_header(sample_rate: int, data_bytes: int | None) -> bytes:
    """The 44 bytes before 16-bit mono samples; `data_bytes` None while the length is unknown."""
    data_size = UNKNOWN_SIZE if data_bytes is None else data_bytes
    riff_size = UNKNOWN_SIZE if data_bytes is None else data_bytes + 36
    form = struct.pack("<4sI4s", b"RIFF", riff_size, b"WAVE")
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    return form + fmt + struct.pack("<4sI", b"data", data_size)


class WavWriter:
    """A wav. One that streams says in its header that the length is unknown; a `whole` one comes at the end."""

    light = True
    media_type = "audio/wav"

    def __init__(self, sample_rate: int, *, whole: bool = False) -> None:
        self.sample_rate = sample_rate
        self._whole = whole
        self._pending = bytearray() if whole else bytearray(wav_header(sample_rate, None))

    def push(self, pcm: Pcm) -> bytes:
        self._pending += float_to_pcm16(pcm)
        return b"" if self._whole else self._take()

    def finish(self) -> bytes:
        header = wav_header(self.sample_rate, len(self._pending)) if self._whole else b""
        return header + self._take()

    def _take(self) -> bytes:
        data, self._pending = bytes(self._pending), bytearray()
        return data


@dataclass(frozen=True, slots=True)
class _Codec:
    media_type: str
    muxer: str
    encoder: str
    options: dict[str, str]
    bit_rate: int | None
    rates_hz: tuple[int, ...]


_CODECS: dict[str, _Codec] = {
    "flac": _Codec("audio/flac", "flac", "flac", {"metadata_header_padding": "0"}, None, ()),
    "mp3": _Codec(
        "audio/mpeg", "mp3", "libmp3lame", {}, 64_000,
        (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
    ),
    "aac": _Codec(
        "audio/aac", "adts", "aac", {}, 64_000,
        (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
    ),
    "opus": _Codec(
        "audio/ogg", "ogg", "libopus", {"page_duration": "60000"}, 40_000, (8_000, 12_000, 16_000, 24_000, 48_000)
    ),
}  # fmt: skip


class CodecWriter:
    """flac, mp3, AAC or Ogg Opus; a rate that the codec does not have is converted to its next higher one.

    `whole`: the file comes at the end, its header completed.
    """

    light = False

    def __init__(self, kind: str, sample_rate: int, *, whole: bool = False) -> None:
        codec = _CODECS[kind]
        self.media_type = codec.media_type
        self.sample_rate = _next_rate(codec.rates_hz, sample_rate)
        self._resampler = Resampler(sample_rate, self.sample_rate)
        self._outlet = _WholeFile() if whole else _Outlet()
        options = {"flush_packets": "1", **codec.options}
        if kind == "mp3":
            options["write_xing"] = str(int(whole))  # the frame that tells the length
        self._container = av.open(self._outlet, "w", format=codec.muxer, options=options)
        stream = self._container.add_stream(codec.encoder, rate=self.sample_rate, layout="mono")
        self._stream = cast(AudioStream, stream)
        if codec.bit_rate is not None:
            self._stream.bit_rate = codec.bit_rate
        self._samples = 0

    def push(self, pcm: Pcm) -> bytes:
        self._encode(self._resampler.push(pcm))
        return self._outlet.take()

    def finish(self) -> bytes:
        self._encode(self._resampler.flush())
        self._container.start_encoding()
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        self._container.close()
        return self._outlet.rest()

    def _encode(self, pcm: Pcm) -> None:
        if not pcm.size:
            return
        samples = np.frombuffer(float_to_pcm16(pcm), "<i2").reshape(1, -1)
        frame = AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = self.sample_rate, Fraction(1, self.sample_rate), self._samples
        self._samples += pcm.size
        for packet in self._stream.encode(frame):
            self._container.mux(packet)


def _next_rate(rates_hz: tuple[int, ...], wanted_hz: int) -> int:
    if not rates_hz or wanted_hz in rates_hz:
        return wanted_hz
    return next(chain((rate for rate in rates_hz if rate >= wanted_hz), [rates_hz[-1]]))


class _WholeFile(io.BytesIO):
    """Where the muxer writes a file whose header it completes at the end."""

    def take(self) -> bytes:
        """Nothing leaves before the end."""
        return b""

    def rest(self) -> bytes:
        """The file."""
        return self.getvalue()


class _Outlet:
    """Where the muxer writes what leaves at once; it cannot seek, so nothing written is ever changed."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def write(self, data: bytes) -> int:
        self._pending += data
        return len(data)

    def take(self) -> bytes:
        """What was written since."""
        data = bytes(self._pending)
        self._pending.clear()
        return data

    def rest(self) -> bytes:
        """What was written since, to the end."""
        return self.take()
