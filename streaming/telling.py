"""Which earlier turns the model is told, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from streaming.errors import SpeechServerError
from streaming.stages import Exchange

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


async def encoded(exchange: Exchange) -> Exchange:
    """The exchange with all units of its question; with none where the recording cannot be encoded."""
    if exchange.recording is None:
        return exchange
    try:
        units = tuple([unit async for piece in exchange.recording() for unit in piece])
    except SpeechServerError:
        units = ()
    return replace(exchange, units=units, recording=None)
