"""Which of the protocol's dialects a client speaks: today's, or the beta's."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from streaming.realtime.beta import Beta
from streaming.realtime.ga import Dialect, Ga

BETA_SUBPROTOCOL = "openai-beta.realtime-v1"
OUR_SUBPROTOCOL = "cslm"
"""Offered by clients that know the events which only this server has. Some stock clients fail at an event they do not know."""


def dialect_of(connection: HTTPConnection) -> Dialect:
    """The beta's for who asks for it, by a header or, as browsers must, by a subprotocol."""
    wanted = connection.headers.get("openai-beta", "").replace(" ", "").split(",")
    offered: list[str] = connection.scope.get("subprotocols") or []
    return Beta() if "realtime=v1" in wanted or BETA_SUBPROTOCOL in offered else Ga()
