"""Speech to units: the seam, and one module for each kind that `profile.json` may name. Each module exports its `KIND`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from model.profile import Check, Profile
from model.workers.supervisor import WorkerState
from streaming.errors import BundleError
from streaming.stability import EarlyCounts, StabilityRule
from streaming.stages import SpeechEncoder


class EncoderStage(SpeechEncoder, Protocol):
    """An encoder with a life."""

    def limit_steps(self, step_s: float) -> None:
        """How long one step of its work may take from now on. One that takes longer is done again elsewhere."""
        ...

    def state(self) -> WorkerState:
        """How the thread that it works on is."""
        ...

    def close(self) -> None:
        """Stop its thread. Speech that waits for it fails with EngineUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class EarlyUnits:
    """How units are committed while somebody speaks.

    `commit`: without it they are only watched, and the counts show what committing would do. `share`: of the encoder's time,
    above 0 to 1, for partial passes of all sessions together.
    """

    commit: bool = False
    share: float = 0.2
    rule: StabilityRule = field(default_factory=StabilityRule)


@runtime_checkable
class EarlyEncoder(EncoderStage, Protocol):
    """A bidirectional encoder that can nevertheless commit units while somebody speaks."""

    early_counts: EarlyCounts

    def commit_early(self, plan: EarlyUnits | None) -> None:
        """Do so for speeches that begin from now on; None: yield nothing of a speech before it is over."""
        ...


@dataclass(frozen=True, slots=True)
class EncoderKind:
    """How a bundle's `encoder/` is loaded and checked.

    `load(directory, profile, device)`: raises BundleError. `checks`: what `cslm check` verifies, by name. `preflight`: what
    `cslm serve` verifies before anything is loaded. `early`: its stage is an `EarlyEncoder`.
    """

    load: Callable[[Path, Profile, str], EncoderStage]
    checks: Mapping[str, Check]
    preflight: Check | None = None
    early: bool = False


def check_units(n_units: int, profile: Profile) -> None:
    """That the encoder and the profile have as many units. Raises BundleError."""
    if n_units != profile.n_units:
        raise BundleError(f"the encoder has {n_units} units, the profile {profile.n_units}")
