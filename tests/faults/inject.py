"""One fault under live sessions, and what became of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.faults import Fault, Processes
from tests.faults.sessions import Talker

Act = Callable[[float], Awaitable[tuple[float | None, float]]]
"""What is done at a monotonic time. Returns seconds until it was noticed, if it was, and until all was well again."""

POLL_S = 0.02
RECOVERY_S = 60.0
AFTER_S = 1.0
"""How long a fault gets to show itself where `/readyz` never does."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one injection. `noticed_s`: until `/readyz` said so, None where it had no reason to; `recovered_s`: until it was ready
    again; `stall_s`: longest silence of a listener whose turn was under way; `lost`: what was wrong with turns that were.
    """

    noticed_s: float | None
    recovered_s: float
    stall_s: float
    turns: int
    lost: tuple[str, ...]
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the gateway holds, and how many processes there are."""

    resident_mb: float
    descriptors: int
    processes: int


async def inject(fault: Fault, processes: Processes, url: str, talkers: Sequence[Talker]) -> Outcome:
    """One fault of a server, see `under`."""

    async def act(began_s: float) -> tuple[float | None, float]:
        async with httpx.AsyncClient(base_url=url, timeout=5) as client:
            await client.get("/readyz")  # a connection is there before descriptors are not
            injected = asyncio.create_task(fault(processes))
            watched = await _watched(client, began_s)
            await injected
            return watched

    return await under(act, talkers)


async def under(act: Act, talkers: Sequence[Talker]) -> Outcome:
    """Act while sessions are being answered, and listen until each of them has had two more turns."""
    before = [len(talker.turns) for talker in talkers]
    lost, gone = [len(talker.lost) for talker in talkers], [talker.gone for talker in talkers]
    while not any(talker.speaking for talker in talkers):
        await asyncio.sleep(POLL_S)
    noticed_s, recovered_s = await act(time.monotonic())
    enough = [seen + 2 for seen in before]
    while not all(talker.gone or len(talker.turns) >= n for talker, n in zip(talkers, enough, strict=True)):
        await asyncio.sleep(POLL_S)
    turns = [turn for talker, n in zip(talkers, before, strict=True) for turn in talker.turns[n:]]
    return Outcome(
        noticed_s,
        recovered_s,
        max((turn.gap_s for turn in turns), default=0.0),
        len(turns),
        tuple(what for talker, n in zip(talkers, lost, strict=True) for what in talker.lost[n:]),
        tuple(talker.gone for talker, was in zip(talkers, gone, strict=True) if talker.gone and not was),
    )


async def _watched(client: httpx.AsyncClient, began_s: float) -> tuple[float | None, float]:
    """When `/readyz` told of the fault, and since when it has been ready again without a break."""
    noticed_s, ready_s = None, 0.0
    while (now_s := time.monotonic() - began_s) < RECOVERY_S:
        if (await client.get("/readyz")).status_code == 200:
            ready_s = ready_s or now_s
            if now_s - ready_s > AFTER_S + (2.0 if noticed_s is None else 0.0):
                return noticed_s, 0.0 if noticed_s is None else ready_s
        else:
            noticed_s, ready_s = noticed_s or now_s, 0.0
        await asyncio.sleep(POLL_S)
    return noticed_s, float("inf")


async def sizes(processes: Processes, url: str) -> Sizes:
    """As they are now."""
    async with httpx.AsyncClient(base_url=url) as client:
        families = text_string_to_metric_families((await client.get("/metrics")).text)
    found = {
        sample.name: sample.value
        for family in families
        for sample in family.samples
        if sample.labels.get("process") == "gateway"
    }
    return Sizes(found["cslm_resident_bytes"] / 1e6, int(found["cslm_open_fds"]), len(processes.all()))
