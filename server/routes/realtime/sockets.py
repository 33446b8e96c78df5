"""`WS /v1/realtime` and `WS /v1/realtime/translations`: a socket around a session.

Who may not enter, or asks for what there is not, is told so over HTTP, before the upgrade.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect
from pydantic import TypeAdapter
from starlette.websockets import WebSocketState

from server.errors import ServerStopping, UpgradeRequired
from server.http import openapi
from server.http.dependencies import (
    AppState,
    AppStateDep,
    CallerDep,
    app_state,
    caller_of,
    peer_of,
    resolve_model,
)
from server.http.error_responses import error_response, log_refusal
from server.routes.realtime.dialects import BETA_SUBPROTOCOL, OUR_SUBPROTOCOL, dialect_of
from server.routes.realtime.waiting import WaitingClient
from server.state.accounts import Account
from server.state.auth import SUBPROTOCOL_PREFIX
from server.state.loading import ServedModel
from server.state.recording import Taped
from server.state.sessions import decoded, realtime_session, session_limits, session_model, told
from streaming.errors import InvalidRequest, NotFound, SpeechServerError, TooLarge
from streaming.realtime.config import AnyConfig, TranscriptionConfig
from streaming.realtime.effects import Machine, Unreadable
from streaming.realtime.events import Ending, Failed, ServerEvent
from streaming.realtime.ga import Dialect, Ga
from streaming.realtime.limits import SessionLimits, SessionModel, Stop
from streaming.realtime.machine import RealtimeMachine
from streaming.realtime.messages import ClientMessage
from streaming.realtime.session import Session
from streaming.realtime.translation import CLIENT_EVENTS, TranslationConfig, TranslationMachine

log = logging.getLogger("cslm.realtime")

_CLOSE_S = 1.0
"""Longest time that saying goodbye may take."""
router = APIRouter()

_ANY_CONFIG: TypeAdapter[AnyConfig] = TypeAdapter(AnyConfig)
_PATHS = ("/v1/realtime", "/v1/realtime/translations")
SessionSettings = dict[str, Any]
"""Settings that a client secret carries."""
_SUBPROTOCOLS = ("realtime", BETA_SUBPROTOCOL)


@router.websocket("/v1/realtime")
async def realtime(socket: WebSocket) -> None:
    """The OpenAI Realtime protocol (GA event names; those of the beta for clients that ask for it)."""

    def opened(model: SessionModel, limits: SessionLimits, settings: SessionSettings | None) -> Machine:
        return RealtimeMachine(model, limits, _first_settings(settings, socket.query_params.get("intent")))

    await _admit(socket, opened, dialect_of(socket))


@router.websocket("/v1/realtime/translations")
async def translations(socket: WebSocket) -> None:
    """Translation sessions of the OpenAI Realtime protocol; the beta had none, so its dialect is not spoken here."""

    def opened(model: SessionModel, limits: SessionLimits, settings: SessionSettings | None) -> Machine:
        if settings is not None and settings["type"] != "translation":
            raise _wrong_secret(settings["type"], "translation")
        return TranslationMachine(
            model, limits, None if settings is None else TranslationConfig.model_validate(settings)
        )

    await _admit(socket, opened, Ga(CLIENT_EVENTS))


def _first_settings(settings: SessionSettings | None, intent: str | None) -> AnyConfig | None:
    """What a client secret says, or the address."""
    if settings is not None:
        if settings["type"] == "translation":
            raise _wrong_secret("translation", "realtime or transcription")
        return _ANY_CONFIG.validate_python(settings)
    return TranscriptionConfig(type="transcription") if intent == "transcription" else None


def _wrong_secret(have: str, need: str) -> InvalidRequest:
    return InvalidRequest(f"this client secret is for {have} sessions, not for {need}", code="wrong_session_type")


@router.websocket("/{path:path}")
async def elsewhere(socket: WebSocket, path: str) -> None:
    """Says where the sockets are; a refusal without a word would look like a wrong key."""
    error = NotFound(f"there is no WebSocket at /{path[:60]}; accepted: {', '.join(_PATHS)}")
    app_state(socket).metrics.error(error.code)
    await socket.send_denial_response(error_response(error))


Open = Callable[[SessionModel, SessionLimits, SessionSettings | None], Machine]


async def _admit(socket: WebSocket, opened: Open, dialect: Dialect) -> None:
    state = app_state(socket)
    client = WaitingClient(socket, dialect, _selected_subprotocol(socket))
    try:
        caller = caller_of(socket)
        model = _session_model(state, socket.query_params.get("model"), socket.query_params.get("call_id"))
        async with AsyncExitStack() as place:
            place.enter_context(state.secrets.used(caller.secret))
            place.enter_context(caller.account.session())
            slot = state.admission.slot("realtime", peer_of(socket), client.told)
            if not await client.until(place.enter_async_context(slot)):
                return
            limits = session_limits(state.settings, model, caller.account)
            machine = opened(session_model(model), limits, caller.session)
            address = socket.url.path + ("?intent=transcription" if socket.query_params.get("intent") else "")
            recording = state.recorder.session(machine.id, model.name, "realtime", dialect, address, caller.session)
            stop, tracing = state.admission.stop, state.tracing
            with tracing.session("realtime"), told("realtime", machine.id), recording as tape:
                session = realtime_session(
                    state.settings, state.metrics, model, machine, caller.account, stop, tracing=tracing
                )
                dialect = dialect if tape is None else Taped(dialect, tape)
                await _serve(client, session, dialect, replace(state, account=caller.account))
    except SpeechServerError as error:
        log_refusal(error)
        state.metrics.error(error.code)
        if not client.accepted:
            await socket.send_denial_response(error_response(error))
            return
        await client.tell(Failed(error))
        await _close(socket, 1012 if isinstance(error, ServerStopping) else 1013, error.code)


@router.get(
    "/v1/realtime",
    summary="Why would a socket be refused?",
    status_code=426,
    openapi_extra=openapi.route(answers={"application/json": openapi.ERROR}, status="426"),
)
async def without_upgrade(
    request: Request,
    state: AppStateDep,
    caller: CallerDep,
    model: str | None = None,
    call_id: str | None = None,
) -> None:
    """What a socket would be told, for browsers: they do not learn why a handshake was refused. 426: it would be let in."""
    _session_model(state, model, call_id)
    state.secrets.check_use(caller.secret)
    if (why := caller.account.session_refusal()) is not None:
        raise why
    state.admission.check(peer_of(request))
    raise UpgradeRequired("this is a WebSocket: connect with ws:// or wss://")


def _session_model(state: AppState, name: str | None, call_id: str | None) -> ServedModel:
    if call_id is not None:
        raise InvalidRequest(
            "a call has its events on its own data channel; no socket can join it",
            code="unsupported_parameter",
            param="call_id",
        )
    return resolve_model(state, name)


def _selected_subprotocol(socket: WebSocket) -> str | None:
    """Browsers close a socket for which none of their subprotocols was selected, also where they offered only the key as one."""
    offered: list[str] = socket.scope.get("subprotocols") or []
    by_name = next((name for name in _SUBPROTOCOLS if name in offered), None)
    return by_name or next((name for name in offered if name.startswith(SUBPROTOCOL_PREFIX)), None)


async def _serve(client: WaitingClient, session: Session, dialect: Dialect, state: AppState) -> None:
    """Run the session until it or its peer ends, the peer does not read, its key does, or the server stops and nobody speaks."""
    await client.accept()
    socket = client.socket
    life, stop = asyncio.timeout(None), state.admission.stop
    knows_us = OUR_SUBPROTOCOL in socket.scope["subprotocols"]

    async def send(event: ServerEvent) -> None:
        if isinstance(event, Ending) and not knows_us:
            return
        for message in dialect.encode(event):
            await _send(socket, message, state.settings.write_timeout_s, life)

    try:
        async with life:
            await session.run(_events(client, session.machine, dialect, state.settings.max_message_bytes), send)
            if stop.asked.is_set():
                await send(Failed(ServerStopping("the server is stopping; connect again")))
    except Exception:
        if life.expired():
            await _close(socket, 1008, "the client does not read")
            return
        log.exception("session %s failed", session.machine.id)
        await _close(socket, 1011, "internal error")
    else:
        await _close(socket, *_farewell(state.account, stop))


def _farewell(account: Account, stop: Stop) -> tuple[int, str]:
    if (why := account.void()) is not None:
        return 1008, why.code
    return (1012, "the server is stopping; connect again") if stop.asked.is_set() else (1000, "")


async def _events(
    client: WaitingClient, machine: Machine, dialect: Dialect, max_bytes: int
) -> AsyncGenerator[ClientMessage | Unreadable]:
    """What the client says, in text or binary messages, until it has gone."""
    while client.socket.client_state is WebSocketState.CONNECTED:
        try:
            message = await client.receive()
        except RuntimeError:
            return
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        content = text if text is not None else message["bytes"]
        if len(content) > max_bytes:
            yield Unreadable(
                TooLarge(f"the message has {len(content)} bytes; at most {max_bytes}: send audio in pieces")
            )
        else:
            yield await decoded(dialect, content, machine.audio_in)


async def _send(socket: WebSocket, message: str, timeout_s: float, life: asyncio.Timeout) -> None:
    """One message. A peer that has gone ends the session through its receiving side; of one that does not read, `life` ends."""
    if socket.application_state is not WebSocketState.CONNECTED:
        return
    try:
        async with asyncio.timeout(timeout_s):
            await socket.send_text(message)
    except TimeoutError:
        if not life.expired():
            life.reschedule(asyncio.get_running_loop().time())
    except (WebSocketDisconnect, RuntimeError):
        pass


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    if socket.application_state is WebSocketState.CONNECTED:
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(_CLOSE_S):  # where nobody reads, this waits for a buffer to empty
                await socket.close(code, reason)
