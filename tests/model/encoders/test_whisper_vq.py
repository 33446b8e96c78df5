"""GLM-4-Voice's speech tokenizer against a transcription of what the released code computes, on the same random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoderLayer

from model.encoders.block_stage import BlockStage
from model.encoders.whisper_vq import CONFIG, WEIGHTS, WhisperVq, describe
from model.kinds import encoder_kind
from streaming.errors import BundleError
from streaming.stages import Pcm
from tests.released.whisper_vq import SMALL, random_encoder, write_tokenizer

LIMIT = 1e-5
LENGTHS = [1, 300, 1281, 16_000, 63_999, 64_000, 64_010, 64_201, 150_000, 480_000]
"""Samples: less than a unit, whole blocks and some more, all that the released code hears at once."""


@pytest.fixture(scope="module")
def encoder() -> WhisperVq:
    return random_encoder()


def noise(samples: int) -> Pcm:
    """Loudest at its beginning, so that the spectrogram's floor is known from the first block on."""
    pcm = np.random.default_rng(samples).uniform(-0.3, 0.3, samples).astype(np.float32)
    pcm[:4000] *= 3
    return pcm


def hidden_states(encoder: WhisperVq, pcm: Pcm) -> Tensor:
    """All at once: transformers' spectrogram and layers of Whisper, one mask over all, and the mean of four frames."""
    config = encoder.config
    extractor = WhisperFeatureExtractor(feature_size=config.n_mels)
    heard = extractor([pcm], sampling_rate=16_000, return_attention_mask=True, return_tensors="pt", padding="longest",
                      pad_to_multiple_of=1280)  # fmt: skip
    x = F.gelu(F.conv1d(F.pad(heard.input_features, (2, 0)), encoder.conv1.weight, encoder.conv1.bias))
    x = F.gelu(F.conv1d(F.pad(x, (2, 0)), encoder.conv2.weight, encoder.conv2.bias, stride=2)).transpose(1, 2)
    x = x + encoder.embed_positions.weight[: x.shape[1]]
    number = torch.arange(x.shape[1]) // config.block
    seen = (number[:, None] >= number) & heard.attention_mask[0, ::2].bool()
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[None, None]
    sizes = WhisperConfig(
        d_model=config.width, encoder_attention_heads=config.heads, encoder_ffn_dim=config.feed,
        attn_implementation="eager",
    )  # fmt: skip
    for ours in encoder.layers:
        layer = WhisperEncoderLayer(sizes).eval()
        layer.load_state_dict(ours.state_dict())
        made = layer(x, mask)
        x = made[0] if isinstance(made, tuple) else made
    return x[0].unflatten(0, (-1, config.pooled)).mean(dim=1)


