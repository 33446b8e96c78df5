from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.training.merge import merge


def weights(directory: Path, value: float, *, shape: tuple[int, ...] = (2, 3), name: str = "a") -> Path:
    directory.mkdir()
    tensors = {name: torch.full(shape, value, dtype=torch.bfloat16), "b": torch.full((2,), -value)}
    save_file(tensors, directory / "model.safetensors")
    (directory / "config.json").write_text(f'{{"of": "{directory.name}"}}')
    return directory


def test_every_weight_is_the_mean_in_the_type_of_the_last(tmp_path: Path) -> None:
    merge([weights(tmp_path / "one", 1.0), weights(tmp_path / "two", 2.0)], tmp_path / "out")
    mean = load_file(tmp_path / "out" / "model.safetensors")
    assert mean["a"].dtype == torch.bfloat16
    assert mean["a"].tolist() == [[1.5] * 3] * 2
    assert mean["b"].tolist() == [-1.5] * 2
    assert (tmp_path / "out" / "config.json").read_text() == '{"of": "two"}'


def test_the_mean_may_take_the_place_of_the_last(tmp_path: Path) -> None:
    one, two = weights(tmp_path / "one", 1.0), weights(tmp_path / "two", 3.0)
    merge([one, two], two)
    assert load_file(two / "model.safetensors")["b"].tolist() == [-2.0] * 2


@pytest.mark.parametrize("other", [{"shape": (3, 2)}, {"name": "c"}])
def test_models_of_different_layout_are_refused(tmp_path: Path, other: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="layout"):
        merge([weights(tmp_path / "one", 1.0), weights(tmp_path / "two", 2.0, **other)], tmp_path / "out")  # type: ignore[arg-type]


def test_a_directory_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no"):
        merge([weights(tmp_path / "one", 1.0), tmp_path / "empty"], tmp_path / "out")
    with pytest.raises(ValueError, match="differ in layout"):
        merge([tmp_path / "empty", tmp_path / "one"], tmp_path / "out")
