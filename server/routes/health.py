"""Probes and metrics: /healthz, /readyz, /metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from server.http import openapi
from server.http.dependencies import AppStateDep
from server.version import package_version

router = APIRouter()

_ALIVE = openapi.route(answers={"application/json": {"status": "alive"}})
_READY = openapi.route(
    answers={
        "application/json": {"status": "ready", "model": "cslm-mini", "backend": "vllm", "load": 0.31, "waiting": 0}
    }
)
_METRICS = openapi.route(answers={"text/plain": "cslm_ready 1.0\n"})


@router.get("/healthz", summary="Is the process alive?", openapi_extra=_ALIVE)
async def healthz() -> JSONResponse:
    return JSONResponse({"status": "alive"})


@router.get("/readyz", summary="Is the model warm and every stage running?", openapi_extra=_READY)
async def readyz(state: AppStateDep) -> JSONResponse:
    fault = "stopping" if state.admission.stop.asked.is_set() else state.serving.fault()
    if fault is not None:
        return JSONResponse({"status": "not_ready", "reason": fault}, status_code=503, headers={"Retry-After": "1"})
    model = state.serving.model()
    now = {"load": round(state.load.value(), 3), "waiting": state.admission.waiting}
    return JSONResponse({"status": "ready", "model": model.name, "backend": model.backend, **now})


@router.get("/metrics", summary="Prometheus metrics", openapi_extra=_METRICS, response_class=Response)
async def metrics(request: Request, state: AppStateDep) -> Response:
    state.metrics.ready(state.serving.fault() is None and not state.admission.stop.asked.is_set())
    state.metrics.admission(limit=state.admission.limit, waiting=state.admission.waiting, load=state.load.stages())
    if (model := state.serving.warm) is not None:
        state.metrics.build(version=package_version(), model=model.name, backend=model.backend)
        state.metrics.early(model.early)
        state.metrics.outlook(model.stages.outlook)
        state.metrics.vitals.workers = model.workers
    text, media_type = state.metrics.exposition(request.headers.get("accept", ""))
    return Response(text, media_type=media_type)
