"""A thread for one kind of work: order, closing, cancellation."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from typing import ClassVar

import numpy as np
import pytest

from model.encoders.block_stage import BlockStage
from model.thread import _MOST_LEFT, SingleThread, ThreadHung
from streaming.errors import EngineUnavailable
from streaming.stages import Pcm, Peek
from tests.live_server import ROOT
from tests.server.front import eventually


async def test_calls_that_wait_fail_when_it_is_closed_and_the_one_under_way_ends() -> None:
    thread, begun, go = SingleThread("encoder", 60), threading.Event(), threading.Event()

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
    thread, begun, go, ran = SingleThread("encoder", 60), threading.Event(), threading.Event(), list[str]()

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


async def test_urgent_calls_come_before_those_that_wait_and_in_order() -> None:
    thread, begun, go, ran = SingleThread("encoder", 60), threading.Event(), threading.Event(), list[str]()

    def first() -> None:
        begun.set()
        go.wait(10)

    calls = [asyncio.create_task(thread.run(first))]
    await asyncio.to_thread(begun.wait, 10)
    for run, name in (
        (thread.run, "a"), (thread.run_urgent, "end of a"), (thread.run, "b"), (thread.run_urgent, "end of b"),
    ):  # fmt: skip
        calls.append(asyncio.create_task(run(ran.append, name)))
        await asyncio.sleep(0)
    go.set()
    await asyncio.gather(*calls)
    assert ran == ["end of a", "end of b", "a", "b"]
    thread.close()


async def test_the_end_of_a_speech_goes_before_what_others_go_on_to_say() -> None:
    """Both ends: that of the speech, and the one that is only looked at."""
    begun, go = threading.Event(), threading.Event()

    class Noting(Deaf):
        """Notes the order; the first piece takes until `go`."""

        order: ClassVar[list[str]] = []

        def push(self, state: None, pcm: Pcm) -> list[int]:
            self.order.append(f"push {pcm.size}")
            if pcm.size == 1:
                begun.set()
                go.wait(10)
            return []

        def finish(self, state: None) -> list[int]:
            self.order.append("finish")
            return []

        def copied(self, state: None) -> None:
            return None

    async def said(*pieces: Pcm | Peek) -> AsyncGenerator[Pcm | Peek]:
        for piece in pieces:
            yield piece

    async def hear(*pieces: Pcm | Peek) -> None:
        async for _ in stage.encode(said(*pieces)):
            pass

    stage = BlockStage(Noting())
    speaks = [asyncio.create_task(hear(np.zeros(1, np.float32)))]
    await asyncio.to_thread(begun.wait, 10)
    for pieces in ((np.zeros(2, np.float32),), (), (Peek(lambda units: None),)):
        speaks.append(asyncio.create_task(hear(*pieces)))
        for _ in range(5):  # until it waits for the thread
            await asyncio.sleep(0)
    go.set()
    await asyncio.gather(*speaks)
    stage.close()
    assert Noting.order[:3] == ["push 1", "finish", "finish"]
    assert Noting.order.count("finish") == 5 and "push 2" in Noting.order


class Deaf:
    """A `BlockEncoder` that hears nothing."""

    def wants(self, state: None) -> int:
        return 1

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


async def test_a_call_that_hangs_is_left_behind_and_those_behind_it_are_done() -> None:
    thread, go = SingleThread("encoder", limit_s=0.1), threading.Event()
    hanging = asyncio.create_task(thread.run(go.wait, 60))
    behind = [asyncio.create_task(thread.run(str, number)) for number in range(3)]
    with pytest.raises(ThreadHung, match=r"the encoder took longer than 0\.1 s"):
        await hanging
    assert await asyncio.gather(*behind) == ["0", "1", "2"]
    assert thread.state().restarts == {"stuck": 1}
    assert thread.state().down_s > 0.1
    assert thread.state().fault is None
    go.set()
    thread.close()


async def test_a_hang_that_repeats_leaves_so_many_threads_and_no_more() -> None:
    thread, go = SingleThread("encoder", limit_s=0.1), threading.Event()
    before = threading.active_count()
    for _ in range(_MOST_LEFT):
        with pytest.raises(ThreadHung):
            await thread.run(go.wait, 60)
    assert thread.state().fault == "the encoder does not answer"
    for _ in range(3):
        with pytest.raises(EngineUnavailable, match="again and again"):
            await thread.run(go.wait, 60)
    assert threading.active_count() == before + _MOST_LEFT
    go.set()
    await eventually(lambda: thread.state().fault is None)
    assert await thread.run(str, 1) == "1"
    thread.close()


class Counting:
    """A `BlockEncoder` that tells how many samples it has heard, and hangs once, in the middle of a block."""

    def __init__(self) -> None:
        self.hang, self.go, self.wanted = False, threading.Event(), 1

    def open(self) -> list[int]:
        return [0]

    def push(self, state: list[int], pcm: Pcm) -> list[int]:
        state[0] += pcm.size
        if self.hang:
            self.hang = False
            self.go.wait(60)
        return [state[0]]

    def wants(self, state: list[int]) -> int:
        return self.wanted

    def finish(self, state: list[int]) -> list[int]:
        return [-state[0]]

    def copied(self, state: list[int]) -> list[int]:
        return list(state)


async def test_an_encoder_that_hangs_loses_no_speech() -> None:
    encoder = Counting()
    stage = BlockStage(encoder, step_s=0.8)

    async def audio():  # type: ignore[no-untyped-def]
        for number in range(5):
            encoder.hang = number == 3
            yield np.zeros(10, np.float32)

    assert [unit async for units in stage.encode(audio()) for unit in units] == [10, 20, 30, 40, 50, -50]
    encoder.go.set()
    stage.close()


async def test_audio_that_completes_nothing_waits_and_is_not_lost() -> None:
    """Not for a look at the end, which takes nothing away, and not for the end itself."""
    encoder, seen = Counting(), list[list[int]]()
    encoder.wanted = 25
    stage = BlockStage(encoder)

    async def audio():  # type: ignore[no-untyped-def]
        for number in range(7):
            yield np.zeros(10, np.float32)
            if number in (3, 4):
                yield Peek(seen.append)

    assert [unit async for units in stage.encode(audio()) for unit in units] == [30, 60, 70, -70]
    assert seen == [[40, -40], [50, -50]]
    stage.close()


async def test_audio_that_waits_when_the_encoder_hangs_is_not_lost() -> None:
    encoder = Counting()
    encoder.wanted = 25
    stage = BlockStage(encoder, step_s=0.8)

    async def audio():  # type: ignore[no-untyped-def]
        for number in range(7):
            encoder.hang = number == 5
            yield np.zeros(10, np.float32)

    assert [unit async for units in stage.encode(audio()) for unit in units] == [30, 60, 70, -70]
    encoder.go.set()
    stage.close()


async def test_the_interpreters_end_waits_for_a_call_under_way_and_not_for_one_that_hangs() -> None:
    program = """
import asyncio, sys, time
from model.thread import SingleThread

def work(name, s):
    time.sleep(s)
    print(name, "is done", file=sys.stderr, flush=True)

async def main():
    for name, s in (("short", 0.5), ("endless", 3600)):
        asyncio.create_task(SingleThread(name, 60).run(work, name, s))
    await asyncio.sleep(0.1)

asyncio.run(main())
"""
    ended = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert ended.stderr.splitlines() == ["short is done"]
    assert ended.returncode == 0
