"""The state of the application, as dependencies of the routes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from fastapi import Depends
from starlette.requests import HTTPConnection

from server.media.decoding import Decoding
from server.settings import Settings
from server.state.admission import Admission
from server.state.auth import authorise, is_key, keys_of
from server.state.loading import ServedModel
from server.state.metrics import Metrics
from server.state.secret_signing import PREFIX, SecretSigner
from server.state.serving import Serving
from server.state.sessions import session_model
from server.state.spoken_answers import SpokenAnswers
from server.webrtc.registry import CallRegistry
from streaming.errors import NotFound
from streaming.load import Load


@dataclass(frozen=True, slots=True)
class AppState:
    """One server's parts; lives in `app.state.shared`."""

    settings: Settings
    metrics: Metrics
    load: Load
    admission: Admission
    serving: Serving
    secrets: SecretSigner
    spoken: SpokenAnswers
    calls: CallRegistry
    decoding: Decoding


SecretSession: TypeAlias = dict[str, Any]
"""Settings that a client secret carries: what its session begins with."""


def app_state(connection: HTTPConnection) -> AppState:
    """The server's parts, for anyone."""
    state: AppState = connection.app.state.shared
    return state


def authorised(connection: HTTPConnection) -> AppState:
    """The server's parts, for those who know the key. Raises Unauthorised."""
    state = app_state(connection)
    authorise(state.settings, connection.headers)
    return state


def secret_session(connection: HTTPConnection) -> SecretSession | None:
    """Let in who has a client secret, and return its settings, or who knows the key. Raises Unauthorised."""
    state = app_state(connection)
    for key in keys_of(connection.headers):
        if key.startswith(PREFIX) and not is_key(state.settings, key):
            return state.secrets.read(key)
    authorise(state.settings, connection.headers)
    return None


def peer_of(connection: HTTPConnection) -> str:
    """The address that asks; "" where it has none, as over a local socket."""
    return "" if connection.client is None else connection.client.host


async def admitted(
    connection: HTTPConnection, state: Annotated[AppState, Depends(authorised)]
) -> AsyncGenerator[AppState]:
    """The server's parts, with a place until the answer is sent. Waits for it. Raises CapacityError, TooManyWaiting."""
    async with state.admission.slot("rest", peer_of(connection)):
        yield state


AppStateDep = Annotated[AppState, Depends(app_state)]
AuthorisedDep = Annotated[AppState, Depends(authorised)]
AdmittedDep = Annotated[AppState, Depends(admitted)]
SecretSessionDep = Annotated[SecretSession | None, Depends(secret_session)]


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
