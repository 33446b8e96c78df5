"""Units to speech: the seam, and one module for each kind that `profile.json` may name. Each module exports its `KIND`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from model.profile import Check
from streaming.stages import Pcm

State = TypeVar("State")
"""All that a vocoder keeps of one stream."""


class StreamingVocoder(Protocol[State]):
    """Units to audio, piece by piece. All of a stream is in its state: one vocoder serves many.

    `voices`: names that `open` takes, the first is the default; `batch`: how many streams it gains from being pushed at once.
    """

    sample_rate: int
    voices: tuple[str, ...]
    batch: int

    def open(self, voice: str | None = None) -> State:
        """The state of a fresh stream. Raises InvalidRequest for an unknown voice."""
        ...

    def push(self, state: State, units: Sequence[int], *, final: bool = False) -> Pcm:
        """Float32 [T] in [-1, 1]: what is certain after these units, and with `final` all the rest."""
        ...

    def push_all(self, jobs: Sequence[tuple[State, Sequence[int], bool]]) -> list[Pcm]:
        """`push` for several streams, each there once: (state, units, final). Where it raises, no state can be used again."""
        ...

    def decode(self, units: Sequence[int]) -> Pcm:
        """All audio of `units`; the same, sample for sample, as any way of pushing them."""
        ...


@dataclass(frozen=True, slots=True)
class VocoderKind:
    """How a bundle's `vocoder/` is loaded and checked.

    `load(directory, device)`: raises BundleError; it is sent to the vocoder's process, so it must be importable by name.
    `checks`: what `cslm check` verifies, by name. `preflight`: what `cslm serve` verifies before anything is loaded.
    """

    load: Callable[[Path, str], StreamingVocoder[Any]]
    checks: Mapping[str, Check]
    preflight: Check | None = None
