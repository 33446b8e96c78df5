"""Stock, unmodified clients call tools through the real server: a scripted model calls one for every question."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance.conversations import CLIENTS, TOOLS, hold
from tests.fakes import FakeLM
from tests.server.front import listening
from tests.server.models import fake_model
from tests.streaming.realtime.peer import Protocol, check_types
from tests.tool_caller import ARGUMENTS, TOLD, calling

pytestmark = [pytest.mark.e2e, pytest.mark.conformance]


@pytest.mark.parametrize("name", list(CLIENTS))
async def test_a_client_calls_a_function_and_hears_of_its_result(name: str, tmp_path: Path) -> None:
    client = CLIENTS[name]
    if not client.is_installed():
        message = f"the stock client {name} is not installed: `make clients`"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    model = replace(fake_model(lm=FakeLM(calling)), name="cslm-mini", calls_tools=True)
    async with listening(model) as front:
        held = await hold(client, front.url.removeprefix("http://"), tmp_path, (TOOLS,))
    assert held.status == 0, held.complaints[-2000:]
    saw = held.saw[TOOLS]
    assert saw["called"] == [["get_weather", ARGUMENTS]]
    assert saw["answer"] == TOLD
    assert saw["audio_ms"] > 100
    for connection in held.wires[TOOLS].connections:
        protocol = Protocol()
        for event in (message.event for message in connection if message.origin == "server"):
            check_types(event)
            protocol.check(event)
            assert event["type"] != "error", event
