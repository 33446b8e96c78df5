"""What vLLM is told of a language model and of the machine, and what it must find there."""

from __future__ import annotations

import json
import os
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streaming.errors import BundleError

BLOCK_TOKENS = 32
"""Of a CPU's cache: it keeps prompts in whole blocks."""


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """`kv_cache_mb` matters on CPUs, where vLLM would take half the memory without it; GPUs use `gpu_memory_share`.

    `dtype` None is the checkpoint's own; vLLM's "auto" would serve float32 weights in half precision. `quantization`: `fp8`
    quantizes 16-bit weights while they load, `awq` and others need a checkpoint made for them. `tensor_parallel`: GPUs that share
    the layers. `eager`: no compiled layers and no CUDA graphs, which starts sooner and answers later; None is eager only on a CPU
    without a C++ compiler. `batched_tokens`: most tokens of one step, prompts
    in pieces among them (chunked prefill), so that a long prompt does not stop the others; None is vLLM's choice.
    `constrains`: what is written can be held to a JSON Schema, for which the engine loads the tokenizer.
    """

    max_model_len: int
    max_sequences: int = 64
    kv_cache_mb: int = 256
    gpu_memory_share: float = 0.8
    dtype: str | None = None
    quantization: str | None = None
    tensor_parallel: int = 1
    eager: bool | None = None
    batched_tokens: int | None = None
    constrains: bool = False


def engine_options(directory: Path, config: EngineConfig, *, on_cpu: bool) -> dict[str, Any]:
    """Arguments of vLLM's `EngineArgs`. Each request has its sampling; the checkpoint's own defaults are not read."""
    options: dict[str, Any] = {
        "model": str(directory),
        "skip_tokenizer_init": not config.constrains,
        "generation_config": "vllm",
        "max_model_len": config.max_model_len,
        "max_num_seqs": config.max_sequences,
        "dtype": config.dtype or _own_dtype(directory),
        "quantization": config.quantization,
        "hf_overrides": _missing_length(directory, config.max_model_len),
        "enforce_eager": on_cpu and bool(missing_compiler()) if config.eager is None else config.eager,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }
    if config.constrains:  # JSON as the model was trained to write it, without a choice of spaces
        options["structured_outputs_config"] = {"backend": "xgrammar", "disable_any_whitespace": True}
    if on_cpu:
        kv_cache = {"kv_cache_memory_bytes": config.kv_cache_mb << 20, "block_size": BLOCK_TOKENS}
        return options | kv_cache
    return options | {
        "gpu_memory_utilization": config.gpu_memory_share,
        "tensor_parallel_size": config.tensor_parallel,
        "enable_chunked_prefill": True,
        "max_num_batched_tokens": config.batched_tokens,
    }


def require_compiler() -> None:
    """Raises BundleError (`compiler_missing`) without a C++ compiler or Python's headers, with which torch compiles the layers."""
    if missing := missing_compiler():
        raise BundleError(
            f"CSLM_EAGER=false compiles the language model's layers on a CPU, which takes {' and '.join(missing)}, not"
            " installed here (on Debian: g++, python3-dev); or leave CSLM_EAGER unset",
            code="compiler_missing",
        )


def missing_compiler() -> list[str]:
    """What compiling takes and this machine lacks."""
    compiler = os.environ.get("CXX") or "g++"
    header = Path(sysconfig.get_path("include"), "Python.h")
    return [str(what) for what, found in ((compiler, shutil.which(compiler)), (header, header.is_file())) if not found]


def _own_dtype(directory: Path) -> str:
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    return config.get("dtype") or config.get("torch_dtype") or "auto"


def _missing_length(directory: Path, length: int) -> dict[str, int]:
    """vLLM takes a ChatGLM that does not say for how many positions it was made as one of 2,048."""
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != "chatglm" or "seq_length" in config:
        return {}
    return {"seq_length": length, "max_position_embeddings": length}
