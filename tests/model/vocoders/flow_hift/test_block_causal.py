"""The vocoder as GLM-4-Voice has it: block-causal over units, each as long as it is, the mel before a block as its prompt."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.bundle import BUNDLES
from model.vocoders.flow_hift.config import load_config
from model.vocoders.flow_hift.decoder import FlowHiftVocoder
from model.vocoders.flow_hift.encoder import sinusoids
from model.vocoders.flow_hift.flow import Flow
from tests.released.decoder import small_config, write_decoder

BLOCK, HOP = 10, 256


@pytest.fixture(scope="module")
def glm(tmp_path_factory: pytest.TempPathFactory) -> FlowHiftVocoder:
    directory = tmp_path_factory.mktemp("glm")
    write_decoder(directory)
    return FlowHiftVocoder.load(directory)


def some_units(count: int, seed: int = 0) -> list[int]:
    return [int(unit) for unit in np.random.default_rng(seed).integers(0, 16_384, count)]


def condition(flow: Flow, units: Tensor) -> Tensor:
    """What the released code makes of whole speech: unit by unit, heads one after the other, stretched by `interpolate`."""
    encoder, config = flow.encoder, small_config().flow
    x = encoder.embed.out(flow.input_embedding(units)[0]) * math.sqrt(config.width)
    count, head = len(x), config.width // config.heads
    for layer in encoder.encoders:
        y, mixed, attention = layer.norm_mha(x), torch.zeros_like(x), layer.self_attn  # type: ignore[operator]
        q, k, v = attention.linear_q(y), attention.linear_k(y), attention.linear_v(y)  # type: ignore[operator, union-attr]
        for at in range(count):
            seen = min(count, (at // BLOCK + 1) * BLOCK)
            far = attention.linear_pos(sinusoids(at - torch.arange(seen), config.width))  # type: ignore[operator, union-attr]
            for part in range(config.heads):
                of = slice(part * head, (part + 1) * head)
                u, w = attention.pos_bias_u[part], attention.pos_bias_v[part]  # type: ignore[index, union-attr]
                scores = k[:seen, of] @ (q[at, of] + u) + far[:, of] @ (q[at, of] + w)
                mixed[at, of] = (scores / math.sqrt(head)).softmax(0) @ v[:seen, of]
        x = x + attention.linear_out(mixed)  # type: ignore[operator, union-attr]
        x = x + layer.feed_forward(layer.norm_ff(x))  # type: ignore[operator]
    hidden = flow.encoder_proj(encoder.after_norm(x))[None].transpose(1, 2)
    frames = int(count / 12.5 * 22_050 / 256)
    return flow.length_regulator.model(F.interpolate(hidden, size=frames, mode="nearest"))


@torch.inference_mode()
def test_the_condition_is_the_released_codes(glm: FlowHiftVocoder) -> None:
    """64 units are 441 frames and no fraction of one, which the released code would round off and stretch away."""
    units = torch.tensor([some_units(64)])
    places = (torch.arange(441) * 64 // 441)[None].double()
    made, reference = glm.flow.condition(units, places), condition(glm.flow, units)
    assert made.shape == reference.shape
    assert (made - reference).abs().max() <= 1e-5
    assert (made.roll(1, -1) - reference).abs().max() > 1e-5  # the measure sees an error


@torch.inference_mode()
def test_a_block_hears_nothing_of_the_next(glm: FlowHiftVocoder) -> None:
    units = torch.tensor([some_units(30)])
    other = torch.cat([units[:, :20], units[:, 20:] + 1], dim=1) % 16_384
    made, changed = (glm.flow.encoder(glm.flow.input_embedding(each)) for each in (units, other))
    torch.testing.assert_close(made[:, :20], changed[:, :20])
    assert (made[:, 20:] - changed[:, 20:]).abs().max() > 1e-3


def test_the_bundles_settings_are_of_the_released_sizes() -> None:
    config = load_config(BUNDLES / "glm-4-voice" / "vocoder")
    assert (config.flow.n_units, config.unit_rate_hz, config.merged) == (16_384, 12.5, False)
    assert (config.flow.block_units, config.flow.width, config.sample_rate) == (BLOCK, 512, 22_050)


@pytest.mark.parametrize("size", [1, 7, 26])
def test_any_cuts_give_the_very_same_samples(glm: FlowHiftVocoder, size: int) -> None:
    units = some_units(43)
    state = glm.open()
    pieces = [glm.push(state, units[at : at + size]) for at in range(0, len(units), size)]
    pieces.append(glm.push(state, [], final=True))
    np.testing.assert_array_equal(np.concatenate(pieces), glm.decode(units))


@settings(max_examples=5)
@given(count=st.integers(0, 25), data=st.data())
def test_any_length_and_any_cuts(glm: FlowHiftVocoder, count: int, data: st.DataObject) -> None:
    units, state = some_units(count, seed=count), glm.open()
    cuts = sorted(data.draw(st.lists(st.integers(0, count), max_size=4)))
    pieces = [glm.push(state, units[start:end]) for start, end in zip([0, *cuts], [*cuts, count], strict=True)]
    pieces.append(glm.push(state, [], final=True))
    assert sum(piece.size for piece in pieces) == count * 441 // 64 * HOP
    np.testing.assert_array_equal(np.concatenate(pieces), glm.decode(units))


def test_speech_starts_after_ten_units(glm: FlowHiftVocoder) -> None:
    state, spoken = glm.open(), list[int]()
    for number, unit in enumerate(some_units(41), start=1):
        if glm.push(state, [unit]).size:
            spoken.append(number)
    assert spoken == [10, 20, 40]


def test_repeats_last(glm: FlowHiftVocoder) -> None:
    assert glm.decode([5, 5, 5, 6]).size == 4 * 441 // 64 * HOP
    assert glm.timing == "every unit lasts 80 ms"


def test_what_is_kept_of_a_stream_does_not_grow(glm: FlowHiftVocoder) -> None:
    state, sizes = glm.open(), list[int]()
    for seed in range(3):
        glm.push(state, some_units(40, seed))
        sizes.append(state.mel.shape[1])
    assert max(sizes) <= 2 * 276 + 137


def test_the_prompt_matters(glm: FlowHiftVocoder) -> None:
    config = glm.config
    without = FlowHiftVocoder(
        replace(config, grid=replace(config.grid, prompt=False)), glm.flow, glm.hift, {"default": torch.zeros(192)}
    )
    units = some_units(20)
    assert np.abs(without.decode(units) - glm.decode(units)).max() > 1e-4
