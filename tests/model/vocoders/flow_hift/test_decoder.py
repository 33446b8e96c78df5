"""Streams of the vocoder: the same samples for any cuts, alone or with others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.vocoders.flow_hift import durations
from model.vocoders.flow_hift.config import Grid, VocoderConfig, load_config, save_config
from model.vocoders.flow_hift.decoder import FlowHiftVocoder, Stream
from model.vocoders.flow_hift.durations import DurationPredictor
from model.vocoders.flow_hift.small import SMALL, VOICES, write_small
from streaming.errors import BundleError, InvalidRequest
from streaming.stages import Pcm

HOP = 256


def some_units(count: int, seed: int = 0) -> list[int]:
    return [int(unit) for unit in np.random.default_rng(seed).integers(0, 4096, count)]


def streamed(vocoder: FlowHiftVocoder, units: list[int], sizes: list[int]) -> list[Pcm]:
    state, pieces, at = vocoder.open(), [], 0
    for size in sizes:
        pieces.append(vocoder.push(state, units[at : at + size]))
        at += size
    return [*pieces, vocoder.push(state, units[at:], final=True)]


@pytest.mark.parametrize("size", [1, 2, 7, 25, 120])
def test_any_cuts_give_the_very_same_samples(vocoder: FlowHiftVocoder, size: int) -> None:
    units = some_units(130)
    whole = vocoder.decode(units)
    np.testing.assert_array_equal(np.concatenate(streamed(vocoder, units, [size] * (130 // size))), whole)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 19, 20, 21, 22, 23, 24, 40, 61])
def test_any_length_is_spoken_to_its_end(vocoder: FlowHiftVocoder, count: int) -> None:
    units = some_units(count, seed=count)
    state = vocoder.open()
    pieces = [vocoder.push(state, units), vocoder.push(state, [], final=True)]
    frames = len(state.spread) * 441 // 128
    assert sum(piece.size for piece in pieces) == frames * HOP
    np.testing.assert_array_equal(np.concatenate(pieces), vocoder.decode(units))
    assert vocoder.push(state, [1, 2, 3], final=True).size == 0


def test_random_cuts_with_empty_ones(vocoder: FlowHiftVocoder) -> None:
    rng, units = np.random.default_rng(4), some_units(90, seed=9)
    whole = vocoder.decode(units)
    for _ in range(4):
        marks = np.sort(rng.integers(0, 91, 5))
        sizes = np.diff([0, *marks]).tolist()
        np.testing.assert_array_equal(np.concatenate(streamed(vocoder, units, sizes)), whole)


def test_speech_starts_within_the_first_chunk(vocoder: FlowHiftVocoder) -> None:
    """The paper's sample has chunks of 35 and 79 units."""
    pieces = streamed(vocoder, some_units(35, seed=3), [1] * 34)
    assert next(number for number, piece in enumerate(pieces, start=1) if piece.size) <= 25


def test_sessions_decoded_together_sound_as_alone(weights: Path) -> None:
    """At a steady pitch: a pitch on the brink between two steps may round differently in a batch, and shift the phase a little."""
    vocoder = FlowHiftVocoder.load(weights)
    vocoder.hift.f0_predictor.classifier.weight.data.zero_()
    lines = [some_units(count, seed=count) for count in (60, 75, 30, 1)]
    alone = [vocoder.decode(line) for line in lines]
    states = [vocoder.open() for _ in lines]
    heard: list[list[Pcm]] = [[] for _ in lines]
    for at in range(0, 75, 15):
        jobs = [(state, line[at : at + 15], at + 15 >= len(line)) for state, line in zip(states, lines, strict=True)]
        for pieces, pcm in zip(heard, vocoder.push_all(jobs), strict=True):
            pieces.append(pcm)
    for pieces, wanted in zip(heard, alone, strict=True):
        np.testing.assert_allclose(np.concatenate(pieces), wanted, atol=1e-5)


