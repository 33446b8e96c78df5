"""An encoder that works block by block, as an async stage."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from model.thread import SingleThread, ThreadHung
from model.workers.supervisor import WorkerState
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


_STEP_S = 20.0
_BLOCK_SHARE = 0.25
"""Of a step's limit, for one block: it takes milliseconds, and half a second of a recording is heard at a time."""


class BlockStage(Generic[State]):
    """Runs the encoder of all sessions on one thread, off the event loop; torch leaves the interpreter lock while it computes.

    The end of a speech goes first: an answer waits for it, and nothing yet for what is heard of a speech that goes on.

    A call that hangs costs no speech: another thread hears it again from its beginning, once.
    """

    def __init__(self, encoder: BlockEncoder[State], step_s: float = _STEP_S) -> None:
        self._encoder = encoder
        self._thread = SingleThread("encoder", _BLOCK_SHARE * step_s)

    def limit_steps(self, step_s: float) -> None:
        """A block may take a quarter of it."""
        self._thread.limit_s = _BLOCK_SHARE * step_s

    def state(self) -> WorkerState:
        """How its thread is."""
        return self._thread.state()

    def close(self) -> None:
        """Stop the thread once its current block is done. Speech that waits for it fails with EngineUnavailable."""
        self._thread.close()

    async def encode(self, audio: AsyncIterator[Pcm | Peek]) -> AsyncGenerator[list[int]]:
        """See `SpeechEncoder.encode`."""
        speech = _Speech(self._encoder.open())
        async for piece in audio:
            if isinstance(piece, Peek):
                piece.tell(await self._run(speech, self._so_far, urgent=True))
                continue
            if units := await self._run(speech, self._encoder.push, piece):
                yield units
            speech.heard.append(piece)
        if units := await self._run(speech, self._encoder.finish, urgent=True):
            yield units

    def _so_far(self, state: State) -> list[int]:
        return self._encoder.finish(self._encoder.copied(state))

    async def _run(
        self, speech: _Speech[State], function: Callable[..., list[int]], *piece: Pcm, urgent: bool = False
    ) -> list[int]:
        run = self._thread.run_urgent if urgent else self._thread.run
        try:
            return await run(function, speech.state, *piece)
        except ThreadHung:
            if speech.hung:
                raise
            speech.hung, speech.state = True, self._encoder.open()  # what hangs may yet write to the old one
            for heard in speech.heard:
                await self._thread.run(self._encoder.push, speech.state, heard)
            return await run(function, speech.state, *piece)


@dataclass(slots=True)
class _Speech(Generic[State]):
    """What the encoder knows of a speech, and what it was told: to tell it again."""

    state: State
    heard: list[Pcm] = field(default_factory=list[Pcm])
    hung: bool = False
