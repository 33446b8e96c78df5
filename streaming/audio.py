"""Mono audio on the wire, between sample rates and out of several channels: PCM16, G.711, streaming resampling and downmix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import soxr
from numpy.typing import NDArray

from streaming.errors import InvalidRequest
from streaming.stages import Pcm


@dataclass(frozen=True, slots=True, eq=False)
class AudioFrame:
    """Mono audio with its rate: `pcm` is float32 [T] in [-1, 1]."""

    pcm: Pcm
    rate_hz: int


WireType = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]

MODEL_RATE_HZ = 16_000
"""Rate of everything that listens: voice activity and unit encoder."""


@dataclass(frozen=True, slots=True)
class WireFormat:
    """How audio travels over a realtime socket: `audio/pcm` is 16-bit little-endian, the G.711 types are 8-bit at 8 kHz."""

    type: WireType = "audio/pcm"
    rate_hz: int = 24_000

    def decode(self, data: bytes) -> Pcm:
        """Wire bytes to float32 [T] in [-1, 1]. Raises InvalidRequest for half a sample."""
        if self.type == "audio/pcm":
            if len(data) % 2:
                raise InvalidRequest("audio/pcm needs whole 16-bit samples: an even number of bytes", param="audio")
            return pcm16_to_float(data)
        table = _ULAW_TO_LINEAR if self.type == "audio/pcmu" else _ALAW_TO_LINEAR
        return table[np.frombuffer(data, np.uint8)].astype(np.float32) / np.float32(32768)

    def encode(self, pcm: Pcm) -> bytes:
        """Float32 [T] in [-1, 1] to wire bytes, clipped."""
        linear = _to_int16(pcm)
        if self.type == "audio/pcm":
            return linear.astype("<i2").tobytes()
        table = _LINEAR_TO_ULAW if self.type == "audio/pcmu" else _LINEAR_TO_ALAW
        codes: bytes = table[(linear.astype(np.int32) + 32768) >> 2].tobytes()
        return codes


def pcm16_to_float(data: bytes) -> Pcm:
    """Little-endian 16-bit samples to float32 [T] in [-1, 1]."""
    pcm: Pcm = np.multiply(np.frombuffer(data, "<i2"), np.float32(1 / 32768), dtype=np.float32)
    return pcm


def float_to_pcm16(pcm: Pcm) -> bytes:
    """Float32 [T] in [-1, 1] to little-endian 16-bit samples, clipped."""
    return _to_int16(pcm).astype("<i2").tobytes()


def _to_int16(pcm: Pcm) -> NDArray[np.int16]:
    return np.clip(np.rint(pcm * 32768), -32768, 32767).astype(np.int16)


class Resampler:
    """Streaming rate conversion. Any split of the input gives the same output, sample for sample (soxr)."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz, self.to_hz = from_hz, to_hz
        self._stream = self._opened()

    def push(self, pcm: Pcm) -> Pcm:
        """Output that `pcm` completes."""
        if self._stream is None:
            return pcm
        converted: Pcm = self._stream.resample_chunk(pcm)
        return converted

    def flush(self) -> Pcm:
        """The filter's tail, where the audio ends; what is pushed next begins anew."""
        if self._stream is None:
            return np.zeros(0, np.float32)
        tail: Pcm = self._stream.resample_chunk(np.zeros(0, np.float32), last=True)
        self._stream = self._opened()
        return tail

    def _opened(self) -> soxr.ResampleStream | None:
        return None if self.from_hz == self.to_hz else soxr.ResampleStream(self.from_hz, self.to_hz, 1, dtype="float32")


_OPPOSITE = -0.5
"""A channel whose correlation with the loudest one is below this has opposite polarity; that of independent ones is about 0."""


class Downmix:
    """Several channels to one, piece by piece: their average, in which those of opposite polarity are turned around.

    A plain average loses what a balanced or wrongly wired line gives twice, once upside down. Correlations are those of all audio
    so far, so that a polarity that is settled stays.
    """

    def __init__(self) -> None:
        self._products = np.zeros((0, 0))
        self._signs = np.ones(0, np.float32)

    def push(self, channels: NDArray[np.float32]) -> Pcm:
        """`channels` [C, T], C >= 1, as one [T]."""
        count = len(channels)
        if count == 1:
            only: Pcm = channels[0]
            return only
        if len(self._products) != count:
            self._products, self._signs = np.zeros((count, count)), np.ones(count, np.float32)
        # Samples that are not numbers stay so; the caller decides what becomes of them.
        with np.errstate(invalid="ignore"):
            self._products += channels.astype(np.float64) @ channels.T.astype(np.float64)
        power: NDArray[np.float64] = self._products.diagonal()
        loudest = int(power.argmax())
        opposite = self._products[loudest] < _OPPOSITE * np.sqrt(power * power[loudest])
        signs = np.where(opposite, np.float32(-1), np.float32(1))
        self._signs = signs if signs @ self._signs >= 0 else -signs  # whichever of two is the louder at the moment
        mono: Pcm = (self._signs[:, None] * channels).mean(axis=0, dtype=np.float32)
        return mono


def resampled(audio: AudioFrame, to_hz: int) -> Pcm:
    """All of `audio` at another rate."""
    resampler = Resampler(audio.rate_hz, to_hz)
    return np.concatenate([resampler.push(audio.pcm), resampler.flush()])


def _ulaw_to_linear() -> NDArray[np.int16]:
    """ITU-T G.711 mu-law expansion of all 256 codes."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_to_linear() -> NDArray[np.int16]:
    """ITU-T G.711 A-law expansion of all 256 codes."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent, mantissa = (code >> 4) & 7, (code & 0x0F) << 4
    magnitude = np.where(exponent == 0, mantissa + 8, (mantissa + 0x108) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _linear_to_ulaw() -> NDArray[np.uint8]:
    """ITU-T G.711 mu-law code of every 14-bit value from -8192 on; decision values as in G.191 `ulaw_compress`."""
    value = np.arange(-8192, 8192, dtype=np.int32)
    biased = np.minimum(np.where(value < 0, ~value, value) + 33, 0x1FFF)
    segment = np.frexp(biased)[1] - 5
    code: NDArray[np.int32] = (value < 0) << 7 | (segment - 1) << 4 | biased >> segment & 0x0F
    return (~code & 0xFF).astype(np.uint8)


def _linear_to_alaw() -> NDArray[np.uint8]:
    """ITU-T G.711 A-law code of every 14-bit value from -8192 on; decision values as in G.191 `alaw_compress`."""
    value = np.arange(-8192, 8192, dtype=np.int32)
    magnitude = np.where(value < 0, ~value, value) >> 2
    exponent = np.maximum(np.frexp(magnitude)[1] - 4, 0)
    code: NDArray[np.int32] = (value >= 0) << 7 | exponent << 4 | magnitude >> np.maximum(exponent - 1, 0) & 0x0F
    return (code ^ 0x55).astype(np.uint8)


_ULAW_TO_LINEAR = _ulaw_to_linear()
_ALAW_TO_LINEAR = _alaw_to_linear()
_LINEAR_TO_ULAW = _linear_to_ulaw()
_LINEAR_TO_ALAW = _linear_to_alaw()
