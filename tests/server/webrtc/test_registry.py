"""Calls under way: found by id, gone with their task, and named in the log."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from structlog.contextvars import get_contextvars

from server.state.accounts import Account
from server.state.admission import Admission
from server.state.gate import GateRules
from server.state.live import LiveSessions
from server.state.metrics import Metrics
from server.webrtc.registry import CallRegistry
from streaming.errors import CapacityError, NotFound
from streaming.realtime.ga import Dialect, Ga
from tests.server.front import eventually, make_settings
from tests.server.models import fake_model

ANNA = Account("anna")


class FailingCall:
    """A call that is answered and then fails."""

    def __init__(self, ice_servers: list[Any], dialect: Dialect) -> None:
        self.id = "rtc_1"

    async def send(self, event: Any) -> None:
        """Nobody reads it."""

    async def answer(self, offer: str) -> str:
        return f"answer to {offer}"

    async def run(self, session: Any) -> None:
        raise RuntimeError("exploded")

    connected, dialect = True, Ga()

    def hang_up(self) -> None:
        """It is over as it is."""

    async def close(self) -> None:
        """There is no connection."""


def is_held(calls: CallRegistry, call_id: str) -> bool:
    """Whether there is a call of that id. Hangs it up."""
    try:
        calls.hang_up(call_id, ANNA)
    except NotFound:
        return False
    return True


async def test_a_call_that_fails_is_logged_by_its_id_and_leaves_its_slot(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("server.webrtc.registry.Call", FailingCall)
    bound: list[dict[str, Any]] = []
    caplog.handler.addFilter(lambda record: bound.append(get_contextvars()) or True)
    admission = Admission(GateRules(1))
    calls = CallRegistry(make_settings(), admission, Metrics(), LiveSessions())
    assert await calls.begin(fake_model(), ANNA, "offer", None, Ga()) == ("rtc_1", "answer to offer")
    await eventually(lambda: any("the call failed" in record.message for record in caplog.records))
    assert bound[-1]["call_id"] == "rtc_1"
    assert "call_id" not in get_contextvars(), "it is bound in the call's task alone"
    await eventually(lambda: not is_held(calls, "rtc_1"))
    assert admission.active == 0


async def test_a_full_server_takes_no_call(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    calls = CallRegistry(make_settings(), Admission(GateRules(0)), Metrics(), LiveSessions())
    with pytest.raises(CapacityError):
        await calls.begin(fake_model(), ANNA, "offer", None, Ga())
    assert not caplog.records


async def test_nobody_hangs_up_the_calls_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class LastingCall(FailingCall):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self._over = asyncio.Event()

        async def run(self, session: Any) -> None:
            await self._over.wait()

        def hang_up(self) -> None:
            self._over.set()

    monkeypatch.setattr("server.webrtc.registry.Call", LastingCall)
    admission = Admission(GateRules(1))
    calls = CallRegistry(make_settings(), admission, Metrics(), LiveSessions())
    call_id, _ = await calls.begin(fake_model(), ANNA, "offer", None, Ga())
    with pytest.raises(NotFound):
        calls.hang_up(call_id, Account("ben"))
    assert admission.active == 1
    calls.hang_up(call_id, ANNA)
    await eventually(lambda: admission.active == 0)


async def test_an_offer_whose_caller_has_gone_waits_for_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.webrtc.registry.Call", FailingCall)
    admission = Admission(GateRules(1, most_waiting=1), patience_s=60)
    calls = CallRegistry(make_settings(), admission, Metrics(), LiveSessions())
    async with admission.slot("rest"):
        offering = asyncio.create_task(calls.begin(fake_model(), ANNA, "offer", None, Ga()))
        await eventually(lambda: admission.waiting == 1)
        offering.cancel()
        await eventually(lambda: admission.waiting == 0 and not is_held(calls, "rtc_1"))
    assert ANNA.sessions == 0