def test_what_is_kept_of_a_stream_does_not_grow(vocoder: FlowHiftVocoder) -> None:
    def kept(state: Stream) -> int:
        return state.mel.shape[1] + state.source.shape[0] // HOP

    state = vocoder.open()
    sizes = []
    for _ in range(6):
        vocoder.push(state, some_units(50, seed=len(sizes)))
        sizes.append(kept(state))
    assert max(sizes[2:]) <= max(sizes[:2]) + 2 * SMALL.grid.block


def test_voices_sound_different_and_unknown_ones_are_refused(vocoder: FlowHiftVocoder) -> None:
    assert vocoder.voices == VOICES
    units = some_units(12)
    assert np.abs(vocoder.decode(units, VOICES[0]) - vocoder.decode(units, VOICES[1])).max() > 1e-3
    np.testing.assert_array_equal(vocoder.decode(units), vocoder.decode(units, VOICES[0]))
    with pytest.raises(InvalidRequest, match="accepted: 中文女") as caught:
        vocoder.open("nobody")
    assert caught.value.param == "voice"


def test_repeats_are_one_unit(vocoder: FlowHiftVocoder) -> None:
    state = vocoder.open()
    pieces = [vocoder.push(state, [5, 5]), vocoder.push(state, [5, 6, 6], final=True)]
    np.testing.assert_array_equal(np.concatenate(pieces), vocoder.decode([5, 6]))


def test_a_unit_that_there_is_not_is_refused(vocoder: FlowHiftVocoder) -> None:
    with pytest.raises(ValueError, match="unit 4450"):
        vocoder.decode([1, 4450])


def test_without_a_predictor_every_unit_lasts_one_frame(tmp_path: Path) -> None:
    write_small(tmp_path, predictor=False)
    plain = FlowHiftVocoder.load(tmp_path)
    assert plain.decode(some_units(40)).size == 40 * 441 // 128 * HOP
    assert "40 ms" in plain.timing
    durations.save(DurationPredictor(4096, 16), tmp_path)
    assert "predicted" in FlowHiftVocoder.load(tmp_path).timing
    save_config(replace(load_config(tmp_path), durations="fixed", fixed_frames=2), tmp_path)
    slow = FlowHiftVocoder.load(tmp_path)
    assert slow.decode(some_units(40)).size == 80 * 441 // 128 * HOP


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_near(weights: Path, vocoder: FlowHiftVocoder, dtype: str) -> None:
    half = FlowHiftVocoder.load(weights)
    made = FlowHiftVocoder(
        replace(half.config, dtype=dtype), half.flow, half.hift, {"one": torch.ones(192)}, half.predictor
    )
    exact = FlowHiftVocoder(
        vocoder.config, FlowHiftVocoder.load(weights).flow, vocoder.hift, {"one": torch.ones(192)}, vocoder.predictor
    )
    units = some_units(30)
    halved, whole = made.decode(units), exact.decode(units)
    assert halved.dtype == np.float32 and halved.size == whole.size
    assert np.abs(halved - whole).max() < 0.2 and np.isfinite(halved).all()


@pytest.mark.parametrize("prompt", [False, True])
def test_a_grid_with_prompts_streams_exactly_too(weights: Path, prompt: bool) -> None:
    vocoder = FlowHiftVocoder.load(weights)
    grid = Grid(ramp=(30,), block=60, back=40, ahead=20, fade=8, prompt=prompt)
    made = FlowHiftVocoder(
        replace(vocoder.config, grid=grid), vocoder.flow, vocoder.hift, {"one": torch.ones(192)}, vocoder.predictor
    )
    units = some_units(80)
    np.testing.assert_array_equal(np.concatenate(streamed(made, units, [9] * 8)), made.decode(units))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"flow": {"widht": 3}}', "flow.widht"),
        ('{"dtype": "int8"}', "dtype"),
        ('{"flow": {"stretch": "cubic"}}', "flow.stretch"),
        ('{"grid": {"block": 0}}', "grid"),
        ('{"durations": "guessed"}', "durations"),
        ('{"mel_hop": 300}', "HiFT makes 256"),
        ("not json", "config.json"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(BundleError, match=named):
        load_config(tmp_path)


def test_no_settings_are_the_released_ones(tmp_path: Path) -> None:
    assert load_config(tmp_path) == VocoderConfig()
    assert VocoderConfig().frames_per_unit == 441 / 128
