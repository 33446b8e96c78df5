"""The networks against what the released code gave for the same small random weights, and how far they see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.profile import load_profile
from model.vocoders.flow_hift.config import Grid, VocoderConfig, load_config
from model.vocoders.flow_hift.decoder import PITCH_STEPS, FlowHiftVocoder
from model.vocoders.flow_hift.durations import DurationPredictor
from model.vocoders.flow_hift.encoder import block_causal
from model.vocoders.flow_hift.windows import Window, next_window, places, start_of
from tests.bench.vocoder_parity import LIMIT, inputs, ours_of

BUNDLES = Path(__file__).parents[4] / "model" / "bundles"
REFERENCE = np.load(Path(__file__).parents[3] / "data" / "cosyvoice_small.npz")


@pytest.fixture(scope="module")
def sides(weights: Path) -> tuple[dict[str, Callable[[dict[str, Tensor]], Tensor]], dict[str, Tensor]]:
    vocoder = FlowHiftVocoder.load(weights)
    vocoder.flow.steps = 10
    return ours_of(vocoder), inputs(vocoder)


@pytest.mark.parametrize("name", REFERENCE.files)
@torch.inference_mode()
def test_the_networks_compute_what_the_released_code_computes(
    sides: tuple[dict[str, Callable[[dict[str, Tensor]], Tensor]], dict[str, Tensor]], name: str
) -> None:
    made, reference = sides[0][name](sides[1]).numpy(), REFERENCE[name]
    assert made.shape == reference.shape
    assert np.abs(made - reference).max() <= LIMIT
    assert np.abs(np.roll(made, 1, axis=-1) - reference).max() > LIMIT  # the measure sees an error


@torch.inference_mode()
def test_a_frame_changes_no_sample_beyond_the_reach(vocoder: FlowHiftVocoder) -> None:
    hift, at, frames = vocoder.hift, 40, 80
    mel, source = torch.randn(1, 80, frames), torch.randn(1, frames * hift.hop) * 0.1
    other_mel, other_source = mel.clone(), source.clone()
    other_mel[..., at] += 1
    other_source[:, at * hift.hop : (at + 1) * hift.hop] += 1
    changed = ((hift(mel, source) - hift(other_mel, other_source)).abs() > 0)[0].nonzero()
    first, last = int(changed.min()) // hift.hop, int(changed.max()) // hift.hop
    assert at - hift.reach <= first and last <= at + hift.reach
    pitches = (hift.pitch(mel) != hift.pitch(other_mel))[0].nonzero()
    assert at - hift.pitch_reach == int(pitches.min()) and int(pitches.max()) == at + hift.pitch_reach


@torch.inference_mode()
def test_hift_in_pieces_is_hift_whole(vocoder: FlowHiftVocoder) -> None:
    """The stream's samples from its own mel, all at once."""
    state, kept = vocoder.open(), list[Tensor]()
    units = np.random.default_rng(1).integers(0, 4096, 120).tolist()
    append = vocoder._append

    def noted(stream: object, window: Window, fresh: Tensor) -> None:
        before = state.mel.shape[1]
        append(state, window, fresh)
        kept.append(state.mel[:, before:])

    vocoder._append = noted  # type: ignore[method-assign, assignment]
    try:
        pcm = vocoder.push(state, units, final=True)
    finally:
        vocoder._append = append  # type: ignore[method-assign]
    mel = torch.cat(kept, dim=1)[None]
    start = torch.zeros(1, dtype=torch.float64)
    pitch = torch.round(vocoder.hift.pitch(mel) * PITCH_STEPS) / PITCH_STEPS
    source, _ = vocoder.hift.source(pitch, start, torch.zeros(1, dtype=torch.long))
    np.testing.assert_allclose(pcm, vocoder.hift(mel, source)[0].numpy(), atol=2e-5)


