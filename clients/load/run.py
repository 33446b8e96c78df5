"""A load test from its first session to its result: one run, or a search over many."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rich.console import RenderableType
from rich.status import Status

from clients.errors import ClientError
from clients.load.callers import Caller, closed_loop, open_loop
from clients.load.objective import Objective
from clients.load.plan import LoadPlan
from clients.load.report import Level, report, search_report, search_table, table, terms
from clients.load.search import Search
from clients.load.stats import LoadStats
from clients.playback import Clock, SystemClock
from clients.realtime import connect
from clients.recordings import Recording


async def run_load(
    plan: LoadPlan,
    recordings: Sequence[Recording],
    stats: LoadStats,
    *,
    api_key: str | None = None,
    clock: Clock | None = None,
) -> None:
    """Run a load test; `stats` fills while it runs. Raises ClientError where not even a first session can be opened."""
    for recording in recordings:
        spoken = (recording, recording.opened) if plan.pauses else (recording,)
        _ = [(each.messages, each.speech_frames) for each in spoken]
    async with connect(plan.url, api_key=api_key, model=plan.model, headers=dict(plan.headers)):
        pass
    clock = clock or SystemClock()
    call = Caller(plan, recordings, stats, api_key=api_key, clock=clock).call
    if plan.callers is None:
        await open_loop(plan, call, stats, clock=clock)
    else:
        await closed_loop(plan, call, stats, clock=clock)


@dataclass(slots=True)
class LoadTest:
    """A run, or a search. What was measured until it is broken off is kept."""

    plan: LoadPlan
    recordings: Sequence[Recording]
    objective: Objective | None = None
    search: Search | None = None
    api_key: str | None = None
    stats: LoadStats = field(default_factory=LoadStats)
    levels: list[Level] = field(default_factory=list[Level])
    broken_off: ClientError | None = None

    def __post_init__(self) -> None:
        if self.search is not None and self.objective is None:
            raise ValueError("a search needs an objective")

    async def measure(self, status: Status) -> None:
        """Do all of it."""
        async with asyncio.TaskGroup() as tasks:
            showing = tasks.create_task(self._show(status))
            await (self._run(self.plan) if self.search is None else self._search(self.search))
            showing.cancel()

    async def _run(self, plan: LoadPlan) -> None:
        self.stats = LoadStats()
        await run_load(plan, self.recordings, self.stats, api_key=self.api_key)

    async def _search(self, search: Search) -> None:
        assert self.objective is not None
        while (callers := search.next()) is not None:
            try:
                await self._run(replace(self.plan, callers=callers))
            except asyncio.CancelledError:
                self.levels.append(Level(callers, self.stats, None))
                raise
            except ClientError as error:
                if not self.levels:
                    raise
                self.broken_off = error
                return
            met = self.objective.met(self.stats)
            self.levels.append(Level(callers, self.stats, met))
            search.tried(callers, met=met)

    async def _show(self, status: Status) -> None:
        while True:
            stats = self.stats
            trying = f"{len(self.levels) + 1}. load: " if self.search else ""
            status.update(
                f"{trying}{stats.running} sessions, {stats.answered} answers, {stats.failed} sessions failed"
                + "".join(f", {code}: {count}" for code, count in stats.errors.most_common(1))
            )
            await asyncio.sleep(0.5)

    def result(self) -> dict[str, Any]:
        """Everything that was measured so far."""
        if self.search is not None and self.objective is not None:
            return search_report(self.plan, self.recordings, self.objective, self.levels)
        judged = {"terms": terms(self.objective, self.stats)} if self.objective else {}
        return report(self.plan, self.recordings, self.stats) | judged

    def shown(self) -> RenderableType:
        """The same for a terminal."""
        if self.search is not None and self.objective is not None:
            return search_table(self.objective, self.levels)
        return table(self.stats, self.objective)

    def met(self) -> bool | None:
        """Whether the objective was met, in a search by any load; None where there is none."""
        if self.search is not None:
            return self.search.highest > 0
        return None if self.objective is None else self.objective.met(self.stats)
