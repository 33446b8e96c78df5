"""The end of a server: killed, it leaves nothing behind; stopped, it answers to the end."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Sequence

import psutil

from tests.faults.faults import Processes
from tests.faults.sessions import Talker


async def killed(processes: Processes) -> float:
    """Kill the gateway while a worker is stopped, which cannot see that. Returns seconds until no process is left."""
    family = processes.all()
    processes.named("vocoder")[0].suspend()
    began_s = time.monotonic()
    processes.gateway.kill()
    while any(lives(each) for each in family):
        if time.monotonic() - began_s > 30:
            raise TimeoutError(f"left behind: {[each for each in family if lives(each)]}")
        await asyncio.sleep(0.01)
    return time.monotonic() - began_s


async def stopped(processes: Processes, talkers: Sequence[Talker]) -> tuple[float, list[str]]:
    """Stop the server while sessions are being answered. Returns seconds until it is gone, and what went wrong."""
    while not any(talker.speaking for talker in talkers):
        await asyncio.sleep(0.01)
    family, began_s = processes.all(), time.monotonic()
    processes.gateway.send_signal(signal.SIGTERM)
    while any(lives(each) for each in family):
        if time.monotonic() - began_s > 60:
            raise TimeoutError(f"left behind: {[each for each in family if lives(each)]}")
        await asyncio.sleep(0.01)
    gone_s = time.monotonic() - began_s
    while not all(talker.gone for talker in talkers):  # who listens to an answer reads on after it
        await asyncio.sleep(0.01)
    wrong = [what for talker in talkers for what in talker.lost]
    wrong += [f"closed without 1012: {talker.gone}" for talker in talkers if "1012" not in (talker.gone or "")]
    return gone_s, wrong


def lives(process: psutil.Process) -> bool:
    """It is there, and is not a zombie that whoever started it has not looked at."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