@torch.inference_mode()
def test_the_source_goes_on_where_it_stopped(vocoder: FlowHiftVocoder) -> None:
    pitch = torch.rand(1, 30) * 300
    start, zero = torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.long)
    whole, _ = vocoder.hift.source(pitch, start, zero)
    first, phase = vocoder.hift.source(pitch[:, :11], start, zero)
    second, _ = vocoder.hift.source(pitch[:, 11:], phase, zero + 11 * vocoder.hift.hop)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, atol=1e-6, rtol=0)


@given(
    ramp=st.lists(st.integers(1, 90), max_size=3),
    block=st.integers(1, 200),
    back=st.integers(0, 200),
    ahead=st.integers(0, 40),
    units=st.integers(0, 300),
    align=st.sampled_from([None, 1, 10]),
    rate_hz=st.sampled_from([25.0, 12.5]),
    nearest=st.booleans(),
)
@settings(max_examples=150)
def test_windows_tile_the_stream_and_know_their_units(
    ramp: list[int], block: int, back: int, ahead: int, units: int, align: int | None, rate_hz: float, nearest: bool
) -> None:
    grid, rate = Grid(tuple(ramp), block, back, ahead, 0), VocoderConfig(unit_rate_hz=rate_hz).frames_per_unit
    total, at, number = units * rate.numerator // rate.denominator, 0, 0
    while (window := next_window(grid, rate, number, units, ended=True, align=align, nearest=nearest)) is not None:
        assert (window.start, window.start) == (at, start_of(grid, number))
        assert window.low <= window.start < window.end <= window.high <= total
        assert 0 <= window.first_unit < window.last_unit <= units
        assert window.first_unit % (align or 1) == 0
        where = places(window, rate, nearest=nearest)
        assert len(where) == window.high - window.low
        assert where[-1] <= window.last_unit - window.first_unit - (1 if nearest else 0.5)
        assert window.final or where[-1] <= window.last_unit - window.first_unit - 1
        assert window.final or window.last_unit % (align or 1) == 0
        assert window.first_unit == 0 or where[0] >= 0
        earlier = next_window(grid, rate, number, window.last_unit - 1, ended=False, align=align, nearest=nearest)
        assert earlier is None or window.final
        if not window.final:
            assert next_window(grid, rate, number, units, ended=False, align=align, nearest=nearest) == window
        at, number = window.end, number + 1
        if window.final:
            break
    assert at == total


@given(units=st.lists(st.integers(0, 19), min_size=1, max_size=30), marks=st.lists(st.integers(0, 30), max_size=4))
@settings(max_examples=40)
def test_durations_do_not_depend_on_when_units_come(units: list[int], marks: list[int]) -> None:
    torch.manual_seed(1)
    predictor = DurationPredictor(20, 8).double().eval()
    predictor.out.weight.data.mul_(20)
    whole, pieces, at = predictor.frames(units, 0, len(units)), list[int](), 0
    for mark in sorted({min(mark, len(units)) for mark in marks} | {len(units)}):
        if mark > at:
            pieces += predictor.frames(units[: min(len(units), mark + predictor.reach)], at, mark)
            at = mark
    assert pieces == whole


def test_block_causal_attention() -> None:
    visible = block_causal(5, 2, torch.device("cpu"))
    assert visible.int().tolist() == [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 0], [1] * 5]


@pytest.mark.parametrize("name", ["cslm-8b", "glm-4-voice"])
def test_the_first_cut_of_a_bundle_is_the_smallest_that_gives_audio(name: str) -> None:
    directory = BUNDLES / name
    config, first = load_config(directory / "vocoder"), load_profile(directory).cuts.first_units

    def window(units: int) -> Window | None:
        rate, flow = config.frames_per_unit, config.flow
        nearest = flow.stretch == "nearest"
        return next_window(config.grid, rate, 0, units, ended=False, align=flow.block_units, nearest=nearest)

    assert window(first) is not None
    assert window(first - 1) is None
