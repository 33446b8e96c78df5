"""The client's trace, of which the server's spans become a part."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from server.state.otel import parent_of


class TraceContext:
    """ASGI middleware that honours `traceparent` and `tracestate`. Present only where traces are made."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        with parent_of(Headers(scope=scope)):
            await self._app(scope, receive, send)
