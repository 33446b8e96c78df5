"""Audio on the wire: G.711 as the ITU has it, rates in any split."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.audio import (
    AudioFrame,
    Downmix,
    Resampler,
    WireFormat,
    WireType,
    float_to_pcm16,
    pcm16_to_float,
    resampled,
)
from streaming.errors import InvalidRequest

PCM = WireFormat()
ULAW, ALAW = WireFormat("audio/pcmu", 8_000), WireFormat("audio/pcma", 8_000)

# G.711 tables 2a/2b (mu-law, 14 bit) and 1a/1b (A-law, 13 bit): the decision value at the start of each segment and the
# quantized value above it.
ULAW_SEGMENTS = [(31, 33), (95, 99), (223, 231), (479, 495), (991, 1023), (2015, 2079), (4063, 4191)]
ALAW_SEGMENTS = [(64, 66), (128, 132), (256, 264), (512, 528), (1024, 1056), (2048, 2112)]
# G.711 tables 5 and 6: one period of 1 kHz at 0 dBm0.
ULAW_MILLIWATT, ALAW_MILLIWATT = bytes.fromhex("1e0b0b1e9e8b8b9e"), bytes.fromhex("342121 34b4a1a1b4")


def levels(*values: int) -> np.ndarray:
    return np.array(values, np.float32) / np.float32(32768)


def linear(wire: WireFormat, data: bytes) -> list[int]:
    return [round(float(value) * 32768) for value in wire.decode(data)]


@pytest.mark.parametrize(
    ("wire", "code", "value"),
    [
        (ULAW, 0xFF, 0),
        (ULAW, 0x7F, 0),
        (ULAW, 0x80, 32124),
        (ULAW, 0x00, -32124),
        (ULAW, 0xFE, 8),
        (ULAW, 0xEF, 132),
        (ALAW, 0xD5, 8),
        (ALAW, 0x55, -8),
        (ALAW, 0xAA, 32256),
        (ALAW, 0x2A, -32256),
    ],
)
def test_g711_values(wire: WireFormat, code: int, value: int) -> None:
    assert linear(wire, bytes([code])) == [value]


@pytest.mark.parametrize(
    ("wire", "scale", "decision", "quantized"),
    [(ULAW, 4, *segment) for segment in ULAW_SEGMENTS] + [(ALAW, 8, *segment) for segment in ALAW_SEGMENTS],
)
def test_g711_decision_values(wire: WireFormat, scale: int, decision: int, quantized: int) -> None:
    at = decision * scale
    below, exactly = linear(wire, wire.encode(levels(at - 1, at)))
    assert exactly == quantized * scale
    assert below < at
    assert linear(wire, wire.encode(levels(-at, -at - 1))) == [-below, -exactly]


@pytest.mark.parametrize(("wire", "period"), [(ULAW, ULAW_MILLIWATT), (ALAW, ALAW_MILLIWATT)])
def test_the_digital_milliwatt(wire: WireFormat, period: bytes) -> None:
    low, high, *_ = values = linear(wire, period)
    assert values == [low, high, high, low, -low, -high, -high, -low]
    assert high / low == pytest.approx(np.tan(np.radians(67.5)), rel=0.04)
    assert wire.encode(wire.decode(period)) == period


@pytest.mark.parametrize("wire", [ULAW, ALAW])
def test_g711_codes_survive_a_round_trip(wire: WireFormat) -> None:
    codes = bytes(code for code in range(256) if (wire, code) != (ULAW, 0x7F))  # minus zero is plus zero
    assert wire.encode(wire.decode(codes)) == codes


@pytest.mark.parametrize(("wire", "worst"), [(PCM, 1), (ULAW, 1024), (ALAW, 1024)])
def test_what_is_beyond_full_scale_is_clipped(wire: WireFormat, worst: int) -> None:
    loud, quiet = linear(wire, wire.encode(np.array([9.0, -9.0], np.float32)))
    assert 32767 - loud < worst
    assert quiet + 32768 < worst


def test_pcm16_survives_a_round_trip() -> None:
    every = np.arange(-32768, 32768, dtype="<i2").tobytes()
    assert float_to_pcm16(pcm16_to_float(every)) == every
    assert PCM.encode(PCM.decode(every)) == every


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="even number of bytes") as refused:
        PCM.decode(b"\x00\x01\x02")
    assert refused.value.param == "audio"


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/pcmu", "audio/pcma"])
def test_nothing_is_nothing(kind: WireType) -> None:
    wire = WireFormat(kind)
    assert wire.encode(wire.decode(b"")) == b""


@settings(max_examples=40)
@given(
    st.sampled_from([(24_000, 16_000), (8_000, 16_000), (24_000, 8_000), (16_000, 16_000), (22_050, 24_000)]),
    st.lists(st.integers(0, 3000), max_size=12),
)
def test_any_split_resamples_to_the_same_samples(rates: tuple[int, int], cuts: list[int]) -> None:
    pcm = np.random.default_rng(7).standard_normal(3000).astype(np.float32)
    whole = resampled(AudioFrame(pcm, rates[0]), rates[1])
    split = Resampler(*rates)
    edges = [0, *sorted(cuts), pcm.size]
    pieces = [split.push(pcm[a:b]) for a, b in pairwise(edges)]
    pieces.append(split.flush())
    assert np.array_equal(np.concatenate(pieces), whole)
    assert abs(whole.size - pcm.size * rates[1] / rates[0]) <= 1


def tone(count: int = 16_000) -> np.ndarray:
    return (0.5 * np.sin(np.arange(count) / 8)).astype(np.float32)


@pytest.mark.parametrize(
    "gains", [(1, -1), (-1, 1), (1, -0.5), (0, 1, -1), (1, -1, 1, -1)], ids=lambda gains: str(gains)
)
def test_opposite_polarity_is_turned_around(gains: tuple[float, ...]) -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, (len(gains), 16_000))
    channels = (np.outer(gains, tone()) + noise).astype(np.float32)
    downmix = Downmix()
    mono = np.concatenate([downmix.push(piece) for piece in np.array_split(channels, 20, axis=1)])
    level = np.abs(gains).mean()
    assert abs(np.corrcoef(mono, tone())[0, 1]) > 0.99
    assert np.abs(mono).max() == pytest.approx(0.5 * level, rel=0.25)


def test_channels_are_averaged() -> None:
    left, right = tone(), np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    downmix = Downmix()
    pieces = [downmix.push(np.stack(piece)) for piece in zip(np.split(left, 16), np.split(right, 16), strict=True)]
    np.testing.assert_allclose(np.concatenate(pieces), (left + right) / 2, atol=1e-6)
    np.testing.assert_array_equal(Downmix().push(left[None]), left)
    np.testing.assert_array_equal(Downmix().push(np.zeros((2, 9), np.float32)), np.zeros(9))
