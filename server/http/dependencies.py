"""What every route shares, and how a route gets at it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends
from starlette.requests import HTTPConnection

from server.routes.chat.answers import SpokenAnswers
from server.settings import Settings
from server.state.admission import Admission
from server.state.auth import authorise, keys_of
from server.state.client_secrets import PREFIX, ClientSecrets
from server.state.metrics import Metrics
from server.state.serving import Serving

if TYPE_CHECKING:
    from server.routes.realtime.calls import Calls


@dataclass(frozen=True, slots=True)
class Gateway:
    """One server's parts; lives in `app.state.gateway`."""

    settings: Settings
    metrics: Metrics
    admission: Admission
    serving: Serving
    secrets: ClientSecrets
    spoken: SpokenAnswers
    calls: Calls


def gateway_of(connection: HTTPConnection) -> Gateway:
    """The gateway of a request or a socket, for anyone."""
    gateway: Gateway = connection.app.state.gateway
    return gateway


def authorised(connection: HTTPConnection) -> Gateway:
    """The gateway, for those who know the key. Raises Unauthorised."""
    gateway = gateway_of(connection)
    authorise(gateway.settings, connection.headers)
    return gateway


def realtime_settings(connection: HTTPConnection) -> dict[str, Any] | None:
    """Let in who knows the key or has a client secret; the settings of the secret, if it is one. Raises Unauthorised."""
    gateway = gateway_of(connection)
    for key in keys_of(connection.headers):
        if key.startswith(PREFIX):
            return gateway.secrets.read(key)
    authorise(gateway.settings, connection.headers)
    return None


async def admitted(gateway: Annotated[Gateway, Depends(authorised)]) -> AsyncGenerator[Gateway]:
    """The gateway, with an admission slot until the answer is sent. Raises CapacityError."""
    async with gateway.admission.slot("rest"):
        yield gateway
