"""An encoder that works block by block, as an async stage."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import numpy as np

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

    def wants(self, state: State) -> int:
        """How many samples more it takes until `push` has anything to do but to keep them: at least 1."""
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
        """See `SpeechEncoder.encode`. Audio that completes no block waits here: the way to the thread costs as much as its work."""
        speech = _Speech(self._encoder.open())
        async for piece in audio:
            if isinstance(piece, Peek):
                piece.tell(await self._run(speech, self._so_far, urgent=True))
                continue
            speech.waiting.append(piece)
            if speech.samples < self._encoder.wants(speech.state):
                continue
            if units := await self._run(speech, self._encoder.push):
                yield units
            speech.heard += speech.waiting
            speech.waiting = []
        if units := await self._run(speech, self._rest, urgent=True):
            yield units

    def _rest(self, state: State, pcm: Pcm) -> list[int]:
        units = self._encoder.push(state, pcm) if pcm.size else []
        return units + self._encoder.finish(state)

    def _so_far(self, state: State, pcm: Pcm) -> list[int]:
        return self._rest(self._encoder.copied(state), pcm)

    async def _run(
        self, speech: _Speech[State], function: Callable[[State, Pcm], list[int]], *, urgent: bool = False
    ) -> list[int]:
        """`function` of the state and the audio that waits."""
        run, waiting = self._thread.run_urgent if urgent else self._thread.run, speech.joined()
        try:
            return await run(function, speech.state, waiting)
        except ThreadHung:
            if speech.hung:
                raise
            speech.hung, speech.state = True, self._encoder.open()  # what hangs may yet write to the old one
            for heard in speech.heard:
                await self._thread.run(self._encoder.push, speech.state, heard)
            return await run(function, speech.state, waiting)


@dataclass(slots=True)
class _Speech(Generic[State]):
    """What the encoder knows of a speech, what it was told, to tell it again, and what waits to be told."""

    state: State
    heard: list[Pcm] = field(default_factory=list[Pcm])
    waiting: list[Pcm] = field(default_factory=list[Pcm])
    hung: bool = False

    @property
    def samples(self) -> int:
        """Of what waits."""
        return sum(piece.size for piece in self.waiting)

    def joined(self) -> Pcm:
        """All that waits."""
        return np.concatenate(self.waiting) if self.waiting else np.zeros(0, np.float32)
