"""The server that `tests.bench.playout` records: what its language model and its vocoder gave, and when.

python -m tests.bench.playout_server PORT EVENTS.json
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from structlog.contextvars import get_contextvars


@dataclass(frozen=True, slots=True)
class _Recorder:
    """Stands before the language model and before the vocoder's process, and writes down what passes."""

    inner: Any
    events: list[tuple[Any, ...]]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def generate(self, prompt: Sequence[int], sampling: Any) -> AsyncGenerator[list[int]]:
        turn = get_contextvars().get("turn_id")
        self.events.append((time.monotonic(), "asked", turn))
        async for ids in self.inner.generate(prompt, sampling):
            self.events.append((time.monotonic(), "said", turn, ids))
            yield ids

    async def decode(self, cuts: Sequence[Any]) -> Any:
        began_s = time.monotonic()
        pieces = await self.inner.decode(cuts)
        now_s = time.monotonic()
        self.events.append((now_s, "cut", None, sum(len(cut.units) for cut in cuts), now_s - began_s))
        return pieces


async def serve(port: int, out: Path) -> None:
    """The server, until it is told to stop."""
    from model.lm.process import process_setup

    process_setup()
    from server.app import create_app
    from server.serve import Server, listening_socket, transport_config
    from server.settings import Settings
    from server.state.loading import open_model

    @asynccontextmanager
    async def recorded(settings: Any) -> AsyncIterator[Any]:
        events = list[tuple[Any, ...]]()
        async with open_model(settings) as model:
            stages = model.stages
            stages.decoder._decoding = _Recorder(stages.decoder._decoding, events)  # type: ignore[attr-defined]
            yield replace(model, stages=replace(stages, lm=_Recorder(stages.lm, events)))
        await asyncio.to_thread(out.write_text, json.dumps(events), encoding="utf-8")

    settings = Settings(port=port, max_sessions=64)
    application = create_app(settings, recorded)
    server = Server(transport_config(application, settings), application.state.shared)
    await server.serve(sockets=[listening_socket(settings.host, port)])


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
