"""The order of a process: its environment first, then torch and vLLM."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from model.lm.engine_options import EngineConfig
from model.lm.process import assert_process_setup
from model.lm.vllm_engine import VllmLanguageModel

SETUP = "from model.lm.process import process_setup; process_setup(); "


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a process of its own, whose environment is `environment` alone."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)


def test_it_sets_what_nobody_set() -> None:
    shown = python(SETUP + "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['VLLM_NO_USAGE_STATS'])")
    assert shown.stdout.split() == ["1", "1"], shown.stderr
    shown = python(SETUP + "import os; print(os.environ['OMP_NUM_THREADS'])", OMP_NUM_THREADS="4")
    assert shown.stdout.split() == ["4"], shown.stderr


@pytest.mark.parametrize("module", ["torch", "vllm"])
def test_it_comes_before_torch_and_vllm(module: str) -> None:
    late = python(f"import sys; sys.modules['{module}'] = sys; {SETUP}")
    assert f"process_setup() must run before {module} is imported" in late.stderr
    again = python(f"{SETUP} import sys; sys.modules['{module}'] = sys; {SETUP}")
    assert again.returncode == 0, again.stderr


async def test_an_engine_does_not_start_without_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert_process_setup()
    monkeypatch.delenv("VLLM_CPU_OMP_THREADS_BIND")
    with pytest.raises(AssertionError, match="VLLM_CPU_OMP_THREADS_BIND"):
        await VllmLanguageModel(tmp_path, EngineConfig(512)).start()
