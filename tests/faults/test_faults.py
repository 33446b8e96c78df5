"""The part of the suite that continuous integration has time for; `python -m tests.faults` runs all of it."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from tests.faults.ends import killed, stopped
from tests.faults.faults import FAULTS, Processes
from tests.faults.inject import inject
from tests.faults.sessions import talking
from tests.faults.under_attack import attacked
from tests.live_server import free_port, running_server

pytestmark = pytest.mark.faults

SESSIONS = 3
FIRST = (
    "vocoder killed",
    "engine stopped",
    "template killed",
    "no descriptors for 3 s, both vocoders killed",
)
FAILED = ("500", "502", "the attack")
"""Answers that no attack may get. That there is no room for it just now (503) is none."""
ATTACKED = ("floods of validation errors", "unknown members on a socket", "large forms, no file can be written")


async def test_turns_and_sessions_outlive_their_workers_and_nothing_outlives_the_server(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running_server(tmp_path / "1.log", port) as server:
        processes = Processes(psutil.Process(server.pid))
        async with talking(url, SESSIONS) as talkers:
            for name in FIRST:
                outcome = await inject(FAULTS[name], processes, url, talkers)
                assert (outcome.lost, outcome.gone) == ((), ()), name
                assert outcome.recovered_s < float("inf"), name
            for name in ATTACKED:
                attack = await attacked(name, processes, url, talkers)
                assert (attack.lost, attack.gone) == ((), ()), name
                assert not [answer for answer in attack.answers if answer.startswith(FAILED)], attack.answers
            await killed(processes)
        server.wait()
    with running_server(tmp_path / "2.log", port) as server:  # the address is free again
        processes = Processes(psutil.Process(server.pid))
        async with talking(url, SESSIONS) as talkers:
            _, wrong = await stopped(processes, talkers)
            assert wrong == []
        assert server.wait() in (0, -signal.SIGTERM)  # which uvicorn raises again when all is done
