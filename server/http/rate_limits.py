"""What a key has left, in the headers that OpenAI's API has: `x-ratelimit-limit-requests` and its like."""

from __future__ import annotations

import math

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.state.accounts import Account
from streaming.realtime.server_shapes import RateLimit

HEADERS = tuple(f"x-ratelimit-{what}-requests" for what in ("limit", "remaining", "reset"))
_STATE = "limited"


def limited(scope: Scope, account: Account) -> None:
    """The request of `scope` is one turn of `account`: its answer says what is left then."""
    scope.setdefault("state", {})[_STATE] = account


class RateLimits:
    """ASGI middleware. Answers to turns of a key with a limit carry `HEADERS`, also those that refuse them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_limits(message: Message) -> None:
            account: Account | None = scope.get("state", {}).get(_STATE)
            if message["type"] == "http.response.start" and account is not None and (left := account.turns) is not None:
                message.setdefault("headers", [])
                MutableHeaders(scope=message).update(dict(zip(HEADERS, _said(left), strict=True)))
            await send(message)

        await self._app(scope, receive, send_with_limits if scope["type"] == "http" else send)


def _said(left: RateLimit) -> tuple[str, str, str]:
    return str(left.limit), str(left.remaining), duration(left.reset_seconds)


def duration(seconds: float) -> str:
    """As OpenAI writes it: `1s`, `6m0s`, `2h0m1s`. Rounded up, so that who waits for it does not come too early."""
    minutes, rest_s = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest_s}s"
