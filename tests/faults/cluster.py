"""Faults of a cluster: a head, two hosts with a replica of each stage, and two gateways, half of the sessions at either."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from clients.recordings import read_recording
from tests.faults.inject import Outcome, under
from tests.faults.ray_hosts import GATEWAYS, HEAD, Host, ray_hosts
from tests.faults.reports import GATEWAY_KILLED, Table
from tests.faults.sessions import QUESTIONS, Talker, talking
from tests.knocking import Knocking, knocked
from tests.live_server import ROOT, START_S, free_port, kill, running_server
from tests.ray_cluster import Deployed, deploy

STAGES = {"encoder": "cslm-encoder", "language model": "cslm-language-model", "vocoder": "cslm-vocoder"}
RECOVERY_S, NOTICE_S, POLL_S = 180.0, 20.0, 0.25
SHORT_CUT_S, AWAY_S = 3.0, 10.0
LOOK_S, BUSY = 0.1, 0.3


@dataclass(slots=True)
class Gateway:
    """`cslm serve --backend ray`, which can be started again at the same port."""

    place: Path
    host: Host
    port: int = field(default_factory=free_port)
    _open: ExitStack = field(default_factory=ExitStack)
    _process: Any = None
    _starts: int = 0

    @property
    def url(self) -> str:
        """Of the server."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self._starts += 1
        log = self.place / f"gateway-{self.port}-{self._starts}.log"
        self._process = self._open.enter_context(
            running_server(
                log,
                self.port,
                within=self.host.within,
                backend="ray",
                ray_address=HEAD,
                handover=str(self.place / f"gateway-{self.port}"),
                max_sessions="64",
            )
        )

    def kill(self) -> None:
        """Nobody is asked."""
        kill(self._process)

    def replace(self) -> None:
        """Have another take over at the same port, and wait until this one has left."""
        leaving = self._process
        self.start()  # it is `leaving` that says that it is ready
        leaving.wait(START_S)

    def close(self) -> None:
        """It has ended."""
        self._open.close()


@dataclass(frozen=True, slots=True)
class Site:
    """All that can fail."""

    head: Host
    hosts: list[Host]
    gateways: list[Gateway]
    deployed: Deployed


Fault = Callable[[Site], Awaitable[None]]


async def nothing(_: Site) -> None:
    """To compare the others with."""


def replica_killed(stage: str) -> Fault:
    """One of the two, while it works."""

    async def fault(site: Site) -> None:
        replicas = [replica for host in site.hosts for replica in host.replicas(stage)]
        (await at_work(replicas)).kill()

    return fault


async def at_work(replicas: list[psutil.Process]) -> psutil.Process:
    """The first that computes. One that rests answers questions about its health only."""
    while True:
        before = [processor_s(replica) for replica in replicas]
        await asyncio.sleep(LOOK_S)
        for replica, before_s in zip(replicas, before, strict=True):
            if processor_s(replica) - before_s > BUSY * LOOK_S:
                return replica


