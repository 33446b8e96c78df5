"""An answer outlives the engine that writes it: what was written is put behind the prompt, and another goes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from streaming.errors import EngineUnavailable
from streaming.stages import Sampling

Ask = Callable[[list[int], Sampling], AsyncGenerator[list[int]]]
"""One request to an engine. It may wait for one. Raises `EngineLost` where the engine goes under it."""

MOST_LOSSES = 3


class EngineLost(EngineUnavailable):
    """The engine went under an answer; another can go on with it."""


async def resumed(ask: Ask, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[list[int]]:
    """All tokens of an answer, from one engine or from several.

    Greedy, they are those of one engine; sampled, they are another way on from what was written. Raises EngineUnavailable after
    `MOST_LOSSES` engines that wrote nothing: the request may be what they die of.
    """
    written, losses = list[int](), 0
    while True:
        rest = replace(sampling, max_tokens=sampling.max_tokens - len(written))
        if written:  # a constraint holds for a whole answer
            rest = replace(rest, constraint=None)
        try:
            async with aclosing(ask([*prompt, *written], rest)) as answer:
                async for fresh in answer:
                    written += fresh
                    losses = 0
                    yield fresh
            return
        except EngineLost:
            losses += 1
            if losses == MOST_LOSSES:
                raise EngineUnavailable("the language model died under this turn again and again") from None
            if len(written) >= sampling.max_tokens:
                return
