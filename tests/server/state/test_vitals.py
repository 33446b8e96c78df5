"""What `/metrics` says of processes."""

from __future__ import annotations

from dataclasses import replace

from model.workers.supervisor import WorkerState
from tests.server.front import eventually, serving
from tests.server.models import fake_model

ENGINE = WorkerState("language model", None, {"hung": 2}, 3.5, ({"running": 4, "waiting": 1, "kv_cache": 0.25},))
VOCODER = WorkerState("vocoder", "the vocoder is restarting", {}, 0.5, ({"open_fds": 8}, {"open_fds": 9}))


async def test_workers_engine_and_loop_are_measured() -> None:
    model = replace(fake_model(fault=lambda: VOCODER.fault), workers=lambda: (ENGINE, VOCODER))
    async with serving(model) as front:
        await front.client.get("/metrics")  # also while a stage is dead
        assert front.count("cslm_ready") == 0
        assert front.count("cslm_worker_up", worker="language_model") == 1
        assert front.count("cslm_worker_up", worker="vocoder") == 0
        assert front.count("cslm_worker_restarts_total", worker="language_model", reason="hung") == 2
        assert front.count("cslm_worker_restarts_total", worker="vocoder", reason="died") == 0
        assert front.count("cslm_worker_down_seconds_total", worker="language_model") == 3.5
        assert front.count("cslm_engine_requests", state="running") == 4
        assert front.count("cslm_kv_cache_usage") == 0.25
        assert front.count("cslm_open_fds", process="vocoder") == 17
        assert front.count("cslm_resident_bytes", process="gateway") > 0
        await eventually(lambda: front.count("cslm_event_loop_lag_seconds_count"))
