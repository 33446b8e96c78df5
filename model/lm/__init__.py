"""Language-model backends behind one seam (`streaming.stages.LanguageModel`): vllm, vllm over HTTP, transformers."""

from __future__ import annotations

from typing import Protocol

from model.workers.supervisor import WorkerState
from streaming.stages import LanguageModel


class Backend(LanguageModel, Protocol):
    """A language model with a life: started once, closed once."""

    async def start(self) -> None:
        """Load, and answer one token. Raises BundleError or EngineUnavailable."""
        ...

    async def close(self) -> None:
        """Free processes, threads and connections."""
        ...

    def fault(self) -> str | None:
        """Why no turn can be answered right now, or None."""
        ...

    def state(self) -> WorkerState | None:
        """How its process is, where it has one of its own on this machine."""
        ...
