"""An encoder that hears block by block as an async stage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from streaming.stages import Pcm


class BlockEncoder(Protocol):
    """Samples at 16 kHz to units, as soon as they are final. All of a speech is in its state: one encoder serves many."""

    def open(self) -> Any:
        """The state of a fresh speech."""
        ...

    def push(self, state: Any, pcm: Pcm) -> list[int]:
        """Units that are final with these samples."""
        ...

    def finish(self, state: Any) -> list[int]:
        """Units of the rest."""
        ...


class EncoderStage:
    """Runs the encoder of all sessions on one thread, off the event loop; torch leaves the interpreter lock while it computes."""

    def __init__(self, encoder: BlockEncoder) -> None:
        self._encoder = encoder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")

    def close(self) -> None:
        """Stop the thread once its current block is done."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def encode(self, audio: AsyncIterator[Pcm]) -> AsyncGenerator[list[int]]:
        """See `SpeechEncoder.encode`."""
        loop = asyncio.get_running_loop()
        state = self._encoder.open()
        async for pcm in audio:
            if units := await loop.run_in_executor(self._thread, self._encoder.push, state, pcm):
                yield units
        if units := await loop.run_in_executor(self._thread, self._encoder.finish, state):
            yield units
