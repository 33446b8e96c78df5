"""What a process must be told before torch and vLLM load: both read the environment once, when they are imported."""

from __future__ import annotations

import os
import sys

_ENVIRONMENT = {
    # vLLM forks its worker on a CPU, and a fork hangs once torch has computed with more than one OpenMP thread.
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "TORCH_LOGS": "-torch._library.triton",  # a CPU has no Triton
    "ORT_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",  # one text at a time is tokenized, and processes are forked
}


def process_setup() -> None:
    """Set the environment of a process that will run a language model. A variable that is set already keeps its value.

    Call it before anything imports torch or vLLM: it asserts that nothing has. A second call changes nothing.
    """
    missing = _missing()
    late = {"torch", "vllm"} & sys.modules.keys()
    assert not (missing and late), f"process_setup() must run before {' and '.join(sorted(late))} is imported"
    os.environ.update((name, _ENVIRONMENT[name]) for name in missing)


def assert_process_setup() -> None:
    """Assert that `process_setup` has run in this process, or that whoever started it set the same variables."""
    assert not _missing(), f"call model.lm.process.process_setup() first; not set: {', '.join(_missing())}"


def _missing() -> list[str]:
    return [name for name in _ENVIRONMENT if name not in os.environ]
