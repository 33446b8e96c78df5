"""What a client says of itself in the handshake: the dialect that it speaks, and the session that it comes back to."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from streaming.errors import InvalidRequest
from streaming.realtime.beta import Beta
from streaming.realtime.ga import Dialect, Ga

BETA_SUBPROTOCOL = "openai-beta.realtime-v1"
OUR_SUBPROTOCOL = "cslm"
"""Offered by clients that know the events which only this server has. Some stock clients fail at an event they do not know."""
_RETURN = f"{OUR_SUBPROTOCOL}."


def dialect_of(connection: HTTPConnection) -> Dialect:
    """The beta's for who asks for it, by a header or, as browsers must, by a subprotocol."""
    wanted = connection.headers.get("openai-beta", "").replace(" ", "").split(",")
    return Beta() if "realtime=v1" in wanted or BETA_SUBPROTOCOL in _offered(connection) else Ga()


@dataclass(frozen=True, slots=True)
class Return:
    """A client comes back to a session, having received its first `received` events."""

    token: str
    received: int


def knows_us(connection: HTTPConnection) -> bool:
    """The client knows our own events: it offers `cslm`, or comes back."""
    return any(offer == OUR_SUBPROTOCOL or offer.startswith(_RETURN) for offer in _offered(connection))


def returning(connection: HTTPConnection) -> Return | None:
    """Offered as `cslm.TOKEN.RECEIVED`: the address would end up in logs. Raises InvalidRequest."""
    offer = next((offer for offer in _offered(connection) if offer.startswith(_RETURN)), None)
    if offer is None:
        return None
    token, _, received = offer.removeprefix(_RETURN).rpartition(".")
    if not token or not (received.isascii() and received.isdigit() and len(received) < 10):
        raise InvalidRequest(
            "a session is resumed with the subprotocol `cslm.TOKEN.RECEIVED`: its token, and the number of events received",
            param="sec-websocket-protocol",
        )
    return Return(token, int(received))


def _offered(connection: HTTPConnection) -> list[str]:
    offered: list[str] = connection.scope.get("subprotocols") or []
    return offered
