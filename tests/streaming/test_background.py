"""Work beside a context: it begins again where it failed, and ends with the context."""

from __future__ import annotations

import asyncio
import logging

import pytest

from streaming.background import beside


async def test_what_fails_is_told_and_begins_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.background._AGAIN_S", 0.0)
    begun, well = list[int](), asyncio.Event()

    async def work() -> None:
        begun.append(1)
        if len(begun) < 3:
            raise ValueError("odd")
        well.set()
        await asyncio.Event().wait()

    with caplog.at_level(logging.ERROR):
        async with beside(work, "the watch"):
            await well.wait()
    assert [record.getMessage() for record in caplog.records] == ["the watch failed, and begins again"] * 2
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "the watch"]


async def test_what_the_context_raises_ends_it_too() -> None:
    with pytest.raises(KeyError):
        async with beside(asyncio.Event().wait, "idle"):
            raise KeyError
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "idle"]
