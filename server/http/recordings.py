"""Recordings of requests over HTTP: those that a turn is made for, with their bodies and answers."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable
from contextlib import ExitStack

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.state.recording import Recorder, Tape
from streaming.recording import Sender

HEADER = "x-recorded"
_TOLD = frozenset({"accept", "content-type"})
"""Headers of a request that are kept. Others may hold keys, or name who asks."""
_STATE = "recording"


class Recordings:
    """ASGI middleware. What it keeps of a request begins when that is let in (`begin`), and ends with its answer."""

    def __init__(self, app: ASGIApp, recorder: Recorder) -> None:
        self._app = app
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._recorder.on:
            await self._app(scope, receive, send)
            return
        with ExitStack() as kept:
            request = _Request(scope, receive, send, self._recorder, kept)
            scope.setdefault("state", {})[_STATE] = request
            await self._app(scope, request.receive, request.send)


def begin(connection: HTTPConnection, model: str) -> None:
    """Record the request and its answer, if requests are recorded. Its body must not have been read."""
    request = getattr(connection.state, _STATE, None)
    if isinstance(request, _Request):
        request.begin(model)


class _Request:
    """One request on its way in, and its answer on its way out."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, recorder: Recorder, kept: ExitStack) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._recorder, self._kept = recorder, kept
        self._tape: Tape | None = None
        self._asked = False

    def begin(self, model: str) -> None:
        query = self._scope["query_string"].decode("latin-1")
        path = self._scope["path"] + (f"?{query}" if query else "")
        request = self._recorder.request(self._scope["state"]["request_id"], model, path)
        self._tape = self._kept.enter_context(request)

    async def receive(self) -> Message:
        message = await self._receive()
        if self._tape is not None and message["type"] == "http.request":
            head = {"method": self._scope["method"], "headers": _headers(self._scope["headers"], _TOLD)}
            more = message.get("more_body", False)
            kind, self._asked = "request.body" if self._asked else "request", True
            self._put("client", kind, message.get("body", b""), more=more, **(head if kind == "request" else {}))
        return message

    async def send(self, message: Message) -> None:
        if self._tape is not None and message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (HEADER.encode(), b"true")]
            self._put("server", "response", status=message["status"], headers=_headers(message["headers"]))
        elif self._tape is not None and message["type"] == "http.response.body" and message.get("body"):
            self._put("server", "response.body", message["body"])
        await self._send(message)

    def _put(self, sender: Sender, kind: str, body: bytes = b"", **members: object) -> None:
        """A message, which becomes text in the thread that writes it."""
        assert self._tape is not None

        def text() -> str:
            return json.dumps({"type": f"http.{kind}", **members, "body": b64encode(body).decode()})

        self._tape.put(sender, 4 * len(body) // 3, text)


def _headers(headers: Iterable[tuple[bytes, bytes]], only: frozenset[str] | None = None) -> dict[str, str]:
    decoded = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers)
    return {name: value for name, value in decoded if only is None or name in only}
