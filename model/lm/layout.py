"""Examines a Hugging Face directory without loading it: configuration, shards, and the shape of every tensor of a Llama."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.weights import opened, read_json
from streaming.errors import BundleError

_EMBEDDINGS = ("embed_tokens.weight", "word_embeddings.weight")
_OUTPUTS = ("lm_head.weight", "output_layer.weight")
_BYTES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
}


@dataclass(frozen=True, slots=True)
class Layout:
    """`vocabulary`: rows of the embedding; `positions`: longest context; `kv_bytes_per_token`: in 16-bit precision;
    `unquantized_bytes`: of `bytes`, those of embedding and output layer, which quantizing while loading leaves as they are.

    Positions and bytes per token are 0 where they are not known, as of other families than Llama and ChatGLM.
    """

    architecture: str
    parameters: int
    bytes: int
    vocabulary: int
    positions: int = 0
    kv_bytes_per_token: int = 0
    unquantized_bytes: int = 0


def describe(directory: Path) -> Layout:
    """Raises BundleError: `bundle_file_missing`, `bundle_file_truncated`, `bundle_invalid` naming the file or the tensor."""
    config = read_json(directory / "config.json")
    shapes, size, unquantized = _tensors(directory)
    parameters = sum(math.prod(shape) for shape in shapes.values())
    embeddings = [shape[0] for name, shape in shapes.items() if name.endswith(_EMBEDDINGS)]
    if not embeddings:
        raise BundleError(f"{directory} has no embedding among its {len(shapes)} tensors")
    architecture = (config.get("architectures") or ["unknown"])[0]
    if config.get("model_type") == "chatglm":
        return Layout(
            architecture,
            parameters,
            size,
            embeddings[0],
            config.get("seq_length", 0),
            _chatglm_bytes(config),
            unquantized,
        )
    if architecture != "LlamaForCausalLM":
        return Layout(architecture, parameters, size, embeddings[0], unquantized_bytes=unquantized)
    try:
        wanted = {} if config.get("quantization_config") else _wanted(config)
        heads = config.get("num_key_value_heads") or config["num_attention_heads"]
        per_token = 2 * 2 * config["num_hidden_layers"] * heads * _head_width(config)
        positions = config["max_position_embeddings"]
    except KeyError as error:
        raise BundleError(f"{directory / 'config.json'} has no {error}") from None
    for name, shape in wanted.items():
        if shapes.get(name) != shape:
            found = shapes.get(name, "missing")
            raise BundleError(f"{directory}: {name} is {found}, config.json expects {shape}", param=name)
    return Layout(architecture, parameters, size, embeddings[0], positions, per_token, unquantized)


def check_gpu_memory(
    layout: Layout, *, gpu_bytes: int, share: float, gpus: int, context: int, quantization: str | None
) -> None:
    """Raises BundleError (`gpu_memory_short`) where the weights and one full context cannot fit on each of `gpus` GPUs.

    `share`: of a GPU's memory, for the language model. Activations and CUDA graphs are taken as 1.5 GB.
    """
    halved = quantization == "fp8" and layout.bytes >= 2 * layout.parameters
    linear = layout.bytes - layout.unquantized_bytes
    weights = (layout.unquantized_bytes + linear / (2 if halved else 1)) / gpus
    needed = weights + layout.kv_bytes_per_token * context / gpus + 1.5e9
    if needed > gpu_bytes * share:
        raise BundleError(
            f"the language model needs {needed / 1e9:.1f} GB of each GPU for its weights and one full context of {context} tokens; "
            f"{share:.0%} of {gpu_bytes / 1e9:.1f} GB is {share * gpu_bytes / 1e9:.1f}. Use a larger GPU, CSLM_QUANTIZATION=fp8, "
            "several GPUs (CSLM_TENSOR_PARALLEL), or a larger CSLM_GPU_MEMORY_SHARE",
            code="gpu_memory_short",
        )


def check_memory_beside(directories: Sequence[Path], *, gpu_bytes: int, share: float) -> None:
    """Raises BundleError (`gpu_memory_short`) where speech tokenizer and vocoder cannot fit into what `share` leaves of the GPU.

    Their weights are counted as they lie in `directories`, activations and CUDA's own context as 1 GB.
    """
    needed, left = 1e9 + sum(map(_weight_bytes, directories)), (1 - share) * gpu_bytes
    if needed > left:
        raise BundleError(
            f"speech tokenizer and vocoder need {needed / 1e9:.1f} GB of the GPU, but a CSLM_GPU_MEMORY_SHARE of {share:g} leaves "
            f"{left / 1e9:.1f}. Use a smaller share, CSLM_DEVICE=cpu, or another GPU (CSLM_DEVICE=cuda:1)",
            code="gpu_memory_short",
        )


def _weight_bytes(directory: Path) -> int:
    """Of the tensors' files; of an ONNX file where there are none: it stays beside what was converted from it."""
    found = [path for kind in ("*.safetensors", "*.pt") for path in directory.glob(kind)] or [*directory.glob("*.onnx")]
    return sum(path.stat().st_size for path in found)


def _tensors(directory: Path) -> tuple[dict[str, list[int]], int, int]:
    """Shapes by name, bytes in all, and bytes of embedding and output layer."""
    index = directory / "model.safetensors.index.json"
    names = sorted(set(read_json(index)["weight_map"].values())) if index.is_file() else []
    paths = [directory / name for name in names] or sorted(directory.glob("*.safetensors"))
    if not paths:
        raise BundleError(f"{directory} has no *.safetensors", code="bundle_file_missing", param="*.safetensors")
    shapes: dict[str, list[int]] = {}
    size = unquantized = 0
    for path in paths:
        with opened(path, "np") as weights:
            for name in weights.keys():  # noqa: SIM118 - not a dict
                part = weights.get_slice(name)
                shapes[name] = list(part.get_shape())
                taken = math.prod(shapes[name]) * _BYTES.get(part.get_dtype(), 2)
                size += taken
                unquantized += taken if name.endswith((*_EMBEDDINGS, *_OUTPUTS)) else 0
    return shapes, size, unquantized


def _chatglm_bytes(config: dict[str, Any]) -> int:
    width = config.get("kv_channels") or config.get("hidden_size", 0) // config.get("num_attention_heads", 1)
    layers = config.get("num_layers") or config.get("num_hidden_layers", 0)
    return 2 * 2 * layers * config.get("multi_query_group_num", 0) * width


def _head_width(config: dict[str, Any]) -> int:
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def _wanted(config: dict[str, Any]) -> dict[str, list[int]]:
    """Shapes of a Llama (arXiv 2407.21783) of these sizes."""
    width, inner, rows = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    query = config["num_attention_heads"] * _head_width(config)
    key = (config.get("num_key_value_heads") or config["num_attention_heads"]) * _head_width(config)
    wanted = {"model.embed_tokens.weight": [rows, width], "model.norm.weight": [width]}
    if not config.get("tie_word_embeddings"):
        wanted["lm_head.weight"] = [rows, width]
    inside = {
        "self_attn.q_proj": [query, width], "self_attn.k_proj": [key, width], "self_attn.v_proj": [key, width],
        "self_attn.o_proj": [width, query], "mlp.gate_proj": [inner, width], "mlp.up_proj": [inner, width],
        "mlp.down_proj": [width, inner], "input_layernorm": [width], "post_attention_layernorm": [width],
    }  # fmt: skip
    for layer in range(config["num_hidden_layers"]):
        wanted |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in inside.items()}
    return wanted
