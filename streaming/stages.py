"""The seams between the core and everything with weights, as Protocols; nothing subclasses them.

Each stage takes an async iterator and returns an async generator, so that work starts before its input is complete.
Callers close the generators (`contextlib.aclosing`); closing one cancels its work.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.float32]
"""Mono audio, float32 [T] in [-1, 1]; the caller knows the rate."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the language model samples. `temperature` 0 is greedy; `top_k` 0 means all; stop ids come from the bundle."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 1024
    stop_token_ids: tuple[int, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class UnitCut:
    """Units for the decoder to speak now.

    `units`: merged speech units, in order. `final`: no more units follow in this turn. `slack_s`: seconds of audio the
    listener still has to hear; the decoder serves the smallest slack of all sessions first. `voice`: who speaks the turn; None
    is the decoder's first voice.
    """

    units: Sequence[int]
    final: bool = False
    slack_s: float = 0.0
    voice: str | None = None


class VoiceActivity(Protocol):
    """Speech probability of consecutive windows; one instance a session."""

    @property
    def window_samples(self) -> int:
        """Samples of one window at 16 kHz."""
        ...

    def probability(self, window: Pcm) -> float:
        """Probability of speech in a window of `window_samples`, given those before it."""
        ...

    def reset(self) -> None:
        """Forget what was heard."""
        ...


class EndOfTurn(Protocol):
    """Whether a speaker who pauses has finished."""

    @property
    def window_samples(self) -> int:
        """The longest audio that it uses, in samples at 16 kHz."""
        ...

    async def finished(self, audio: Pcm) -> float:
        """Probability that the turn is over after `audio`: its end, 16 kHz, at most `window_samples`."""
        ...


class SpeechEncoder(Protocol):
    """Speech to merged units."""

    def encode(self, audio: AsyncIterator[Pcm]) -> AsyncGenerator[list[int]]:
        """`audio`: float32 mono at 16 kHz, any split. Yields units as soon as they are final; the same for any split.

        A bidirectional one may commit units before it can be sure (`streaming.stability`): they stand.
        """
        ...


class LanguageModel(Protocol):
    """Token ids in, token ids out."""

    def generate(self, prompt: AsyncIterator[Sequence[int]], sampling: Sampling) -> AsyncGenerator[list[int]]:
        """`prompt`: pieces of the prompt as they become known. Yields new ids; a stop id ends the stream, unyielded."""
        ...


class SpeechDecoder(Protocol):
    """Merged units to speech."""

    @property
    def sample_rate(self) -> int:
        """Hz of the audio it yields."""
        ...

    def synthesize(self, cuts: AsyncIterator[UnitCut]) -> AsyncGenerator[Pcm]:
        """Yields audio for the units so far; the whole is the same, sample for sample, for any cuts."""
        ...