@pytest.mark.parametrize("samples", LENGTHS)
@torch.inference_mode()
def test_block_by_block_is_what_the_released_code_computes_at_once(
    encoder: WhisperVq, monkeypatch: pytest.MonkeyPatch, samples: int
) -> None:
    made, nearest = list[Tensor](), encoder._nearest
    monkeypatch.setattr(encoder, "_nearest", lambda hidden: made.append(hidden) or nearest(hidden))
    pcm = noise(samples)
    units, reference = encoder.encode(pcm), hidden_states(encoder, pcm)
    assert torch.cat(made).shape == reference.shape == (-(-samples // 1280), SMALL.width)
    assert (torch.cat(made) - reference).abs().max() <= LIMIT
    if len(reference) > 1:
        assert (torch.cat(made).roll(1, 0) - reference).abs().max() > LIMIT  # the measure sees an error
    assert units == torch.cdist(reference, encoder.codebook.weight).argmin(-1).tolist()


def test_codes_vary(encoder: WhisperVq) -> None:
    assert len(set(encoder.encode(noise(150_000)))) > 20


def test_every_30_s_it_begins_anew(encoder: WhisperVq) -> None:
    pcm = noise(480_000 + 20_000)
    assert encoder.encode(pcm) == encoder.encode(pcm[:480_000]) + encoder.encode(pcm[480_000:])


@settings(max_examples=12)
@given(samples=st.sampled_from([1, 1280, 64_000, 64_001, 64_250, 130_000]), data=st.data())
def test_any_split_gives_the_same_units(encoder: WhisperVq, samples: int, data: st.DataObject) -> None:
    pcm = noise(samples)
    cuts = sorted(data.draw(st.lists(st.integers(0, samples), max_size=6)))
    state, units = encoder.open(), list[int]()
    for start, end in zip([0, *cuts], [*cuts, samples], strict=True):
        units += encoder.push(state, pcm[start:end])
    assert units + encoder.finish(state) == encoder.encode(pcm)


async def test_units_come_while_one_speaks(encoder: WhisperVq) -> None:
    pcm, stage = noise(130_000), BlockStage(encoder)
    fed = [0]

    async def pieces():  # type: ignore[no-untyped-def]
        for start in range(0, pcm.size, 10_000):
            fed[0] = start + 10_000
            yield pcm[start : start + 10_000]

    try:
        heard = [(fed[0], units) async for units in stage.encode(pieces())]
    finally:
        stage.close()
    assert [len(units) for _, units in heard] == [50, 50, 2]
    assert heard[0][0] <= 70_000
    assert [unit for _, units in heard for unit in units] == encoder.encode(pcm)


def test_what_is_kept_of_a_speech_does_not_grow_beyond_30_s(encoder: WhisperVq) -> None:
    state = encoder.open()
    encoder.push(state, noise(470_000))
    assert state.segment.past and state.segment.past[0].shape[2] <= 1500
    encoder.push(state, noise(20_000))
    assert state.segment.past is None and state.pcm.size <= 64_200


@pytest.mark.parametrize("before", ["", "encoder.", "model.encoder."])
def test_the_released_names_load(encoder: WhisperVq, tmp_path: Path, before: str) -> None:
    write_tokenizer(tmp_path, encoder, before=before)
    state = load_file(tmp_path / WEIGHTS) | {f"{before}layer_norm.weight": torch.ones(SMALL.width)}
    state |= {
        f"{before}layers.{SMALL.layers}.fc1.bias": torch.ones(4),
        "model.decoder.embed_tokens.weight": torch.ones(2),
    }
    save_file(state, tmp_path / WEIGHTS)
    assert describe(tmp_path) == SMALL
    pcm = noise(70_000)
    assert WhisperVq.load(tmp_path).encode(pcm) == encoder.encode(pcm)


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"pooling_type": "max"}, "bundle_invalid", "pooling_type"),
        ({"encoder_causal_convolution": False}, "bundle_invalid", "encoder_causal_convolution"),
        ({"quantize_vocab_size": None}, "bundle_invalid", "quantize_vocab_size"),
        ({"quantize_vocab_size": 8}, "bundle_invalid", "codebook"),
        ({"quantize_position": 4}, "bundle_invalid", "layers.3"),
    ],
)
def test_another_layout_is_named(
    encoder: WhisperVq, tmp_path: Path, changes: dict[str, object], code: str, said: str
) -> None:
    write_tokenizer(tmp_path, encoder)
    config = json.loads((tmp_path / CONFIG).read_text(encoding="utf-8"))
    if "quantize_position" in changes:
        changes = changes | {"pooling_position": changes["quantize_position"]}
    (tmp_path / CONFIG).write_text(json.dumps(config | changes), encoding="utf-8")
    with pytest.raises(BundleError) as caught:
        describe(tmp_path)
    assert (caught.value.code, said in caught.value.message) == (code, True), caught.value.message


def test_files_missing_and_cut_short_are_named(encoder: WhisperVq, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=CONFIG) as caught:
        describe(tmp_path)
    assert caught.value.code == "bundle_file_missing"
    write_tokenizer(tmp_path, encoder)
    data = (tmp_path / WEIGHTS).read_bytes()
    (tmp_path / WEIGHTS).write_bytes(data[:-100])
    with pytest.raises(BundleError) as caught:
        describe(tmp_path)
    assert caught.value.code == "bundle_file_truncated"
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(BundleError, match=WEIGHTS) as caught:
        describe(tmp_path)
    assert caught.value.code == "bundle_file_missing"


def test_check_looks_at_it(encoder: WhisperVq, tmp_path: Path) -> None:
    write_tokenizer(tmp_path, encoder)

    class Wanted:
        n_units = SMALL.n_units

    look = encoder_kind("whisper_vq").checks["encoder"]
    assert "16384 units of 128 mel bands at 12.5 a second" in look(tmp_path, Wanted())  # type: ignore[arg-type]
    Wanted.n_units = 100
    with pytest.raises(BundleError, match="16384 units"):
        look(tmp_path, Wanted())  # type: ignore[arg-type]
