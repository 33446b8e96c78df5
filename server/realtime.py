"""`WS /v1/realtime`: a socket around a realtime session. Who may not enter is told so over HTTP, before the upgrade."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse
from starlette.websockets import WebSocketState

from server.errors import UpgradeRequired
from server.gateway import Gateway, authorised
from server.runtime import ServedModel
from streaming.errors import NotFound, SpeechServerError
from streaming.realtime.config import TranscriptionConfig
from streaming.realtime.outbox import Event
from streaming.realtime.session import Observer, Outcome, RealtimeSession, SessionLimits, SessionModel
from streaming.turn import TurnReport

log = logging.getLogger("cslm.realtime")
router = APIRouter()


@router.websocket("/v1/realtime")
async def realtime(socket: WebSocket) -> None:
    """The OpenAI Realtime protocol (GA event names)."""
    gateway: Gateway = socket.app.state.gateway
    try:
        authorised(socket)
        model = _wanted_model(gateway, socket.query_params.get("model"))
        async with gateway.admission.slot("realtime"):
            await _serve(socket, gateway, model)
    except SpeechServerError as error:
        gateway.metrics.error(error.code)
        await socket.send_denial_response(JSONResponse({"error": error.body()}, error.status))


@router.get("/v1/realtime", summary="Why would a socket be refused?", status_code=426)
async def without_upgrade(gateway: Annotated[Gateway, Depends(authorised)], model: str | None = None) -> None:
    """What a socket would be told, for browsers: they do not learn why a handshake was refused. 426: it would be let in."""
    _wanted_model(gateway, model)
    gateway.admission.check()
    raise UpgradeRequired("this is a WebSocket: connect with ws:// or wss://")


def _wanted_model(gateway: Gateway, name: str | None) -> ServedModel:
    model = gateway.serving.model()
    if name not in (None, "", model.name):
        raise NotFound(f"there is no model {name!r}; accepted: {model.name}", code="model_not_found", param="model")
    return model


async def _serve(socket: WebSocket, gateway: Gateway, model: ServedModel) -> None:
    offered = socket.scope.get("subprotocols") or []
    await socket.accept(subprotocol="realtime" if "realtime" in offered else None)
    session = RealtimeSession(
        SessionModel(model.name, model.voices, model.stages, model.languages),
        lambda event: _send(socket, event, gateway.settings.write_timeout_s),
        limits=session_limits(gateway, model),
        observer=session_observer(gateway),
        config=_first_settings(socket.query_params.get("intent")),
    )
    try:
        await session.run(_messages(socket))
    except Exception:
        log.exception("session %s failed", session.id)
        await _close(socket, 1011, "internal error")
    else:
        await _close(socket, 1000, "")


def _first_settings(intent: str | None) -> TranscriptionConfig | None:
    return TranscriptionConfig(type="transcription") if intent == "transcription" else None


def session_limits(gateway: Gateway, model: ServedModel) -> SessionLimits:
    """What a session may use, by the settings and the model."""
    return SessionLimits(max_question_s=model.max_question_s, max_session_s=gateway.settings.max_session_s)


def session_observer(gateway: Gateway) -> Observer:
    """Where a session reports to: the metrics."""

    def turn(report: TurnReport, outcome: Outcome) -> None:
        gateway.metrics.observe_turn(report, "realtime", outcome)

    return Observer(turn=turn, error=lambda error: gateway.metrics.error(error.code))


async def _messages(socket: WebSocket) -> AsyncIterator[str | bytes]:
    """Text and binary messages until the peer has gone."""
    while socket.client_state is WebSocketState.CONNECTED:
        try:
            message = await socket.receive()
        except RuntimeError:
            return
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        yield text if text is not None else message["bytes"]


async def _send(socket: WebSocket, event: Event, timeout_s: float) -> None:
    """One event. A peer that has gone, or reads nothing for `timeout_s`, ends the session through its receiving side."""
    if socket.application_state is not WebSocketState.CONNECTED:
        return
    try:
        async with asyncio.timeout(timeout_s):
            await socket.send_text(json.dumps(event, ensure_ascii=False))
    except TimeoutError:
        await _close(socket, 1008, "the client does not read")
    except (WebSocketDisconnect, RuntimeError):
        pass


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    if socket.application_state is WebSocketState.CONNECTED:
        try:
            await socket.close(code, reason)
        except (WebSocketDisconnect, RuntimeError):
            pass
