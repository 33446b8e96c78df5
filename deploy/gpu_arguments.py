#!/usr/bin/env python3
"""Does the GPU image's environment import, and does vLLM accept what the server asks of it? For a machine without a GPU.

    python3 deploy/install.py --venv build/gpu --variant gpu
    build/gpu/bin/python deploy/gpu_arguments.py

vLLM is told that there are two H100s. Nothing is loaded and nothing runs: this finds an argument that a new version of vLLM no
longer has, or settings that exclude each other. In place of the driver's library stands an empty one, made with gcc.
"""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

CONTEXT = 8192
CASES: tuple[dict[str, Any], ...] = (
    {},
    {"quantization": "fp8"},
    {"eager": True},
    {"batched_tokens": 2048},
    {"dtype": "float16"},
    {"tensor_parallel": 2},
)
# cslm-8b: Llama 3.1 with the vocabulary of docs/cslm-8b.md
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "vocab_size": 132_356,
    "max_position_embeddings": 131_072,
    "rope_theta": 500_000.0,
    "torch_dtype": "bfloat16",
}


def stand_in_for_the_driver(directory: Path) -> None:
    """Load a libcuda.so.1 whose functions all fail, unless the machine has the real one."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        package = find_spec("vllm")
        if package is None or package.origin is None:
            raise
        libraries = map(str, Path(package.origin).parent.glob("*.so"))
        listing = subprocess.run(
            ["nm", "-D", "--undefined-only", *libraries], capture_output=True, text=True, check=True
        )
        driver = {
            name
            for name in re.findall(r"\bcu[A-Z]\w*", listing.stdout)
            if name.startswith(("cuC", "cuD", "cuG", "cuM", "cuP", "cuT"))
        }
        source, library = directory / "driver.c", directory / "libcuda.so.1"
        source.write_text("".join(f"int {name}(void) {{ return 100; }}\n" for name in sorted(driver)), encoding="utf-8")
        subprocess.run(["gcc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", library, source], check=True)
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


def pretend_gpus() -> None:
    """Let vLLM find two H100s."""
    from vllm import platforms
    from vllm.platforms.cuda import NonNvmlCudaPlatform
    from vllm.platforms.interface import DeviceCapability

    class Pretended(NonNvmlCudaPlatform):
        get_device_capability = classmethod(lambda cls, device_id=0: DeviceCapability(9, 0))
        get_device_name = classmethod(lambda cls, device_id=0: "NVIDIA H100 80GB HBM3")
        get_device_total_memory = classmethod(lambda cls, device_id=0: 80 << 30)
        device_count = classmethod(lambda cls: 2)
        is_fully_connected = classmethod(lambda cls, ids: True)

    platforms._current_platform = Pretended()


def main() -> int:
    """0 if everything was accepted; vLLM's own exception says what was not."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        stand_in_for_the_driver(directory)
        (directory / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
        pretend_gpus()
        from vllm.engine.arg_utils import AsyncEngineArgs

        import server.app
        from model.lm.engine_options import EngineConfig, engine_options

        for case in CASES:
            options = engine_options(directory, EngineConfig(CONTEXT, **case), on_cpu=False)
            config = AsyncEngineArgs(**options).create_engine_config()
            print(case or "as it comes", config.model_config.dtype, config.compilation_config.cudagraph_mode, sep="\t")
    print(f"{server.app.__name__} imports, vLLM accepts {len(CASES)} configurations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
