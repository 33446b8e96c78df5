"""How the processes are: Prometheus reads their memory, descriptors and restarts, and how late the event loop runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import get_args

from prometheus_client import Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from model.workers.link import own_gauges
from model.workers.supervisor import WorkerState
from model.workers.worker import Reason
from streaming.background import beside

_TICK_S = 0.1
_LAG_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Vitals(Collector):
    """Of this process and its workers. `workers`: asked whenever somebody reads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.workers: Callable[[], Sequence[WorkerState]] = tuple
        self._lag = Histogram(
            "cslm_event_loop_lag_seconds",
            "How late the event loop came back to a timer",
            buckets=_LAG_BUCKETS_S,
            registry=registry,
        )
        registry.register(self)

    @asynccontextmanager
    async def watched(self) -> AsyncGenerator[None]:
        """Measure the event loop while the context lasts."""
        async with beside(self._watch, "event-loop-lag"):
            yield

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + _TICK_S
            await asyncio.sleep(_TICK_S)
            self._lag.observe(max(0.0, loop.time() - due_s))

    def collect(self) -> Iterator[Metric]:
        """Everything as it is now."""
        states = self.workers()
        yield from _sizes(states)
        yield from _engine(states)
        up = GaugeMetricFamily("cslm_worker_up", "1 while a process serves the stage", labels=["worker"])
        restarts = CounterMetricFamily(
            "cslm_worker_restarts", "Processes that were replaced", labels=["worker", "reason"]
        )
        down = CounterMetricFamily("cslm_worker_down_seconds", "Time without a process that serves", labels=["worker"])
        for state in states:
            name = _label(state.name)
            up.add_metric([name], state.fault is None)
            down.add_metric([name], state.down_s)
            for reason in get_args(Reason):
                restarts.add_metric([name, reason], state.restarts.get(reason, 0))
        yield from (up, restarts, down)


def _sizes(states: Sequence[WorkerState]) -> Iterator[Metric]:
    memory = GaugeMetricFamily("cslm_resident_bytes", "Resident memory, shared pages included", labels=["process"])
    descriptors = GaugeMetricFamily("cslm_open_fds", "Open file descriptors", labels=["process"])
    workers = [(_label(state.name), state.gauges) for state in states if state.gauges]
    for name, processes in [("gateway", (own_gauges(),)), *workers]:
        for gauge, key in ((memory, "resident_bytes"), (descriptors, "open_fds")):
            gauge.add_metric([name], sum(process.get(key, 0) for process in processes))
    yield from (memory, descriptors)


def _engine(states: Sequence[WorkerState]) -> Iterator[Metric]:
    """Nothing where the engine is not one of ours."""
    engines = [process for state in states for process in state.gauges if "kv_cache" in process]
    if not engines:
        return
    requests = GaugeMetricFamily("cslm_engine_requests", "Answers in the engine", labels=["state"])
    for name in ("running", "waiting"):
        requests.add_metric([name], sum(engine[name] for engine in engines))
    yield requests
    yield GaugeMetricFamily(
        "cslm_kv_cache_usage", "Share of the engine's cache that is in use", value=max(e["kv_cache"] for e in engines)
    )


def _label(name: str) -> str:
    return name.replace(" ", "_")
