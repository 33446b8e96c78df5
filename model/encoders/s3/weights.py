"""The tokenizer's weights, from the released ONNX file or from the safetensors file that `convert` makes of it.

Two different files are named `speech_tokenizer_v1.onnx`: that of CosyVoice-300M has 50 frames a second, that of
CosyVoice-300M-25Hz has 25. All their tensors have the same shapes. The stride of the first convolution tells them apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from model.encoders.s3.network import S3Config, S3Network
from model.weights import check_shapes, opened, read_tensors
from streaming.errors import BundleError

SAFETENSORS, ONNX = "s3.safetensors", "speech_tokenizer_v1.onnx"
_CODEBOOK = "/quantizer/rq/model/layers.0/_codebook/Pow_1"
_IN_BLOCK = re.compile(r"/(blocks\.\d+)/(.+)/(MatMul|Mul|Add|Add_1|LayerNormalization)")


def load_network(directory: Path) -> S3Network:
    """The network of a bundle's `encoder/`. Raises BundleError: `bundle_file_missing`, `bundle_invalid`, `wrong_tokenizer`."""
    path = _weights(directory)
    config, state = read_safetensors(path) if path.name == SAFETENSORS else read_onnx(path)
    _check(path, config, {name: tensor.shape for name, tensor in state.items()})
    with torch.device("meta"):
        network = S3Network(config)
    network.load_state_dict(state, assign=True)
    return network.eval()


def describe(directory: Path) -> S3Config:
    """Sizes of the network in `directory`, its weights left unread where they are safetensors. Raises as `load_network`."""
    path = _weights(directory)
    if path.name == ONNX:
        return load_network(directory).config
    with opened(path) as file:
        config = _config_in(path, file)
        _check(path, config, {name: file.get_slice(name).get_shape() for name in file.keys()})  # noqa: SIM118 - not a dict
    return config


def _weights(directory: Path) -> Path:
    for path in (directory / SAFETENSORS, directory / ONNX):
        if path.is_file():
            return path
    raise BundleError(f"{directory} has neither {SAFETENSORS} nor {ONNX}", code="bundle_file_missing")


def _check(path: Path, config: S3Config, shapes: Mapping[str, Sequence[int]]) -> None:
    if config.stride != 2:
        raise BundleError(
            f"{path} is the tokenizer with 50 frames a second (CosyVoice-300M); the one with 25 is needed, "
            "from CosyVoice-300M-25Hz: the two files have the same name",
            code="wrong_tokenizer",
        )
    with torch.device("meta"):
        check_shapes(path, shapes, S3Network(config))


def read_safetensors(path: Path) -> tuple[S3Config, dict[str, Tensor]]:
    """What `convert` wrote."""
    with opened(path) as file:
        config = _config_in(path, file)
    return config, read_tensors(path)


def _config_in(path: Path, file: Any) -> S3Config:
    try:
        return S3Config(**json.loads((file.metadata() or {})["config"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"the sizes in {path} cannot be read: {error}") from error


def convert(source: Path, target: Path) -> None:
    """ONNX to safetensors: a third of the time to load, no package `onnx` needed afterwards. Raises BundleError."""
    config, state = read_onnx(source)
    save_file({k: v.contiguous() for k, v in state.items()}, target, metadata={"config": json.dumps(asdict(config))})


def read_onnx(path: Path) -> tuple[S3Config, dict[str, Tensor]]:
    """Sizes and state dict from the graph's initializers, told apart by the names of the nodes that use them."""
    import onnx

    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # protobuf's and onnx's own kinds
        raise BundleError(f"{path} cannot be read as an ONNX file: {error}") from error
    state = _state(graph)
    try:
        config = _config(graph, state)
    except (KeyError, StopIteration) as error:
        raise BundleError(f"{path} is not CosyVoice's tokenizer of the first generation: it lacks {error}") from None
    return config, state


def _state(graph: Any) -> dict[str, Tensor]:
    from onnx import numpy_helper

    def tensor(name: str) -> Tensor:
        return torch.from_numpy(numpy_helper.to_array(constants[name]).copy())

    constants = {constant.name: constant for constant in graph.initializer}
    state: dict[str, Tensor] = {}
    convolutions = 0
    for node in graph.node:
        held = [name for name in node.input if name in constants]
        inner = _IN_BLOCK.fullmatch(node.name)
        if node.op_type == "Conv":
            convolutions += 1
            for kind, name in zip(("weight", "bias"), held, strict=False):
                state[f"encoder.conv{convolutions}.{kind}"] = tensor(name)
        elif node.name == _CODEBOOK and held:
            state["quantizer._codebook.embed"] = tensor(held[0]).t()
        elif "encoders.positional_embedding" in held:
            state["encoder.positional_embedding"] = tensor("encoders.positional_embedding")
        elif inner and inner[3] == "LayerNormalization":
            for kind, name in zip(("weight", "bias"), held, strict=False):
                state[_in_block(inner, kind)] = tensor(name)
        elif inner and held and (value := tensor(held[0])).numel() > 1:  # a norm's epsilon is a number
            state[_in_block(inner, "bias" if inner[3].startswith("Add") else "weight")] = value.t()
    return state


def _in_block(node: re.Match[str], kind: str) -> str:
    return f"encoder.{node[1]}.{node[2].replace('/', '.').replace('mlp.mlp', 'mlp')}.{kind}"


def _config(graph: Any, state: dict[str, Tensor]) -> S3Config:
    first = next(node for node in graph.node if node.op_type == "Conv")
    stride = next(next(iter(attribute.ints)) for attribute in first.attribute if attribute.name == "strides")
    width, n_mels, _ = state["encoder.conv1.weight"].shape
    n_units, _ = state["quantizer._codebook.embed"].shape
    layers = len({name.split(".")[2] for name in state if name.startswith("encoder.blocks.")})
    positions, _ = state["encoder.positional_embedding"].shape
    return S3Config(n_units, n_mels, width, width // 64, layers, positions, stride)
