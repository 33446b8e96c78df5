"""vLLM and transformers write the same tokens on the prompts of real recordings."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.bench.parity import compare
from tests.bench.results import BUNDLE

complete = (BUNDLE / "lm" / "model.safetensors").is_file() and (BUNDLE / "encoder" / "config.json").is_file()


@pytest.mark.e2e
@pytest.mark.timeout(1200)
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed on this platform")
@pytest.mark.skipif(not complete, reason="the bundle has no weights here")
def test_greedy_tokens_are_identical(tmp_path: Path) -> None:
    found = compare(BUNDLE, tmp_path)
    assert found["prompts"] >= 20
    assert found["tokens"] > found["prompts"]
    assert not found["differences"]
