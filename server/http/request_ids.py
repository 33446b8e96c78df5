"""An id for every request: in the answer as `x-request-id`, and in every log line of its task."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from streaming.realtime.conversation import new_id

HEADER = "x-request-id"


class RequestIds:
    """ASGI middleware. A WebSocket's handshake is a request, too; its session inherits the id.

    The id stays bound until the request's task ends, so that what the server logs of a failure has it. Answers to failures
    that nothing foresaw are sent outside of all middleware: their handler reads `request.state.request_id`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = new_id("req")
        clear_contextvars()
        bind_contextvars(request_id=request_id)
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept", "websocket.http.response.start"):
                message.setdefault("headers", [])
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)