def processor_s(process: psutil.Process) -> float:
    """What it has used, with the workers below it."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


async def host_killed(site: Site) -> None:
    """A replica of each stage goes; the host is there again once it has started."""
    host = site.hosts[-1]
    await asyncio.to_thread(host.kill)
    await asyncio.to_thread(host.start)


async def head_killed(site: Site) -> None:
    """Ray's tables and Serve's controller go; the head is started again from what it has on disk."""
    await asyncio.to_thread(site.head.kill)
    await asyncio.sleep(AWAY_S)
    await asyncio.to_thread(site.head.start)


async def cable_out_shortly(site: Site) -> None:
    """Shorter than anybody needs to give the host up."""
    site.hosts[-1].cable("down")
    await asyncio.sleep(SHORT_CUT_S)
    site.hosts[-1].cable("up")


async def cable_out(site: Site) -> None:
    """Until the head has given the host up. Its node ends when it hears of that, at the latest after `NOTICE_S`, and is started again."""
    host = site.hosts[-1]
    host.cable("down")
    while host.address in await site.deployed.alive():
        await asyncio.sleep(POLL_S)
    host.cable("up")
    ends_s = time.monotonic() + NOTICE_S
    while host.running() and time.monotonic() < ends_s:
        await asyncio.sleep(POLL_S)
    await asyncio.to_thread(host.kill)
    await asyncio.to_thread(host.start)


async def rolled(site: Site) -> None:
    """All replicas are replaced by others with a changed setting."""
    await asyncio.to_thread(deploy, HEAD, replicas=2, backend="transformers", max_sequences=next(_CHANGES))


_CHANGES: Iterator[int] = iter(range(9, 1 << 10))

FAULTS: dict[str, Fault] = {
    "nothing": nothing,
    **{f"replica of the {name} killed": replica_killed(stage) for name, stage in STAGES.items()},
    "host killed": host_killed,
    f"head killed, away for {AWAY_S:g} s": head_killed,
    f"network of a host cut for {SHORT_CUT_S:g} s": cable_out_shortly,
    "network of a host cut until it is given up": cable_out,
    "rolling update": rolled,
}


async def watched(site: Site, fault: Fault, began_s: float) -> tuple[float | None, float]:
    """When a replica was missing, and since when none is."""
    injected = asyncio.create_task(fault(site))
    noticed_s, whole_s = None, 0.0
    while (now_s := time.monotonic() - began_s) < RECOVERY_S:
        if injected.done():
            await injected
        if await site.deployed.whole():
            whole_s = whole_s or now_s
            if injected.done() and (noticed_s is not None or now_s > NOTICE_S):
                break
        else:
            noticed_s, whole_s = noticed_s or now_s, 0.0
        await asyncio.sleep(POLL_S)
    else:
        whole_s = float("inf")
    await asyncio.wait_for(injected, RECOVERY_S)
    return noticed_s, 0.0 if noticed_s is None else whole_s


async def gateway_killed(site: Site, sessions: int) -> Outcome:
    """Its sessions go with it. Recovered: as many new ones have been answered by the other."""
    first, second = site.gateways
    async with talking(second.url, sessions - sessions // 2) as others, talking(first.url, sessions // 2) as talkers:

        async def act(began_s: float) -> tuple[float | None, float]:
            first.kill()
            async with talking(second.url, len(talkers)):
                return None, time.monotonic() - began_s

        outcome = await under(act, [*talkers, *others])
    first.close()
    await asyncio.to_thread(first.start)
    return outcome


async def gateway_replaced(site: Site, sessions: int) -> Outcome:
    """Its sessions hear their answers to the end and are closed with 1012. Nobody who connects meanwhile is refused."""
    first, second = site.gateways
    knocking = Knocking(first.port)
    async with talking(second.url, sessions - sessions // 2) as others, talking(first.url, sessions // 2) as talkers:

        async def act(began_s: float) -> tuple[float | None, float]:
            knocks = asyncio.create_task(knocked(first.port, 1, knocking))
            await asyncio.to_thread(first.replace)
            took_s = time.monotonic() - began_s
            knocks.cancel()
            await asyncio.wait({knocks})
            return None, took_s

        outcome = await under(act, [*talkers, *others])
    gone = tuple(why for why in outcome.gone if "1012" not in why)
    return replace(outcome, lost=(*outcome.lost, *knocking.failures), gone=gone)


OF_GATEWAYS = {GATEWAY_KILLED: gateway_killed, "gateway replaced by another": gateway_replaced}


@asynccontextmanager
async def sited(place: Path) -> AsyncGenerator[Site]:
    """Everything started, whole and ready."""
    with ray_hosts(place, workers=2) as (head, doors, hosts), ExitStack() as opened:
        deploy(HEAD, replicas=2, backend="transformers", max_sequences=8)
        deployed = opened.enter_context(Deployed.watched(HEAD, replicas=2, _node_ip_address=GATEWAYS))
        await deployed.settled()
        gateways = [Gateway(place, doors), Gateway(place, doors)]
        for gateway in gateways:
            opened.callback(gateway.close)
            gateway.start()
        yield Site(head, hosts, gateways, deployed)


@asynccontextmanager
async def all_talking(site: Site, sessions: int) -> AsyncGenerator[list[Talker]]:
    """Half of them to either gateway, half of the questions spoken."""
    first, second = site.gateways
    spoken = [read_recording(path).pcm for path in sorted((ROOT / "tests" / "data").glob("ask_*.wav"))]
    questions = [question for pair in zip(spoken, QUESTIONS, strict=False) for question in pair]
    async with (
        talking(first.url, sessions // 2, questions=questions) as some,
        talking(second.url, sessions - sessions // 2, questions=questions[::-1]) as others,
    ):
        yield [*some, *others]


async def measure(place: Path, table: Table) -> None:
    """One fault after the other of one and the same cluster."""
    async with sited(place) as site:
        for name in table.missing(OF_GATEWAYS):
            table.add(name, asdict(await OF_GATEWAYS[name](site, table.sessions)))
        async with all_talking(site, table.sessions) as talkers:
            for name in table.missing(FAULTS):
                table.add(name, asdict(await under(partial(watched, site, FAULTS[name]), talkers)))
