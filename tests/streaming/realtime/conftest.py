"""Sessions on fake stages; see `peer`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from streaming.headroom import Headroom
from streaming.realtime.limits import SessionLimits, SessionModel, Stop
from streaming.realtime.machine import RealtimeMachine
from tests.fakes import fake_stages
from tests.streaming.realtime.peer import Peer

Connect = Callable[..., Peer]


@pytest.fixture
async def connect() -> AsyncGenerator[Connect]:
    """Opens sessions on fake stages: pass any of `fake_stages`' and `limits`. Afterwards nothing of them may be left."""
    peers: list[Peer] = []

    def open_session(
        *,
        limits: SessionLimits | None = None,
        headroom: Headroom | None = None,
        stop: Stop | None = None,
        reply_languages: tuple[str, ...] = ("auto", "en", "zh"),
        calls_tools: bool = False,
        **stages: Any,
    ) -> Peer:
        served = fake_stages(**stages)
        model = SessionModel(
            "fake", ("default", "other"), served, reply_languages=reply_languages, calls_tools=calls_tools
        )
        limits = limits or SessionLimits()
        peers.append(Peer(RealtimeMachine(model, limits), model.stages, limits=limits, headroom=headroom, stop=stop))
        return peers[-1]

    yield open_session
    for peer in peers:
        await peer.hang_up()
    assert asyncio.all_tasks() == {asyncio.current_task()}
