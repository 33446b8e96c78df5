"""Served models around fake stages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from server.settings import Settings
from server.state.loading import ServedModel
from streaming.stability import EarlyCounts
from tests.fakes import fake_stages


def fake_model(
    *, fault: Callable[[], str | None] = lambda: None, early: EarlyCounts | None = None, **replaced: Any
) -> ServedModel:
    """A warm model named `fake` that answers in English and Chinese, with questions of at most 30 s."""
    return ServedModel(
        name="fake",
        created=1_700_000_000,
        languages=("en", "zh"),
        voices=("default", "other"),
        max_question_s=30.0,
        stages=fake_stages(**replaced),
        backend="scripted",
        fault=fault,
        early=early,
    )


def opener(
    model: ServedModel,
    *,
    warm: asyncio.Event | None = None,
    error: Exception | None = None,
    closed: list[str] | None = None,
) -> Callable[[Settings], AbstractAsyncContextManager[ServedModel]]:
    """An `open_model` for `model`: it waits for `warm`, raises `error`, and notes in `closed` that it was closed."""

    @asynccontextmanager
    async def open_model(settings: Settings) -> AsyncGenerator[ServedModel]:
        if warm is not None:
            await warm.wait()
        if error is not None:
            raise error
        try:
            yield model
        finally:
            if closed is not None:
                closed.append(model.name)

    return open_model
