"""Plain PyTorch through transformers: the portable fallback, and the reference in the tests of the other backends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.lm.resume import EngineLost, resumed
from model.thread import SingleThread, ThreadHung
from model.workers.supervisor import WorkerState
from streaming.errors import BundleError
from streaming.stages import RatedIds, Sampling

_STEP_S = 20.0


class TransformersLanguageModel:
    """One sequence at a time: turns take their steps by turns on a single thread, each with its own cache.

    A step that takes longer than `step_s` costs no answer: it goes on behind the tokens that were written, on another thread.
    """

    def __init__(self, directory: Path, *, dtype: torch.dtype | None = None, step_s: float = _STEP_S) -> None:
        from transformers import AutoModelForCausalLM

        try:
            self._model: Any = AutoModelForCausalLM.from_pretrained(
                directory, dtype=dtype or "auto", trust_remote_code=False
            ).eval()
        except (OSError, ValueError) as error:
            raise BundleError(f"transformers cannot load {directory}: {error}") from error
        if torch.cuda.is_available():
            self._model.to("cuda")
        self._thread = SingleThread("language model", step_s)

    async def start(self) -> None:
        """Nothing is left to load."""

    async def close(self) -> None:
        """Stop the thread once its current step is done; turns under way fail with EngineUnavailable."""
        self._thread.close()

    def fault(self) -> str | None:
        """Why no turn can be answered right now, or None."""
        return self.state().fault

    def state(self) -> WorkerState:
        """How its thread is."""
        return self._thread.state()

    async def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        """See `LanguageModel.generate`. Closing the generator ends it after the step under way."""
        async with aclosing(resumed(self._ask, prompt, sampling)) as answer:
            async for fresh in answer:
                yield fresh

    async def _ask(self, prompt: list[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        ids, cache = prompt, None
        for _ in range(sampling.max_tokens):
            try:
                logits, cache = await self._thread.run(self._step, ids, cache)
            except ThreadHung:
                raise EngineLost("the language model hung under the answer") from None
            token = sample(logits, sampling)
            if token in sampling.stop_token_ids:
                return
            yield RatedIds([token], [float(logits.softmax(-1)[token])]) if sampling.rated else [token]
            ids = [token]

    @torch.inference_mode()
    def _step(self, ids: list[int], cache: Any) -> tuple[Tensor, Any]:
        """Logits [V] behind the last of `ids`, and the cache with them in it."""
        output = self._model(torch.tensor([ids], device=self._model.device), past_key_values=cache, use_cache=True)
        return output.logits[0, -1].float().cpu(), output.past_key_values


def sample(logits: Tensor, sampling: Sampling) -> int:
    """One id from logits [V]: greedy at temperature 0, else top-k, then nucleus (arXiv 1904.09751)."""
    if sampling.temperature == 0:
        return int(logits.argmax())
    ranked, order = (logits / sampling.temperature).sort(descending=True)
    if sampling.top_k:
        ranked = ranked[: sampling.top_k]
    chance = ranked.softmax(-1)
    chance = chance[chance.cumsum(-1) - chance < sampling.top_p]
    return int(order[torch.multinomial(chance, 1)])
