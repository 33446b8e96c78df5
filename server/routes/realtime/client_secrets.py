"""POST /v1/realtime/client_secrets: a key for a browser, with the settings its sessions begin with."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Request
from pydantic import Field

from server.http import openapi
from server.http.dependencies import AppState, AuthorisedDep, resolve_model
from server.http.uploads import read_whole
from server.http.validation import validated
from server.state.sessions import described_session, described_translation
from streaming.realtime.config import AnyConfig, SessionConfig
from streaming.realtime.messages import json_object
from streaming.realtime.shapes import Strict
from streaming.realtime.translation import TranslationConfig

router = APIRouter(prefix="/v1/realtime", tags=["realtime"])

S = TypeVar("S", bound=Strict)

_MOST_BYTES = 64 * 1024
"""Of a request. The secret that it asks for holds its settings and has to fit into a header."""


class ExpiresAfter(Strict):
    """When a secret ends, counted from when it is made. Sessions that it opened may go on."""

    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Field(ge=10, le=7200)] = 600


class SecretRequest(Strict):
    """Body of the request; empty for a conversation with default settings."""

    expires_after: ExpiresAfter = ExpiresAfter()
    session: AnyConfig = SessionConfig(type="realtime")


class TranslationSecretRequest(Strict):
    """Body of the request for translation sessions."""

    expires_after: ExpiresAfter = ExpiresAfter()
    session: TranslationConfig


_SECRET = {"value": "ek_eJw.x9", "expires_at": 1790000600, "session": {"type": "realtime", "model": "cslm-mini"}}
_CONVERSATION = openapi.route(
    json_body=SecretRequest,
    examples={
        "Ten minutes": {},
        "With settings": {
            "expires_after": {"anchor": "created_at", "seconds": 60},
            "session": {"type": "realtime", "reply_language": "zh"},
        },
    },
    answers={"application/json": _SECRET},
)
_TRANSLATION = openapi.route(
    json_body=TranslationSecretRequest,
    examples={"Into Chinese": {"session": {"model": "cslm-mini", "audio": {"output": {"language": "zh"}}}}},
    answers={"application/json": _SECRET},
)


@router.post(
    "/client_secrets", summary="A short-lived key for realtime sessions, for browsers", openapi_extra=_CONVERSATION
)
async def client_secrets(request: Request, state: AuthorisedDep) -> dict[str, Any]:
    wanted = await _parsed(SecretRequest, request, state)
    return made_secret(state, wanted)


def made_secret(state: AppState, wanted: SecretRequest) -> dict[str, Any]:
    """`value`, `expires_at` and `session` of a new secret. Raises InvalidRequest."""
    model = resolve_model(state, getattr(wanted.session, "model", None))
    session = wanted.session.model_dump(exclude_unset=True)
    return _made(state, wanted.expires_after, session, described_session(state.settings, model, wanted.session))


@router.post(
    "/translations/client_secrets",
    summary="A short-lived key for translation sessions, for browsers",
    openapi_extra=_TRANSLATION,
)
async def translation_client_secrets(request: Request, state: AuthorisedDep) -> dict[str, Any]:
    wanted = await _parsed(TranslationSecretRequest, request, state)
    model = resolve_model(state, wanted.session.model)
    session = wanted.session.model_dump(exclude_unset=True) | {"type": "translation"}
    return _made(state, wanted.expires_after, session, described_translation(state.settings, model, wanted.session))


async def _parsed(shape: type[S], request: Request, state: AppState) -> S:
    return validated(shape, await read_settings(request, state))


async def read_settings(request: Request, state: AppState) -> dict[str, Any]:
    """The JSON object that is the body, empty where there is none. Raises InvalidRequest."""
    body = await read_whole(request, state.settings, _MOST_BYTES)
    return json_object(body.decode("utf-8", "replace")) if body.strip() else {}


def _made(state: AppState, after: ExpiresAfter, session: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
    expires_at = int(time.time()) + after.seconds
    maker = state.keys.held_by(state.account)
    value = state.secrets.make(session, expires_at, key=maker.account.name, key_hash=maker.hash)
    return {"value": value, "expires_at": expires_at, "session": shown}
