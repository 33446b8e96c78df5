"""The speech encoder on random weights: units do not depend on how the samples came."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from model.encoders.whisper_ctc import FRAME_SAMPLES, WhisperCtc
from model.encoders.whisper_network import EncoderConfig, UnitHead, WhisperTrunk, _Attention

CONFIG = EncoderConfig(
    n_units=20,
    plain_units=10,
    width=32,
    heads=2,
    layers=2,
    taps=(1, 2),
    head_width=32,
    context_frames=10,
    block_frames=12,
    lookahead_frames=5,
    lead_frames=6,
    quiet_peak=0.1,
)


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def encoder(request: pytest.FixtureRequest) -> WhisperCtc:
    torch.manual_seed(0)
    trunk, head = WhisperTrunk(CONFIG), UnitHead(CONFIG)
    head.out.weight.data *= 20
    if request.param == "bfloat16":
        trunk.use_bfloat16()
    return WhisperCtc(CONFIG, trunk, head)


@pytest.mark.parametrize("seed", range(8))
def test_any_split_gives_the_same_units(encoder: WhisperCtc, seed: int) -> None:
    rng = np.random.default_rng(seed)
    loudness = 0.3 if seed % 2 else 0.01
    pcm = (loudness * rng.standard_normal(int(rng.integers(1, 40_000)))).astype(np.float32)
    whole = encoder.encode(pcm)
    marks = np.sort(rng.integers(0, len(pcm) + 1, 9))
    state, units = encoder.open(), []
    for piece in np.split(pcm, marks):
        units += encoder.push(state, piece)
    assert units + encoder.finish(state) == whole


def test_units_of_kept_features_are_those_of_the_recording(encoder: WhisperCtc) -> None:
    pcm = (0.3 * np.random.default_rng(3).standard_normal(30_000)).astype(np.float32)
    assert encoder.encode(pcm)
    assert encoder.name(encoder.features(pcm)) == encoder.encode(pcm)


def test_units_come_while_one_speaks(encoder: WhisperCtc) -> None:
    rng = np.random.default_rng(1)
    state = encoder.open()
    early = encoder.push(state, rng.standard_normal(FRAME_SAMPLES * 80).astype(np.float32))
    assert early
    assert len(state.pcm) < FRAME_SAMPLES * 40


@pytest.mark.parametrize("pcm", [np.zeros(0), np.zeros(1), np.full(5000, np.nan), np.full(700, 9.0)])
def test_strange_input_is_heard_without_error(encoder: WhisperCtc, pcm: np.ndarray) -> None:
    units = encoder.encode(pcm.astype(np.float32))
    assert all(0 <= u < CONFIG.n_units for u in units)


@pytest.mark.parametrize("frames", range(28, 42))
def test_one_block_is_left_at_the_end(encoder: WhisperCtc, frames: int) -> None:
    state = encoder.open()
    encoder.push(state, np.zeros(frames * FRAME_SAMPLES - 1, np.float32))
    before = state.blocks
    encoder.finish(state)
    assert state.blocks == before + 1


def test_nothing_after_the_end(encoder: WhisperCtc) -> None:
    state = encoder.open()
    encoder.push(state, np.zeros(4000, np.float32))
    encoder.finish(state)
    assert encoder.finish(state) == []


def test_merging_drops_blanks_repeats_and_silence_at_the_ends(encoder: WhisperCtc) -> None:
    state, blank, silence = encoder.open(), CONFIG.n_units, CONFIG.silence_unit
    first = encoder._merge(state, [*[silence] * 9, blank, 3, 3, blank, silence, 4, silence], final=False)
    assert first == [3, 4]  # a pause lasts
    rest = encoder._merge(
        state, [silence, blank, silence, 5, blank, 5, 5, *[silence] * 9, 6, *[silence] * 9], final=True
    )
    assert rest == [5, silence, 6]


def test_a_wavering_tone_is_one_syllable(encoder: WhisperCtc) -> None:
    assert encoder._merge(encoder.open(), [3, 11, 12, 12, 11, 12, 16, 16], final=True) == [3, 12, 16]


@pytest.mark.parametrize(
    ("frames", "units"),
    [
        ([3, 11, 11, 16, 16, 16], [3, 16]),  # into the longer one
        ([3, 16, 16, 16, 11, 11, 4], [3, 16, 4]),  # out of it
        ([16, 16, 16, 11, 15, 15], [16]),  # and back, its tone wavering
        ([11, 11, 16, 16], [11, 16]),  # neither is longer
        ([11, 11, 11, 16, 16, 16, 16], [11, 16]),  # two syllables
        ([11] * 5 + [16] * 2 + [21] * 2, [11, 21]),  # the third is not beside the first
        ([21] * 2 + [16] * 2 + [11] * 5, [21, 11]),
        ([11, 11, 25, 16, 16, 16], [11, 16]),  # a blank between them
        ([3, 11, 4], [3, 11, 4]),  # alone
        ([3, 11], [3, 11]),
    ],
)
def test_a_short_final_beside_a_longer_one_is_no_syllable(frames: list[int], units: list[int]) -> None:
    config = replace(CONFIG, n_units=25, glide_frames=2)
    encoder = WhisperCtc(config, WhisperTrunk(config), UnitHead(config))
    assert encoder._merge(encoder.open(), frames, final=True) == units
    state, one_by_one = encoder.open(), []
    for frame in frames:
        one_by_one += encoder._merge(state, [frame], final=False)
    assert one_by_one + encoder._merge(state, [], final=True) == units


@pytest.mark.parametrize("wanted", [slice(0, 1), slice(4, 9), slice(12, 20), slice(0, 20)])
def test_frames_that_nobody_wants_are_left_out_and_change_nothing(wanted: slice) -> None:
    torch.manual_seed(0)
    trunk, pcm = WhisperTrunk(CONFIG), torch.randn(1, 20 * FRAME_SAMPLES)
    with torch.inference_mode():
        assert torch.allclose(trunk(pcm, wanted), trunk(pcm)[:, wanted], atol=1e-5)


def test_attention_is_that_of_torch() -> None:
    torch.manual_seed(0)
    attention, x = _Attention(32, 4), torch.randn(2, 11, 32)
    q, k, v = (t.unflatten(-1, (4, 8)).transpose(1, 2) for t in attention.qkv(x).chunk(3, dim=-1))
    expected = attention.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
    assert torch.allclose(attention(x, slice(None)), expected, atol=1e-6)


def test_products_in_bfloat16_change_features_little() -> None:
    torch.manual_seed(0)
    trunk, pcm = WhisperTrunk(CONFIG), torch.randn(1, 20 * FRAME_SAMPLES)
    with torch.inference_mode():
        exact = trunk(pcm)
        trunk.use_bfloat16()
        near = trunk(pcm)
    assert near.dtype == torch.float32
    assert 0 < (near - exact).norm() / exact.norm() < 0.02


def test_silence_comes_before_the_first_sample_and_quiet_windows_are_amplified(
    encoder: WhisperCtc, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows: list[torch.Tensor] = []
    heard = encoder._trunk.forward
    monkeypatch.setattr(encoder._trunk, "forward", lambda pcm, wanted: windows.append(pcm[0]) or heard(pcm, wanted))
    blocks, lead = CONFIG.block_frames * FRAME_SAMPLES, CONFIG.lead_frames * FRAME_SAMPLES
    pcm = np.full(3 * blocks, 0.02, np.float32)
    pcm[2 * blocks :] = 0.001
    encoder.encode(pcm)
    assert not windows[0][:lead].any()
    assert windows[0][lead:].unique().tolist() == pytest.approx([0.1])
    assert len(windows[2]) == (CONFIG.context_frames + CONFIG.block_frames + CONFIG.lookahead_frames) * FRAME_SAMPLES
    encoder.encode(np.full(blocks, 0.001, np.float32))
    assert float(windows[-1].max()) == pytest.approx(0.01)
    encoder.encode(np.full(blocks, 0.5, np.float32))
    assert float(windows[-1].max()) == 0.5
