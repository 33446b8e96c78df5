"""Checkpoints: those of old and new spelling load, and what is wrong with others is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from model.vocoders.flow_hift.decoder import FlowHiftVocoder, describe
from model.vocoders.flow_hift.hift import Hift
from model.vocoders.flow_hift.small import SMALL, unfold_weight_norm
from model.vocoders.flow_hift.weights import fold_weight_norm
from streaming.errors import BundleError


@pytest.fixture
def copy(weights: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(weights, tmp_path / "copy"))


@pytest.mark.parametrize("prefix", ["", "generator."])
def test_old_names_load_the_same(copy: Path, vocoder: FlowHiftVocoder, prefix: str) -> None:
    old = {prefix + name: value for name, value in unfold_weight_norm(vocoder.hift, old=True).items()}
    assert any(name.endswith("weight_g") for name in old)
    torch.save(old, copy / "hift.pt")
    again = FlowHiftVocoder.load(copy)
    np.testing.assert_allclose(again.decode([1, 2, 3]), vocoder.decode([1, 2, 3]), atol=1e-6)


def test_folding_gives_the_weights_back() -> None:
    hift = Hift(SMALL.hift, 22_050)
    folded = fold_weight_norm(unfold_weight_norm(hift))
    assert folded.keys() == hift.state_dict().keys()
    for name, value in hift.state_dict().items():
        torch.testing.assert_close(folded[name], value)


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "hift.pt").unlink()
    for way in (FlowHiftVocoder.load, describe):
        with pytest.raises(BundleError, match=r"hift\.pt is missing") as caught:
            way(copy)
        assert (caught.value.code, caught.value.param) == ("bundle_file_missing", "hift.pt")


@pytest.mark.parametrize("length", [0, 10, 5000])
def test_a_truncated_file_is_named(copy: Path, length: int) -> None:
    (copy / "flow.pt").write_bytes((copy / "flow.pt").read_bytes()[:length])
    for way in (FlowHiftVocoder.load, describe):
        with pytest.raises(BundleError, match=r"flow\.pt cannot be read") as caught:
            way(copy)
        assert caught.value.code == "bundle_file_truncated"


def test_a_file_with_code_in_it_is_not_run(copy: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("run",)

    torch.save({"x": Harm()}, copy / "flow.pt")
    with pytest.raises(BundleError, match=r"flow\.pt cannot be read"):
        FlowHiftVocoder.load(copy)


@pytest.mark.parametrize("harm", ["missing", "unknown", "shape"])
def test_another_layout_is_named(copy: Path, harm: str) -> None:
    state = torch.load(copy / "flow.pt", weights_only=True)
    name = "encoder.encoders.1.self_attn.pos_bias_u"
    if harm == "missing":
        del state[name]
    elif harm == "unknown":
        state["encoder.encoders.2.norm_ff.weight"] = torch.ones(32)
    else:
        state[name] = torch.zeros(8, 4)
    torch.save(state, copy / "flow.pt")
    for way in (FlowHiftVocoder.load, describe):
        with pytest.raises(BundleError, match=r"flow\.pt does not have this model's layout: encoder\.encoders"):
            way(copy)


def test_voices_without_an_embedding_are_named(copy: Path) -> None:
    torch.save({"英文女": {"embedding": torch.zeros(1, 80)}}, copy / "spk2info.pt")
    with pytest.raises(BundleError, match="英文女"):
        FlowHiftVocoder.load(copy)
    torch.save({"英文女": torch.ones(192)}, copy / "spk2info.pt")
    assert FlowHiftVocoder.load(copy).voices == ("英文女",)


def test_a_predictor_for_other_units_is_named(copy: Path) -> None:
    save_file({"embed.weight": torch.zeros(9, 4)}, copy / "duration.safetensors")
    with pytest.raises(BundleError, match=r"duration\.safetensors"):
        FlowHiftVocoder.load(copy)
