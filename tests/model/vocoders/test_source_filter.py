"""The vocoder on random weights: the same samples for any cuts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.vocoders.source_filter.decoder import SourceFilterVocoder
from model.vocoders.source_filter.networks import HOP, Acoustics, ConvNeXt, Generator, UnitEncoder, VocoderConfig
from model.vocoders.source_filter.signal import harmonics, minimum_phase
from streaming.stages import Pcm

CONFIG = VocoderConfig(
    n_units=40,
    unit_width=32,
    acoustic_width=32,
    acoustic_blocks=1,
    pitch_blocks=1,
    generator_width=32,
    generator_blocks=2,
)


@pytest.fixture(scope="module")
def vocoder() -> SourceFilterVocoder:
    torch.manual_seed(3)
    made = SourceFilterVocoder(CONFIG, UnitEncoder(CONFIG), Acoustics(CONFIG), Generator(CONFIG))
    made._units.duration.bias.data.fill_(2.0)
    return made


def cut(units: list[int], rng: np.random.Generator) -> list[list[int]]:
    """`units` in random pieces, empty ones too."""
    marks = np.sort(rng.integers(0, len(units) + 1, rng.integers(0, 6)))
    return [list(piece) for piece in np.split(np.array(units, int), marks)]


@pytest.mark.parametrize("seed", range(12))
def test_any_cuts_give_the_same_samples(vocoder: SourceFilterVocoder, seed: int) -> None:
    rng = np.random.default_rng(seed)
    units = [int(u) for u in rng.integers(0, CONFIG.n_units, rng.integers(1, 30))]
    whole = vocoder.decode(units)
    state = vocoder.open()
    pieces = [vocoder.push(state, piece) for piece in cut(units, rng)]
    streamed = np.concatenate([*pieces, vocoder.push(state, [], final=True)])
    assert len(whole) == len(streamed)
    assert len(whole) % HOP == 0
    np.testing.assert_allclose(streamed, whole, atol=1e-4)


def test_one_unit_at_a_time_speaks_before_the_end(vocoder: SourceFilterVocoder) -> None:
    units = list(range(1, 30))
    state = vocoder.open()
    first = next(i for i, u in enumerate(units) if len(vocoder.push(state, [u])))
    assert first < 12


def test_a_first_piece_of_one_frame_loses_nothing(
    vocoder: SourceFilterVocoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = list(range(1, 16))
    firsts = set[int]()
    for lead in range(1, 24):  # of one of these lengths, the first frame that is certain comes alone
        monkeypatch.setattr(vocoder, "config", replace(CONFIG, lead_frames=lead))
        whole, state = vocoder.decode(units), vocoder.open()
        pieces, made = list[Pcm](), list[int]()
        for unit in units:
            pieces.append(vocoder.push(state, [unit], final=unit == units[-1]))
            made.append(state.made_frames)
        firsts.add(next(filter(None, made)))
        np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-4)
    assert 1 in firsts


def test_each_block_computes_each_frame_once(vocoder: SourceFilterVocoder, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = dict[ConvNeXt, int]()
    mixed = ConvNeXt._mixed

    def counted(block: ConvNeXt, seen: torch.Tensor, here: torch.Tensor) -> torch.Tensor:
        computed[block] = computed.get(block, 0) + here.shape[1]
        return mixed(block, seen, here)

    monkeypatch.setattr(ConvNeXt, "_mixed", counted)
    state, samples = vocoder.open(), 0
    for unit in range(1, 20):
        samples += len(vocoder.push(state, [unit], final=unit == 19))
    blocks = CONFIG.pitch_blocks + CONFIG.acoustic_blocks + CONFIG.generator_blocks
    assert list(computed.values()) == [samples // HOP] * blocks


def test_sessions_do_not_meet(vocoder: SourceFilterVocoder) -> None:
    a, b = vocoder.open(), vocoder.open()
    left = [
        vocoder.push(a, [1, 2, 3]),
        vocoder.push(b, [7, 8]),
        vocoder.push(a, [4, 5]),
        vocoder.push(b, [9], final=True),
    ]
    left.append(vocoder.push(a, [], final=True))
    np.testing.assert_allclose(np.concatenate([left[0], left[2], left[4]]), vocoder.decode([1, 2, 3, 4, 5]), atol=1e-4)
    np.testing.assert_allclose(np.concatenate([left[1], left[3]]), vocoder.decode([7, 8, 9]), atol=1e-4)


def test_nothing_to_say_is_no_sound(vocoder: SourceFilterVocoder) -> None:
    assert len(vocoder.decode([])) == 0
    state = vocoder.open()
    vocoder.push(state, [1, 2], final=True)
    assert len(vocoder.push(state, [3])) == 0


def test_repeats_are_one_unit(vocoder: SourceFilterVocoder) -> None:
    np.testing.assert_array_equal(vocoder.decode([5, 5, 5, 6]), vocoder.decode([5, 6]))


def test_harmonic_source_is_a_sum_of_cosines() -> None:
    pitch, one = torch.full((1, 4), 3000.0), torch.ones(1)
    samples, phase = harmonics(pitch, torch.ones(1, 4), pitch[:, 0], one, torch.zeros(1), 24_000)
    cycles = torch.arange(1, 4 * HOP + 1, dtype=torch.float64) / 8
    wanted = sum(torch.cos(2 * torch.pi * k * cycles) for k in (1, 2, 3))
    torch.testing.assert_close(samples[0].double(), wanted, atol=1e-4, rtol=0)
    assert float(phase) == pytest.approx(0.0, abs=1e-6) or float(phase) == pytest.approx(1.0, abs=1e-6)


def test_minimum_phase_keeps_the_magnitude() -> None:
    wanted = torch.randn(3, 601).cumsum(-1) * 0.05
    wanted = torch.nn.functional.avg_pool1d(wanted, 31, 1, 15, count_include_pad=False)
    torch.testing.assert_close(minimum_phase(wanted).abs().log(), wanted, atol=1e-3, rtol=0)


def test_shifted_sums_are_the_depthwise_convolution() -> None:
    torch.manual_seed(0)
    block = ConvNeXt(8, 5, 1).double()
    x = torch.randn(2, 11, 8, dtype=torch.float64)
    summed = block(x)
    torch.testing.assert_close(summed.float(), block.float()(x.float()), rtol=0, atol=1e-5)
