"""Compiled layers: kept for the next engine, and left out where they cannot be had."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from model.lm.engine_options import missing_compiler
from tests.model.test_lm_backends import needs_vllm

ENGINE = """
import sys
from pathlib import Path
from model.lm.process import process_setup
process_setup()
from model.lm.engine_process import _Answers, _build
from model.lm.engine_options import EngineConfig
from vllm.compilation.counter import compilation_counter as counted
engine = _Answers(_build(Path(sys.argv[1]), EngineConfig(512, kv_cache_mb=64)))
engine.warm()
print(engine.compilation, counted.num_aot_compiles, counted.num_aot_artifacts_loaded)
"""


def started(checkpoint: Path, cache: Path, **environment: str) -> str:
    """What compiles the layers of an engine, how often they were compiled, and how often loaded."""
    shown = subprocess.run(
        [sys.executable, "-c", ENGINE, str(checkpoint)],
        capture_output=True,
        text=True,
        env=os.environ | {"VLLM_CACHE_ROOT": str(cache), "TORCHINDUCTOR_CACHE_DIR": str(cache)} | environment,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    return shown.stdout.strip()


@needs_vllm
@pytest.mark.skipif(bool(missing_compiler()), reason="layers are compiled by a C++ compiler")
def test_they_are_kept_and_left_out_where_the_compiler_fails(tmp_path: Path) -> None:
    checkpoint, cache = tmp_path / "checkpoint", tmp_path / "cache"
    config = LlamaConfig(
        vocab_size=64, hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
    )
    LlamaForCausalLM(config).save_pretrained(checkpoint)
    assert started(checkpoint, cache) == "inductor 1 0"
    assert started(checkpoint, cache) == "inductor 0 1"
    assert started(checkpoint, tmp_path / "empty", CXX="false") == "none 0 0"
