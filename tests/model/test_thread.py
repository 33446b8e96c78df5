"""A thread for one kind of work: order, closing, cancellation."""

from __future__ import annotations

import asyncio
import threading

import pytest

from model.encoders.block_stage import BlockStage
from model.thread import SingleThread
from streaming.errors import EngineUnavailable
from streaming.stages import Pcm


async def test_calls_that_wait_fail_when_it_is_closed_and_the_one_under_way_ends() -> None:
    thread, begun, go = SingleThread("encoder"), threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        go.wait(10)
        return "done"

    calls = [asyncio.create_task(thread.run(work)) for _ in range(3)]
    await asyncio.to_thread(begun.wait, 10)
    thread.close()
    go.set()
    first, *others = await asyncio.gather(*calls, return_exceptions=True)
    assert first == "done"
    assert all(isinstance(other, EngineUnavailable) for other in others)
    with pytest.raises(EngineUnavailable, match="the encoder was stopped"):
        await thread.run(work)


async def test_a_caller_that_leaves_takes_its_call_along() -> None:
    thread, begun, go, ran = SingleThread("encoder"), threading.Event(), threading.Event(), list[str]()

    def work(name: str) -> None:
        begun.set()
        go.wait(10)
        ran.append(name)

    first = asyncio.create_task(thread.run(work, "first"))
    await asyncio.to_thread(begun.wait, 10)
    second = asyncio.create_task(thread.run(work, "second"))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    go.set()
    await first
    await thread.run(ran.append, "third")
    assert ran == ["first", "third"]
    thread.close()


class Deaf:
    """A `BlockEncoder` that hears nothing."""

    def open(self) -> None:
        return None

    def push(self, state: None, pcm: Pcm) -> list[int]:
        return []

    def finish(self, state: None) -> list[int]:
        return []


async def test_speech_after_the_end_of_an_encoder_is_told_so() -> None:
    async def nothing():  # type: ignore[no-untyped-def]
        return
        yield

    stage = BlockStage(Deaf())
    stage.close()
    with pytest.raises(EngineUnavailable):
        _ = [units async for units in stage.encode(nothing())]
