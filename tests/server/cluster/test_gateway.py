"""Calls of a gateway to replicas of which one says nothing. Handles are stand-ins; Ray is needed for its errors alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import pytest

from model.workers.worker import WorkerLost
from server.cluster.contract import Facts
from server.cluster.ranking import Wish
from server.cluster.streams import Answer, Step
from streaming.stages import Sampling

pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements/cluster.txt")
from server.cluster.gateway import RemoteLanguageModel, StreamCalls

FACTS = Facts("", "", "")
LIMIT_S = 0.02
"""So long as little was answered, a replica is waited for as long as the settings allow."""


class Handle:
    """Of a deployment. `answer`: what is returned for the wish of a call."""

    def __init__(self, answer: Callable[[Wish], Any]) -> None:
        self._answer = answer
        self._wish = Wish()
        self.wishes: list[Wish] = []

    def options(self, *, session_id: str = "", stream: bool = False) -> Self:
        self._wish = Wish.read(session_id)
        return self

    def __getattr__(self, _: str) -> Any:
        return self

    def remote(self, *_: Any) -> Any:
        self.wishes.append(self._wish)
        return self._answer(self._wish)


class Tokens:
    """An answer of a language model. It hangs after `tokens` unless `ends`."""

    def __init__(self, tokens: list[int], *, ends: bool) -> None:
        self._tokens, self._ends = iter(tokens), ends
        self.cancelled = False

    def __aiter__(self) -> AsyncIterator[list[int]]:
        return self

    async def __anext__(self) -> list[int]:
        for token in self._tokens:
            return [token]
        if not self._ends:
            await asyncio.Event().wait()
        raise StopAsyncIteration

    def cancel(self) -> None:
        self.cancelled = True


async def test_an_answer_goes_on_at_another_replica_where_one_says_nothing() -> None:
    silent, other = Tokens([1, 2], ends=False), Tokens([3], ends=True)
    handle: Any = Handle(lambda wish: other if wish.losses else silent)
    answer = RemoteLanguageModel(handle, FACTS, LIMIT_S).generate([0], Sampling())
    assert [tokens async for tokens in answer] == [[1], [2], [3]]
    first, second = handle.wishes
    assert (first.losses, second.losses) == (0, 1)
    assert first.key == second.key
    assert silent.cancelled and not other.cancelled


async def test_a_step_that_is_not_answered_is_lost() -> None:
    async def silent() -> Answer:
        await asyncio.Event().wait()
        raise AssertionError

    handle: Any = Handle(lambda _: silent())
    with pytest.raises(WorkerLost, match="in time"):
        await StreamCalls(handle, FACTS, LIMIT_S).step(Step("a", 0, []), Wish("b"))
    assert handle.wishes == [Wish("b")]
