"""Probes: alive, ready, measured."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import JSONResponse, Response

from server.gateway import Gateway, gateway_of
from server.metrics import CONTENT_TYPE
from server.version import package_version

router = APIRouter()

Here = Annotated[Gateway, Depends(gateway_of)]


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> JSONResponse:
    return JSONResponse({"status": "alive"})


@router.get("/readyz", summary="Is the model warm and every stage running?")
async def readyz(gateway: Here) -> JSONResponse:
    fault = gateway.serving.fault()
    if fault is not None:
        return JSONResponse({"status": "not_ready", "reason": fault}, status_code=503, headers={"Retry-After": "1"})
    model = gateway.serving.model()
    return JSONResponse({"status": "ready", "model": model.name, "backend": model.backend})


@router.get("/metrics", summary="Prometheus metrics")
async def metrics(gateway: Here) -> Response:
    ready = gateway.serving.fault() is None
    gateway.metrics.ready(ready)
    if ready:
        model = gateway.serving.model()
        gateway.metrics.build(version=package_version(), model=model.name, backend=model.backend)
    return Response(gateway.metrics.exposition(), media_type=CONTENT_TYPE)
