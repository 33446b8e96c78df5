"""Averages language models that were trained one from the other: often better than each (model soups, arXiv 2203.05482).

python -m model.training merge DIRECTORY DIRECTORY … --out DIRECTORY
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file


def merge(directories: Sequence[Path], out: Path) -> None:
    """Writes the last of the Hugging Face `directories` to `out`, every weight the mean of all of theirs.

    The mean is taken in float32, a tensor at a time, and kept in the type of the last. Raises ValueError where the models are
    not of one layout.
    """
    last = directories[-1]
    files = sorted(path.name for path in last.glob("*.safetensors"))
    if not files:
        raise ValueError(f"{last} has no *.safetensors")
    out.mkdir(parents=True, exist_ok=True)
    for path in last.iterdir():
        if path.is_file() and path.name not in files and path.resolve() != (out / path.name).resolve():
            shutil.copyfile(path, out / path.name)
    for name in files:
        save_file(_mean([each / name for each in directories]), out / name, metadata={"format": "pt"})
        (out / name).chmod(0o644)


def _mean(paths: Sequence[Path]) -> dict[str, torch.Tensor]:
    with ExitStack() as opened:
        try:
            models = [opened.enter_context(safe_open(path, framework="pt")) for path in paths]
        except OSError as error:
            raise ValueError(f"the models differ in layout: {error}") from error
        keys = set(models[-1].keys())
        for path, model in zip(paths, models, strict=True):
            if odd := keys.symmetric_difference(model.keys()):
                raise ValueError(f"{path} has another layout: not all models have {sorted(odd)[0]}")
        return {key: _mean_of([model.get_tensor(key) for model in models], key) for key in sorted(keys)}


def _mean_of(tensors: Sequence[torch.Tensor], key: str) -> torch.Tensor:
    shapes = {tuple(tensor.shape) for tensor in tensors}
    if len(shapes) > 1:
        raise ValueError(f"{key} has the shapes {sorted(shapes)}: the models differ in layout")
    return torch.stack([tensor.float() for tensor in tensors]).mean(0).to(tensors[-1].dtype)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m model.training merge", description="mean of language models")
    parser.add_argument("directories", type=Path, nargs="+", metavar="DIRECTORY")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    merge(arguments.directories, arguments.out)


if __name__ == "__main__":
    main()
