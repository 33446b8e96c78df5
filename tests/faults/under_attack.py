"""One attack under live sessions: how long the others waited, and what the gateway took for it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field

import psutil

from tests.faults.attacks import ATTACKS
from tests.faults.faults import Processes
from tests.faults.probe import Asked
from tests.faults.sessions import Talker
from tests.live_server import ROOT

POLL_S = 0.02
_LAST = 'if [ -w /proc/self/autogroup ]; then echo 19 > /proc/self/autogroup; fi; exec nice -n 19 "$@"'
"""Where the kernel groups processes by session (sched_autogroup), it compares groups, and `nice` alone those within one."""

BEFORE_S = 6.0
WRITABLE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Attacked:
    """`answers`: of the server to the attacker, and how often. `slowest_s`: longest `/healthz` of another caller; `stalled_s`: the
    longest that the server itself kept one waiting; `gap_s`: longest silence of a listener; `peak_mb`, `peak_descriptors`: the
    gateway's at most.
    """

    answers: dict[str, int]
    turns: int
    lost: tuple[str, ...]
    gone: tuple[str, ...]
    slowest_s: float
    stalled_s: float
    gap_s: float
    peak_mb: float
    peak_descriptors: int


@dataclass(slots=True)
class _Seen:
    """What a caller who asks again and again has seen."""

    slowest_s: float = 0.0
    stalled_s: float = 0.0
    peak_bytes: int = 0
    peak_descriptors: int = 0
    refusals: list[str] = field(default_factory=list[str])

    def see(self, asked: Asked) -> None:
        """One more request."""
        self.slowest_s = max(self.slowest_s, asked.took_s)
        self.stalled_s = max(self.stalled_s, asked.stalled_s)
        self.peak_bytes = max(self.peak_bytes, asked.resident_bytes)
        self.peak_descriptors = max(self.peak_descriptors, asked.descriptors)
        if asked.failure is not None:
            self.refusals.append(f"/healthz {asked.failure}")


@asynccontextmanager
async def _asking(gateway: psutil.Process, url: str) -> AsyncGenerator[_Seen]:
    """Ask for `/healthz` all the time, on one connection."""
    seen, command = _Seen(), [sys.executable, "-m", "tests.faults.probe", url, str(gateway.pid)]
    probe = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    assert probe.stdout is not None
    lines = probe.stdout
    await lines.readline()  # it has connected

    answered = asyncio.Event()

    async def read() -> None:
        async for line in lines:
            seen.see(Asked(**json.loads(line)))
            answered.set()

    reading = asyncio.create_task(read())
    try:
        yield seen
        answered.clear()
        again = asyncio.ensure_future(answered.wait())  # a request that still waits is part of what there was to see
        await asyncio.wait({again, reading}, return_when=asyncio.FIRST_COMPLETED)
        again.cancel()
    finally:
        probe.terminate()
        await probe.wait()
        await reading


@contextmanager
def _no_files(gateway: psutil.Process) -> Generator[None]:
    """The gateway can write no file of more than a mebibyte, as where the disk is full."""
    before = gateway.rlimit(psutil.RLIMIT_FSIZE)
    gateway.rlimit(psutil.RLIMIT_FSIZE, (WRITABLE_BYTES, before[1]))
    try:
        yield
    finally:
        gateway.rlimit(psutil.RLIMIT_FSIZE, before)


_AROUND: dict[str, Callable[[psutil.Process], AbstractContextManager[None]]] = {
    "large forms, no file can be written": _no_files
}


async def undisturbed(processes: Processes, url: str) -> tuple[float, float]:
    """`slowest_s` and `stalled_s` (see `Attacked`) of `BEFORE_S` seconds without an attack."""
    async with _asking(processes.gateway, url) as seen:
        await asyncio.sleep(BEFORE_S)
    return seen.slowest_s, seen.stalled_s


async def attacked(name: str, processes: Processes, url: str, talkers: Sequence[Talker]) -> Attacked:
    """Attack, and wait for the end of the turns that are under way then."""
    before = [len(talker.turns) for talker in talkers]
    lost, gone = [len(talker.lost) for talker in talkers], [talker.gone for talker in talkers]
    async with _asking(processes.gateway, url) as seen:
        with _AROUND.get(name, lambda _: nullcontext())(processes.gateway):
            answers = await _attack(name, url)
        enough = [len(talker.turns) + talker.speaking for talker in talkers]
        while not all(talker.gone or len(talker.turns) >= n for talker, n in zip(talkers, enough, strict=True)):
            await asyncio.sleep(POLL_S)
    turns = [turn for talker, n in zip(talkers, before, strict=True) for turn in talker.turns[n:]]
    return Attacked(
        dict(answers),
        len(turns),
        tuple(what for talker, n in zip(talkers, lost, strict=True) for what in talker.lost[n:]) + tuple(seen.refusals),
        tuple(talker.gone for talker, was in zip(talkers, gone, strict=True) if talker.gone and not was),
        seen.slowest_s,
        seen.stalled_s,
        max((turn.gap_s for turn in turns), default=0.0),
        seen.peak_bytes / 1e6,
        seen.peak_descriptors,
    )


async def _attack(name: str, url: str) -> Counter[str]:
    """In a process of its own, of the lowest priority: an attacker takes no processor time of the server's machine."""
    assert name in ATTACKS
    command = ["sh", "-c", _LAST, "sh", sys.executable, "-m", "tests.faults.attacks", name, url]
    attack = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, cwd=ROOT, start_new_session=True
    )
    out, _ = await attack.communicate()
    return (
        Counter(json.loads(out)) if attack.returncode == 0 else Counter({f"the attack failed: {attack.returncode}": 1})
    )
