"""Reads released checkpoints safely: tensors only, with every name and shape checked."""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from streaming.errors import BundleError

_NORMED = re.compile(r"(?P<layer>.+)\.(?:weight_(?P<old>[gv])|parametrizations\.weight\.original(?P<new>[01]))")


def read(path: Path) -> dict[str, Any]:
    """What `torch.save` wrote, without running code from it; tensors are read when they are used.

    Raises BundleError naming the file: `bundle_file_missing`, `bundle_file_truncated`, `bundle_invalid`.
    """
    if not path.is_file():
        raise BundleError(f"{path} is missing", code="bundle_file_missing", param=path.name)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BundleError(
            f"{path} cannot be read, it may be incomplete: {reason}", code="bundle_file_truncated", param=path.name
        ) from error
    if not isinstance(found, dict):
        raise BundleError(f"{path} holds a {type(found).__name__}; accepted: a dictionary of tensors")
    return found


def load_into(module: nn.Module, path: Path) -> None:
    """Fill `module` from a checkpoint of exactly its layout. Raises BundleError naming what differs.

    Weight normalisation, in its old and its new spelling, is folded into plain weights; `generator.` before the names of a
    HiFT that was trained as part of a GAN is taken off.
    """
    state = _of_layout(module, path, _tensors(path))
    module.load_state_dict({name: value.float() for name, value in state.items()})


def check_layout(module: nn.Module, path: Path) -> None:
    """The same look without filling anything: names and shapes alone are read. `module` may be on the meta device."""
    _of_layout(module, path, {name: value.to("meta") for name, value in _tensors(path).items()})


def _tensors(path: Path) -> dict[str, Tensor]:
    return {name.removeprefix("generator."): value for name, value in read(path).items() if isinstance(value, Tensor)}


def _of_layout(module: nn.Module, path: Path, state: dict[str, Tensor]) -> dict[str, Tensor]:
    state, wanted = fold_weight_norm(state), module.state_dict()
    problems = [f"{name} is missing" for name in wanted if name not in state]
    problems += [f"{name} is unknown" for name in state if name not in wanted]
    problems += [
        f"{name} is {list(state[name].shape)} instead of {list(value.shape)}"
        for name, value in wanted.items()
        if name in state and state[name].shape != value.shape
    ]
    if problems:
        more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise BundleError(f"{path} does not have this model's layout: {'; '.join(problems[:3])}{more}")
    return state


def fold_weight_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of length and direction (arXiv 1602.07868) to names of weights."""
    folded, halves = dict[str, Tensor](), dict[str, dict[str, Tensor]]()
    for name, value in state.items():
        found = _NORMED.fullmatch(name)
        if found is None:
            folded[name] = value
        else:
            half = found["old"] or "gv"[int(found["new"])]
            halves.setdefault(found["layer"], {})[half] = value
    for layer, parts in halves.items():
        if parts.keys() == {"g", "v"}:
            folded[f"{layer}.weight"] = torch._weight_norm(parts["v"].float(), parts["g"].float(), 0)
    return folded


def load_speakers(path: Path, width: int) -> dict[str, Tensor]:
    """Voices by name, each [width], in the file's order. Raises BundleError."""
    voices = dict[str, Tensor]()
    for name, entry in read(path).items():
        vector = entry.get("embedding") if isinstance(entry, dict) else entry
        if not isinstance(vector, Tensor) or vector.numel() != width:
            raise BundleError(f"{path}: the voice {name!r} has no embedding of {width} numbers")
        voices[str(name)] = vector.float().reshape(width)
    if not voices:
        raise BundleError(f"{path} has no voice")
    return voices
