"""Which earlier turns the model is told, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from streaming.errors import SpeechServerError
from streaming.stages import Exchange, TurnOptions

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


def characters(text: str, options: TurnOptions, history: Sequence[Exchange]) -> int:
    """Approximate length of a prompt with `text`, the tools, and the earlier turns with their calls; templates do not count."""
    told = sum(len(exchange.question) + len(exchange.answer) for exchange in history)
    offered = sum(len(tool.description) + len(str(tool.parameters)) for tool in options.tools)
    calls = (call for of_turn in (options.calls, *(exchange.calls for exchange in history)) for call in of_turn)
    called = sum(len(call.arguments) + len(call.output or "") for call in calls)
    return len(text) + len(options.instructions) + told + offered + called


async def encoded(exchange: Exchange) -> Exchange:
    """The exchange with all units of its question; with none where the recording cannot be encoded."""
    if exchange.recording is None:
        return exchange
    try:
        units = tuple([unit async for piece in exchange.recording() for unit in piece])
    except SpeechServerError:
        units = ()
    return replace(exchange, units=units, recording=None)
