"""`WS /v1/realtime` and `WS /v1/realtime/translations`: a socket around a session.

Who may not enter, or asks for what there is not, is told so over HTTP, before the upgrade.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, WebSocket
from pydantic import TypeAdapter

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
from server.routes.realtime.dialects import BETA_SUBPROTOCOL, OUR_SUBPROTOCOL, Return, dialect_of, knows_us, returning
from server.routes.realtime.line import Carrier, Line, Opening, close
from server.routes.realtime.waiting import WaitingClient
from server.state.accounts import Seat
from server.state.auth import SUBPROTOCOL_PREFIX, keys_of
from server.state.live import LiveSession
from server.state.loading import ServedModel
from server.state.parking import NotResumable
from server.state.recording import Taped
from server.state.sessions import realtime_session, session_limits, session_model
from streaming.errors import InvalidRequest, NotFound, SpeechServerError
from streaming.realtime.config import AnyConfig, TranscriptionConfig
from streaming.realtime.effects import Machine
from streaming.realtime.events import Failed
from streaming.realtime.ga import Dialect, Ga
from streaming.realtime.limits import SessionLimits, SessionModel
from streaming.realtime.machine import RealtimeMachine
from streaming.realtime.session import Session
from streaming.realtime.translation import CLIENT_EVENTS, TranslationConfig, TranslationMachine

log = logging.getLogger("cslm.realtime")

router = APIRouter()

_ANY_CONFIG: TypeAdapter[AnyConfig] = TypeAdapter(AnyConfig)
_PATHS = ("/v1/realtime", "/v1/realtime/translations")
SessionSettings = dict[str, Any]
"""Settings that a client secret carries."""
_SUBPROTOCOLS = ("realtime", BETA_SUBPROTOCOL, OUR_SUBPROTOCOL)


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
        opening = Opening(tuple(keys_of(socket.headers)), socket.url.path, knows_us(socket))
        if (back := returning(socket)) is not None:
            try:
                await _resume(client, opening, back, state)
            except NotResumable as error:
                opening = replace(opening, unresumed=error)
            else:
                return
        async with AsyncExitStack() as place:
            secret_used = place.enter_context(state.secrets.use(caller.secret))
            seat = place.enter_context(caller.account.session())
            slot = state.admission.slot("realtime", peer_of(socket), client.queued)
            if not await client.until(place.enter_async_context(slot)):
                return
            limits = session_limits(state.settings, model, caller.account)
            machine = opened(session_model(model), limits, caller.session)
            address = socket.url.path + ("?intent=transcription" if socket.query_params.get("intent") else "")
            recording = state.recorder.session(machine.id, model.name, "realtime", dialect, address, caller.session)
            stop, tracing = state.admission.stop, state.tracing
            live = LiveSession(machine.id, caller.account, "realtime", machine)
            with tracing.session("realtime"), state.live.logged(live), recording as tape:
                session = realtime_session(state.settings, state.metrics, model, machine, live, stop, tracing)
                dialect = dialect if tape is None else Taped(dialect, tape)
                secret_used()
                await _serve(client, session, dialect, opening, seat, replace(state, account=caller.account, here=live))
    except SpeechServerError as error:
        log_refusal(error)
        state.metrics.error(error.code)
        if not client.accepted:
            await socket.send_denial_response(error_response(error))
            return
        await client.tell(Failed(error))
        await close(socket, 1012 if isinstance(error, ServerStopping) else 1013, error.code)


async def _resume(client: WaitingClient, opening: Opening, back: Return, state: AppState) -> None:
    """Go on with a session over this socket. Raises NotResumable, and ServerStopping."""
    if state.admission.stop.asked.is_set():
        state.admission.check()
    line = state.parking.claim(back.token, opening.may_have)
    line.expect(back.received)
    await client.accept()
    await line.carry_on(Carrier(client, state.settings.write_timeout_s), back.received)


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


async def _serve(
    client: WaitingClient, session: Session, dialect: Dialect, opening: Opening, seat: Seat, state: AppState
) -> None:
    """Run the session until it ends, its client goes or does not read, its key ends, or the server stops and nobody speaks."""
    await client.accept()
    carrier = Carrier(client, state.settings.write_timeout_s)
    parking = state.parking if opening.knows_us and state.parking.open else None
    line = Line(session.machine, dialect, carrier, state.settings, state.metrics, opening, seat, parking)
    state.here.away = lambda: line.away
    try:
        await session.run(line.received(), line.send)
    except Exception:
        log.exception("session %s failed", session.machine.id)
        await line.close(1011, "internal error")
    else:
        if (why := state.account.void()) is not None:
            await line.close(1008, why.code)
        elif session.stop.asked.is_set():
            stopping = ServerStopping("the server is stopping; connect again")
            await line.close(1012, stopping.message, Failed(stopping))
        elif line.unread:
            await line.close(1008, "the client does not read")
        else:
            await line.close(1000, "")
