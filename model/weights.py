"""Reads configurations and tensors of a bundle's parts. Any fault is a BundleError that names the file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from streaming.errors import BundleError, SpeechServerError

if TYPE_CHECKING:
    from torch import Tensor, nn

_T = TypeVar("_T")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises BundleError: `bundle_file_missing`, `bundle_invalid`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _missing(path) from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} is not JSON: {error}", param=path.name) from error
    if not isinstance(found, dict):
        raise BundleError(f"{path} holds a {type(found).__name__}; accepted: a JSON object", param=path.name)
    return found


def read_config(kind: type[_T], path: Path) -> _T:
    """A dataclass of sizes from a JSON file, names and types checked. Raises BundleError naming the field."""
    raw = read_json(path)
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type] # of a dataclass
    for name in raw:
        if name not in known:
            raise BundleError(f"{path}: {name} is unknown; accepted: {', '.join(sorted(known))}", param=name)
    try:
        return TypeAdapter(kind).validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"{path}: {where}: {first['msg']}", param=where) from None


@contextmanager
def opened(path: Path, framework: str = "pt") -> Iterator[Any]:
    """A safetensors file. Raises BundleError: `bundle_file_missing`, `bundle_file_truncated`; also for what is read inside."""
    if not path.is_file():
        raise _missing(path)
    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except SafetensorError as error:
        message = f"{path} is cut short or no safetensors file: {error}"
        raise BundleError(message, code="bundle_file_truncated", param=path.name) from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, as float32. Raises as `opened`."""
    with opened(path) as file:
        return {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - not a dict


def check_shapes(path: Path, found: Mapping[str, Sequence[int]], module: nn.Module) -> None:
    """That a file holds exactly the tensors of `module`. Raises BundleError naming the first that differs."""
    wanted = {name: list(tensor.shape) for name, tensor in module.state_dict().items()}
    shapes = {name: list(shape) for name, shape in found.items()}
    for name in sorted(wanted.keys() | shapes.keys()):
        if wanted.get(name) != shapes.get(name):
            has, wants = shapes.get(name, "missing"), wanted.get(name, "no such tensor")
            raise BundleError(f"{path}: {name} is {has}, expected {wants}", param=name)


def fill(module: nn.Module, path: Path) -> None:
    """Load a safetensors file of exactly the layout of `module`. Raises BundleError."""
    tensors = read_tensors(path)
    check_shapes(path, {name: tensor.shape for name, tensor in tensors.items()}, module)
    module.load_state_dict(tensors)


@contextmanager
def loading(directory: Path) -> Iterator[None]:
    """Whatever fails while the part of a bundle in `directory` is loaded is a BundleError, such as sizes that torch cannot make."""
    try:
        yield
    except SpeechServerError:
        raise
    except Exception as error:  # torch, numpy and safetensors each have their own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BundleError(f"{directory} cannot be loaded: {reason}", param=directory.name) from error


def _missing(path: Path) -> BundleError:
    return BundleError(f"{path} is missing", code="bundle_file_missing", param=path.name)
