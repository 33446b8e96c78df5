import asyncio
import gc
import weakref

import pytest

from streaming.task_groups import TaskGroup


class Held:
    """Something large."""


async def _work(held: Held, begun: asyncio.Event, how: str) -> None:
    async with asyncio.timeout(60), TaskGroup() as inner:
        inner.create_task(asyncio.sleep(60))
        begun.set()
        if how == "fails":
            raise ValueError
        await asyncio.sleep(60)


@pytest.mark.parametrize("how", ["is cancelled", "fails", "is cancelled from outside"])
async def test_nothing_that_a_task_used_is_left(how: str) -> None:
    gc.collect()
    gc.disable()
    try:
        held = Held()
        left, begun = weakref.ref(held), asyncio.Event()

        async def group(held: Held) -> None:
            async with TaskGroup() as tasks:
                task = tasks.create_task(_work(held, begun, how))
                del held
                await begun.wait()
                if how == "is cancelled":
                    task.cancel()
                await asyncio.sleep(60 if "outside" in how else 0)

        running = asyncio.create_task(group(held))
        await begun.wait()
        del held
        if "outside" in how:
            running.cancel()
        await asyncio.wait({running})
        assert isinstance(running.exception(), ExceptionGroup) if how == "fails" else True
        del running, group
        await asyncio.sleep(0)
        assert left() is None
    finally:
        gc.enable()


async def test_a_task_that_is_cancelled_before_it_begins_awaits_nothing() -> None:
    async with TaskGroup() as tasks:
        tasks.create_task(asyncio.sleep(60)).cancel()
