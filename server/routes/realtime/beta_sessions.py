"""POST /v1/realtime/sessions and /v1/realtime/transcription_sessions: keys for browsers as the beta made them.

Settings are flat in both directions, and the key is part of the session: `client_secret`.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import ConfigDict

from server.http import openapi
from server.http.dependencies import AppState, AuthorisedDep
from server.http.validation import validated
from server.routes.realtime.client_secrets import ExpiresAfter, SecretRequest, made_secret, read_settings
from streaming.realtime.beta import flat_session, nested
from streaming.realtime.shapes import Strict

router = APIRouter(prefix="/v1/realtime", tags=["realtime"])


class SecretOptions(Strict):
    """Of the key."""

    expires_after: ExpiresAfter = ExpiresAfter()


class BetaSecretRequest(Strict):
    """Body of the request: settings of the session, and among them those of its key."""

    model_config = ConfigDict(extra="allow")

    client_secret: SecretOptions = SecretOptions()


_FLAT = {"type": "object", "description": "settings as in the beta's session.update"}
_SECRET = {"client_secret": {"value": "ek_eJw.x9", "expires_at": 1790000600}, "input_audio_format": "pcm16"}


def _described(example: dict[str, Any]) -> dict[str, Any]:
    described = openapi.route(answers={"application/json": {**_SECRET, **example}})
    examples = openapi.shown({"With settings": example})
    return {**described, "requestBody": {"content": {"application/json": {"schema": _FLAT, "examples": examples}}}}


@router.post(
    "/sessions",
    summary="A short-lived key for realtime sessions, as the beta had it",
    openapi_extra=_described({"model": "cslm-mini", "modalities": ["text", "audio"], "voice": "default"}),
    deprecated=True,
)
async def sessions(request: Request, state: AuthorisedDep) -> dict[str, Any]:
    return _made(state, "realtime", await read_settings(request, state))


@router.post(
    "/transcription_sessions",
    summary="A short-lived key for transcription sessions, as the beta had it",
    openapi_extra=_described({"input_audio_format": "pcm16", "turn_detection": {"type": "server_vad"}}),
    deprecated=True,
)
async def transcription_sessions(request: Request, state: AuthorisedDep) -> dict[str, Any]:
    settings = await read_settings(request, state)
    settings.pop("modalities", None)  # of a session that answers nothing
    return _made(state, "transcription", settings)


def _made(state: AppState, kind: str, settings: dict[str, Any]) -> dict[str, Any]:
    request = validated(BetaSecretRequest, settings)
    session = {**nested(request.model_extra or {}), "type": kind}
    wanted = request.client_secret.model_dump()
    made = made_secret(state, validated(SecretRequest, {**wanted, "session": session}))
    secret = {name: made[name] for name in ("value", "expires_at")}
    return {**flat_session(made["session"]), "client_secret": secret}
