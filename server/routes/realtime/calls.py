"""POST /v1/realtime/calls: an SDP offer in, an SDP answer out, and a WebRTC call until either side hangs up."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, RootModel
from starlette.responses import Response

from server.http import openapi
from server.http.dependencies import AppState, AppStateDep, Caller, CallerDep, peer_of, resolve_model
from server.http.uploads import read_form, read_whole
from server.http.validation import validated
from server.routes.realtime.dialects import dialect_of
from server.webrtc.offers import MAX_BYTES
from streaming.errors import InvalidRequest
from streaming.realtime.beta import Beta
from streaming.realtime.config import AnyConfig, SessionConfig
from streaming.realtime.ga import Dialect
from streaming.realtime.messages import json_object
from streaming.realtime.shapes import ClientEventError

router = APIRouter(prefix="/v1/realtime")


class CallForm(BaseModel):
    """What a call begins with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sdp: str = Field(min_length=1, description="the offer")
    session: str | None = Field(None, description="settings as in session.update, JSON")


class _Config(RootModel[AnyConfig]):
    """Settings of a session."""


_OFFER = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n…"
_CREATE = openapi.route(
    form=CallForm,
    form_examples={"An offer with settings": {"sdp": _OFFER, "session": '{"type": "realtime", "model": "cslm-mini"}'}},
    answers={"application/sdp": _OFFER},
    status="201",
)
_CREATE["requestBody"]["content"]["application/sdp"] = {
    "schema": {"type": "string"},
    "examples": openapi.shown({"An offer alone": _OFFER}),
}
_HANG_UP = openapi.route(answers={})


@router.post("/calls", summary="Begin a WebRTC call", openapi_extra=_CREATE, response_class=Response, status_code=201)
async def create(request: Request, state: AppStateDep, caller: CallerDep) -> Response:
    return await _begun(request, state, caller, dialect_of(request))


@router.post(
    "",
    summary="Begin a WebRTC call at the beta's address, in its dialect",
    openapi_extra=_CREATE,
    response_class=Response,
    status_code=201,
    deprecated=True,
)
async def create_beta(request: Request, state: AppStateDep, caller: CallerDep) -> Response:
    return await _begun(request, state, caller, Beta())


async def _begun(request: Request, state: AppState, caller: Caller, dialect: Dialect) -> Response:
    offer, config = await _offered(request, state)
    if caller.session is not None:
        of_secret = _config_of(caller.session)
        config = config or of_secret
    name = config.model if isinstance(config, SessionConfig) else None
    model = resolve_model(state, name or request.query_params.get("model"))
    with state.secrets.use(caller.secret) as secret_used:
        call_id, answer = await state.calls.begin(model, caller.account, offer, config, dialect, peer_of(request))
        secret_used()
    headers = {"Location": f"/v1/realtime/calls/{call_id}"}
    return Response(answer, 201, headers=headers, media_type="application/sdp")


@router.post("/calls/{call_id}/hangup", summary="End a WebRTC call", openapi_extra=_HANG_UP, response_class=Response)
async def hangup(call_id: str, state: AppStateDep, caller: CallerDep) -> Response:
    state.calls.hang_up(call_id, caller.account)
    return Response(status_code=200)


async def _offered(request: Request, state: AppState) -> tuple[str, AnyConfig | None]:
    """The offer, and the settings to begin with: a form, or the offer as the body (`application/sdp`)."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        form = validated(CallForm, await read_form(request, state.settings, 4 * MAX_BYTES))
        return form.sdp, None if form.session is None else _config(form.session)
    if media_type != "application/sdp":
        raise InvalidRequest(
            "send the offer as application/sdp, or as `sdp` of a form", code="missing_required_parameter", param="sdp"
        )
    body = await read_whole(request, state.settings, MAX_BYTES)
    return body.decode("utf-8", "replace"), None


def _config_of(secret: dict[str, Any]) -> AnyConfig:
    if secret["type"] == "translation":
        raise InvalidRequest("this client secret is for translation sessions, not for calls", code="wrong_session_type")
    return validated(_Config, secret).root


def _config(text: str) -> AnyConfig:
    try:
        fields = json_object(text)
    except ClientEventError:
        raise InvalidRequest("session is not a JSON object", param="session") from None
    return validated(_Config, fields).root
