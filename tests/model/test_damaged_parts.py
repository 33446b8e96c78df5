"""Parts of a bundle that are damaged: every way of loading them names the file, with the code of docs/errors.md."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.bundle import find_bundle
from model.weights import loading, read_json
from streaming.errors import BundleError

BUNDLE = find_bundle("cslm-mini")
PARTS = [("encoder", "trunk.safetensors"), ("encoder", "head.safetensors"), ("vocoder", "vocoder.safetensors")]


@pytest.fixture(params=PARTS, ids=[file for _, file in PARTS])
def part(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Callable[[], object], Path]:
    """A way to load a copy of the part, and a file of it to damage."""
    name, file = request.param
    directory = shutil.copytree(BUNDLE.directory / name, tmp_path / name)
    profile = BUNDLE.profile

    def load() -> object:
        if name == "encoder":
            return BUNDLE.encoder_kind.load(directory, profile, "cpu")
        return BUNDLE.vocoder_kind.load(directory, "cpu")

    return load, directory / file


def refused(load: Callable[[], object]) -> BundleError:
    with pytest.raises(BundleError) as caught:
        load()
    return caught.value


def test_a_missing_file(part: tuple[Callable[[], object], Path]) -> None:
    load, file = part
    file.unlink()
    error = refused(load)
    assert (error.code, error.param) == ("bundle_file_missing", file.name)


def test_a_file_cut_short(part: tuple[Callable[[], object], Path]) -> None:
    load, file = part
    file.write_bytes(file.read_bytes()[:-100])
    error = refused(load)
    assert (error.code, error.param) == ("bundle_file_truncated", file.name)


@pytest.mark.parametrize("damage", ["shape", "missing", "unknown"])
def test_tensors_of_another_layout(part: tuple[Callable[[], object], Path], damage: str) -> None:
    load, file = part
    tensors = load_file(file)
    name = min(tensors)
    if damage == "unknown":
        tensors["a_stranger"], name = torch.zeros(1), "a_stranger"
    elif damage == "missing":
        del tensors[name]
    else:
        tensors[name] = torch.zeros(3, 1)
    save_file(tensors, file)
    error = refused(load)
    assert (error.code, error.param) == ("bundle_invalid", name)
    assert file.name in error.message


@pytest.mark.parametrize(
    "changes",
    [
        {"n_units": None},
        {"n_units": "many"},
        {"n_units": -3},
        {"kernel": 0, "heads": 0},
        {"a_stranger": 1},
        {"n_mels": 10**12},
    ],
)
def test_sizes_that_make_no_network(part: tuple[Callable[[], object], Path], changes: dict[str, object]) -> None:
    load, file = part
    config = file.with_name("config.json")
    config.write_text(json.dumps(json.loads(config.read_text(encoding="utf-8")) | changes), encoding="utf-8")
    assert refused(load).code == "bundle_invalid"


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"])
def test_no_object_of_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    assert "config.json" in refused(lambda: read_json(tmp_path / "config.json")).message


def test_whatever_fails_in_loading_is_the_bundles_fault() -> None:
    with pytest.raises(BundleError, match="encoder cannot be loaded: no room") as caught, loading(Path("encoder")):
        raise RuntimeError("no\n room")
    assert isinstance(caught.value.__cause__, RuntimeError)
