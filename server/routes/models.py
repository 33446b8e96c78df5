"""GET /v1/models: the model that can be asked."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from server.http import openapi
from server.http.dependencies import AuthorisedDep, resolve_model
from server.state.loading import ServedModel
from streaming.errors import NotFound

router = APIRouter(prefix="/v1")


def _public(model: ServedModel) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": model.created,
        "owned_by": "cslm-serve",
        "languages": list(model.languages),
        "voices": list(model.voices),
        "max_question_s": model.max_question_s,
        "sample_rate": model.stages.decoder.sample_rate,
        **({"recorded": True} if model.recorded else {}),
    }


_MODEL = {
    "id": "cslm-mini",
    "object": "model",
    "created": 1790000000,
    "owned_by": "cslm-serve",
    "languages": ["en", "zh"],
    "voices": ["default"],
    "max_question_s": 30.0,
    "sample_rate": 24000,
}
_LIST = openapi.route(answers={"application/json": {"object": "list", "data": [_MODEL]}})
_ONE = openapi.route(answers={"application/json": _MODEL})


@router.get("/models", summary="List the models", openapi_extra=_LIST)
async def models(state: AuthorisedDep) -> dict[str, Any]:
    return {"object": "list", "data": [_public(state.serving.model())]}


@router.get("/models/{name:path}", summary="Describe a model", openapi_extra=_ONE)
async def model(name: str, state: AuthorisedDep) -> dict[str, Any]:
    if not name:
        raise NotFound(
            "the model's name is empty; GET /v1/models lists the names", code="model_not_found", param="model"
        )
    return _public(resolve_model(state, name))
