"""vLLM in a process of its own, seen from the gateway: requests go in, tokens come out, another engine goes on where one dies.

vLLM itself is never imported here. The engine's process inherits what `model.lm.process.process_setup` has set in this one.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from model.lm.engine_options import EngineConfig
from model.lm.engine_process import Abort, Ask, Said, answer
from model.lm.process import assert_process_setup
from model.lm.resume import EngineLost, resumed
from model.workers.supervisor import Supervisor, WorkerState
from model.workers.worker import Job, Limits, Worker
from streaming.stages import Sampling

LIMITS = Limits(start_s=900.0)


class VllmLanguageModel:
    """One engine, replaced whenever it goes."""

    def __init__(self, directory: Path, config: EngineConfig, limits: Limits = LIMITS) -> None:
        self._supervisor = Supervisor(
            "language model",
            Job(answer, (directory, config)),
            limits,
            on_message=self._heard,
            on_lost=self._lost,
        )
        self._numbers = itertools.count()
        self._answers: dict[int, tuple[Worker, asyncio.Queue[Said | None]]] = {}

    async def start(self) -> None:
        """Load the weights and answer one token. Raises BundleError, EngineUnavailable."""
        assert_process_setup()
        await self._supervisor.start()

    async def close(self) -> None:
        """Stop the engine's processes. Answers under way fail with EngineUnavailable."""
        await self._supervisor.close()

    def fault(self) -> str | None:
        """Why no turn can be answered right now, or None."""
        return self._supervisor.fault()

    def state(self) -> WorkerState:
        """How its process is."""
        return self._supervisor.state()

    async def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        """See `LanguageModel.generate`. Closing the generator aborts the request and frees its cache."""
        async with aclosing(resumed(self._ask, prompt, sampling)) as answer:
            async for fresh in answer:
                yield fresh

    async def _ask(self, prompt: list[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
        worker = await self._supervisor.worker()
        number = next(self._numbers)
        said: asyncio.Queue[Said | None] = asyncio.Queue(sampling.max_tokens + 2)  # each holds a token, or is the last
        self._answers[number] = worker, said
        worker.send(Ask(number, prompt, sampling))
        try:
            while (piece := await said.get()) is not None:
                if piece.failure is not None:
                    raise piece.failure
                if piece.tokens:
                    yield piece.tokens
                if piece.last:
                    return
            raise EngineLost("the language-model engine went under the answer")
        finally:
            if self._answers.pop(number, None) is not None:
                worker.send(Abort(number))

    def _heard(self, worker: Worker, said: Any) -> None:
        for piece in said:
            if piece.number in self._answers:
                self._answers[piece.number][1].put_nowait(piece)
                if piece.last:
                    del self._answers[piece.number]

    def _lost(self, worker: Worker) -> None:
        for holder, said in self._answers.values():
            if holder is worker:
                said.put_nowait(None)
