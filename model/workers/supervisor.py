"""Keeps a stage's worker process alive: one that serves, one that stands by where that is wished, never more."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from model.workers.forking import keep_template
from model.workers.worker import Job, Limits, Reason, Worker
from streaming.errors import EngineUnavailable

log = logging.getLogger(__name__)

_LASTING_S = 2.0
"""A worker that served so long is replaced at once; after several shorter lives there is a pause."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 10.0
_WAIT_S = 60.0
"""Longest time that work waits for a worker."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What is told of a stage's workers. `fault`: why it does not serve, or None; `restarts`: processes replaced, by reason;
    `down_s`: time in all without one that serves; `gauges`: of each process, what it measured of itself.
    """

    name: str
    fault: str | None
    restarts: Mapping[Reason, int]
    down_s: float
    gauges: tuple[Mapping[str, float], ...]


class _Downtime:
    """Seconds without a worker that serves, after the first one did."""

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._total_s = 0.0

    def begin(self, now_s: float) -> None:
        self._since_s = now_s

    def end(self, now_s: float) -> None:
        self._total_s, self._since_s = self.at(now_s), None

    def at(self, now_s: float) -> float:
        return self._total_s + (0.0 if self._since_s is None else now_s - self._since_s)


class Supervisor:
    """Owner of the worker processes of one stage.

    A slot holds one process at most and starts the next only when the kernel has taken the last away. `on_message` hears
    what a worker sends, `on_lost` that the work of one that served is gone; both on the event loop.
    """

    def __init__(
        self,
        name: str,
        job: Job,
        limits: Limits,
        *,
        standby: bool = False,
        on_message: Callable[[Worker, Any], None],
        on_lost: Callable[[Worker], None],
    ) -> None:
        self.name = name
        self._job = job
        self._limits = limits
        self._slots = 2 if standby else 1
        self._on_message, self._on_lost = on_message, on_lost
        self._ready: list[Worker] = []
        self._changed = asyncio.Event()
        self._first: asyncio.Future[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._closed = False
        self._restarts: Counter[Reason] = Counter()
        self._downtime = _Downtime()
        self._workers: set[Worker] = set()

    async def start(self) -> None:
        """Start the first worker. Raises BundleError or EngineUnavailable if it cannot be; later ones are tried again and again."""
        self._first = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep(), name=f"{self.name}-supervisor")
        try:
            await self._first
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End all processes. What waits for one fails."""
        self._closed = True
        self._changed.set()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        while self._ready:
            self._on_lost(self._ready.pop())

    def state(self) -> WorkerState:
        """How things are now."""
        now_s = asyncio.get_running_loop().time()
        gauges = tuple(worker.gauges for worker in self._workers)
        return WorkerState(self.name, self.fault(), dict(self._restarts), self._downtime.at(now_s), gauges)

    def fault(self) -> str | None:
        """Why no work can be done right now, or None."""
        if not self._ready:
            return f"the {self.name} is restarting"
        return f"the {self.name} does not answer" if self._ready[0].silent else None

    @property
    def serving(self) -> Worker | None:
        """The worker that serves, if there is one now."""
        return self._ready[0] if self._ready else None

    async def worker(self) -> Worker:
        """The worker that serves; waits for it. Raises EngineUnavailable."""
        try:
            async with asyncio.timeout(_WAIT_S):
                while not self._ready and not self._closed:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise EngineUnavailable(f"the {self.name} could not be restarted; try again later") from None
        if self._closed:
            raise EngineUnavailable(f"the {self.name} was stopped")
        return self._ready[0]

    async def _keep(self) -> None:
        async with asyncio.TaskGroup() as slots:
            for number in range(self._slots):
                slots.create_task(self._slot(), name=f"{self.name}-{number}")
                if self._first is not None:
                    await asyncio.wait({self._first})
            slots.create_task(keep_template(), name=f"{self.name}-template")

    async def _slot(self) -> None:
        """One process after the other."""
        failures = 0
        while True:
            worker = self._new_worker()
            self._workers.add(worker)
            try:
                await worker.live()
            except Exception:  # no descriptor, no process: whatever it is, it may pass
                log.exception("%s: no process can be started", self.name)
                self._restarts["failed"] += 1
            finally:
                self._workers.discard(worker)
            if self._first is not None and not self._first.done():
                self._first.set_exception(worker.failure or EngineUnavailable(f"the {self.name} cannot be started"))
            failures = 0 if worker.served_s >= _LASTING_S else failures + 1
            if failures > 1:
                await asyncio.sleep(min(_FIRST_PAUSE_S * 2 ** (failures - 2), _LONGEST_PAUSE_S))

    def _new_worker(self) -> Worker:
        return Worker(
            self.name,
            self._job,
            self._limits,
            on_ready=self._serves,
            on_message=self._on_message,
            on_lost=self._lost,
        )

    def _serves(self, worker: Worker) -> None:
        self._ready.append(worker)
        self._changed.set()
        self._downtime.end(asyncio.get_running_loop().time())
        if self._first is not None and not self._first.done():
            self._first.set_result(None)

    def _lost(self, worker: Worker, reason: Reason) -> None:
        self._restarts[reason] += 1
        if worker in self._ready:
            self._ready.remove(worker)
            if not self._ready:
                self._downtime.begin(asyncio.get_running_loop().time())
            self._on_lost(worker)
