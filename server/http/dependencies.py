"""The state of the application, as dependencies of the routes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import HTTPConnection
from structlog.contextvars import bind_contextvars

from server.errors import Unauthorised
from server.http import recordings
from server.http.rate_limits import limited
from server.media.decoding import Decoding
from server.settings import Settings
from server.state.accounts import Account
from server.state.admission import Admission
from server.state.auth import keys_of
from server.state.keyring import Keyring, valid
from server.state.live import LiveSession, LiveSessions
from server.state.loading import ServedModel
from server.state.metrics import Metrics
from server.state.parking import Parking
from server.state.recording import Recorder
from server.state.reloading import Reloading
from server.state.secret_signing import PREFIX, Secret, SecretSigner
from server.state.serving import Serving
from server.state.sessions import session_model
from server.state.spoken_answers import SpokenAnswers
from server.state.tracing import Tracing
from server.webrtc.registry import CallRegistry
from streaming.errors import NotFound
from streaming.load import Load


@dataclass(frozen=True, slots=True)
class AppState:
    """One server's parts; lives in `app.state.shared`. `account`: of who asks, `here`: the request, where that has been let in."""

    settings: Settings
    metrics: Metrics
    tracing: Tracing
    recorder: Recorder
    load: Load
    admission: Admission
    serving: Serving
    keys: Keyring
    account: Account
    live: LiveSessions
    here: LiveSession
    secrets: SecretSigner
    spoken: SpokenAnswers
    calls: CallRegistry
    decoding: Decoding
    reloading: Reloading
    parking: Parking[Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who opens a session. `secret`: the client secret that it has in place of a key."""

    account: Account
    secret: Secret | None = None

    @property
    def session(self) -> dict[str, Any] | None:
        """Settings that the client secret carries: what the session begins with."""
        return None if self.secret is None else self.secret.session


def app_state(connection: HTTPConnection) -> AppState:
    """The server's parts, for anyone."""
    state: AppState = connection.app.state.shared
    return state


async def authorised(connection: HTTPConnection) -> AppState:
    """The server's parts, for those who have a key. Raises Unauthorised."""
    state = app_state(connection)
    account = state.keys.authorise(connection.headers)
    bind_contextvars(key=account.name)
    return replace(state, account=account)


def caller_of(connection: HTTPConnection) -> Caller:
    """Who has a key, or a client secret of a key that is still good. Raises Unauthorised."""
    state = app_state(connection)
    caller = _caller(state, connection.headers)
    bind_contextvars(key=caller.account.name)
    return caller


async def caller(connection: HTTPConnection) -> Caller:
    """The same, as a dependency."""
    return caller_of(connection)


def peer_of(connection: HTTPConnection) -> str:
    """The address that asks; "" where it has none, as over a local socket."""
    return "" if connection.client is None else connection.client.host


async def admitted(
    connection: HTTPConnection, state: Annotated[AppState, Depends(authorised)]
) -> AsyncGenerator[AppState]:
    """The server's parts, with a place until the answer is sent. Waits for it. The request is one turn of its key.

    Raises RateLimited, CapacityError, TooManyWaiting.
    """
    limited(connection.scope, state.account)
    with state.account.request():
        state.account.check_turn()  # who may not is told so without waiting
        async with state.admission.slot("rest", peer_of(connection)):
            state.account.take_turn()
            if (model := state.serving.warm) is not None:
                recordings.begin(connection, model.name)
            here = LiveSession(connection.state.request_id, state.account, "rest")
            with state.tracing.session("rest"), state.live.held(here):
                yield replace(state, here=here)


def _caller(state: AppState, headers: Mapping[str, str]) -> Caller:
    held = state.keys.holder(headers)
    if held is None:
        for value in islice((key for key in keys_of(headers) if key.startswith(PREFIX)), 1):
            return _holder_of(state, state.secrets.read(value))
    return Caller(state.keys.authorise(headers))


def _holder_of(state: AppState, secret: Secret) -> Caller:
    """Who made the secret. Raises Unauthorised where that key, or the secret, was revoked."""
    maker = state.keys.named(secret.key)
    if maker is None or secret.bound != state.secrets.mark(maker.hash):
        raise Unauthorised("the API key that made the client secret is gone", code="api_key_revoked")
    if state.keys.is_revoked(secret.id):
        raise Unauthorised("the client secret has been revoked", code="client_secret_revoked")
    return Caller(valid(maker.account), secret)


AppStateDep = Annotated[AppState, Depends(app_state)]
AuthorisedDep = Annotated[AppState, Depends(authorised)]
AdmittedDep = Annotated[AppState, Depends(admitted)]
CallerDep = Annotated[Caller, Depends(caller)]


def resolve_model(state: AppState, name: str | None) -> ServedModel:
    """The warm model, if `name` is its name, stands for it, or is empty or None.

    Raises NotFound (`model_not_found`) or EngineUnavailable.
    """
    model = state.serving.model()
    if not session_model(model).is_called(name):
        raise NotFound(
            f"there is no model {(name or '')[:60]!r}; accepted: {model.name}", code="model_not_found", param="model"
        )
    return model
