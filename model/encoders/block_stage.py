"""An encoder that works block by block, as an async stage."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Generic, Protocol, TypeVar

from model.thread import SingleThread
from streaming.stages import Pcm, Peek

State = TypeVar("State")
"""All that an encoder keeps of one speech."""


class BlockEncoder(Protocol[State]):
    """Samples at 16 kHz to units, as soon as they are final. All of a speech is in its state: one encoder serves many."""

    def open(self) -> State:
        """The state of a fresh speech."""
        ...

    def push(self, state: State, pcm: Pcm) -> list[int]:
        """Units that are final with these samples."""
        ...

    def finish(self, state: State) -> list[int]:
        """Units of the rest."""
        ...

    def copied(self, state: State) -> State:
        """A state that can be finished while `state` goes on."""
        ...


class BlockStage(Generic[State]):
    """Runs the encoder of all sessions on one thread, off the event loop; torch leaves the interpreter lock while it computes."""

    def __init__(self, encoder: BlockEncoder[State]) -> None:
        self._encoder = encoder
        self._thread = SingleThread("encoder")

    def close(self) -> None:
        """Stop the thread once its current block is done. Speech that waits for it fails with EngineUnavailable."""
        self._thread.close()

    async def encode(self, audio: AsyncIterator[Pcm | Peek]) -> AsyncGenerator[list[int]]:
        """See `SpeechEncoder.encode`."""
        state = self._encoder.open()
        async for piece in audio:
            if isinstance(piece, Peek):
                piece.tell(await self._thread.run(self._encoder.finish, self._encoder.copied(state)))
            elif units := await self._thread.run(self._encoder.push, state, piece):
                yield units
        if units := await self._thread.run(self._encoder.finish, state):
            yield units
