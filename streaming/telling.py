"""Which earlier turns the model is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Turn = TypeVar("Turn")


def told(turns: Sequence[Turn], most: int) -> Sequence[Turn]:
    """The last of `turns`, `most` at most.

    The oldest are dropped half of `most` at a time. In between, a prompt begins as the one before it did, and a backend that caches
    prefixes computes only what was added. If each turn dropped one, all behind the first would be computed again.
    """
    if not most:
        return ()
    block = max(1, most // 2)
    return turns[-(-max(0, len(turns) - most) // block) * block :]
