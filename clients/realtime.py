"""The realtime API (`WS /v1/realtime`, OpenAI Realtime GA event names) as an async client.

    async with connect("ws://127.0.0.1:8080") as session:
        await session.update(SessionOptions(turn_detection=None))
        await session.append(pcm)
        await session.commit()
        await session.respond()
        async for event in session:
            ...

Events that arrive are the models of `openai.types.realtime`, validated, so that they are the types that users of the
SDK know and every field has one definition; an event type those do not know is an `UnknownEvent`, and breaks nothing.
Read while you send: a server that cannot deliver stops listening. `clients.reconnect` has a session that comes back.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import SplitResult, urlencode, urlsplit, urlunsplit

from openai.types.realtime import (
    RealtimeErrorEvent,
    RealtimeServerEvent,
    SessionCreatedEvent,
)
from pydantic import BaseModel, ConfigDict, ValidationError
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)
from websockets.typing import Subprotocol

from clients.errors import ConnectionRejected, Disconnected, InvalidEvent, ServerUnreachable

RATE_HZ = 24_000
SAMPLE_BYTES = 2
DEFAULT_URL = "ws://127.0.0.1:8080"
MAX_MESSAGE_BYTES = 16 * 2**20
QUEUED_S = 60.0
"""How long a client waits for its place in a full server, from what it was told last."""
CLOSE_TIMEOUT_S = 3.0

_APPEND_BYTES = RATE_HZ * SAMPLE_BYTES
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

ReplyLanguage = Literal["auto", "en", "zh"]


class UnknownEvent(BaseModel):
    """An event of a type that `openai.types.realtime` does not have; every field it came with is kept."""

    model_config = ConfigDict(extra="allow")

    type: str


def _models_by_type() -> dict[str, type[BaseModel]]:
    union = get_args(RealtimeServerEvent)[0]
    return {get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(union)}


_MODELS = _models_by_type()

ServerEvent = RealtimeServerEvent | UnknownEvent


def parse_event(message: str | bytes) -> Any:
    """One message to a `ServerEvent`. Raises InvalidEvent where it is not JSON or lacks what its type requires."""
    try:
        body = json.loads(message)
        model = _MODELS.get(body["type"], UnknownEvent)
        return model.model_validate(body)
    except (ValueError, TypeError, KeyError, ValidationError) as error:
        raise InvalidEvent(f"the server sent an invalid event: {error}") from error


@dataclass(frozen=True, slots=True)
class ServerVad:
    """Turns end when the server hears silence. None leaves a value to the server."""

    threshold: float | None = None
    prefix_padding_ms: int | None = None
    silence_duration_ms: int | None = None

    def body(self) -> dict[str, Any]:
        """The `turn_detection` object."""
        chosen = {name: getattr(self, name) for name in ("threshold", "prefix_padding_ms", "silence_duration_ms")}
        return {"type": "server_vad"} | {name: value for name, value in chosen.items() if value is not None}


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What a client may choose for a session. `turn_detection` None: the client commits each turn itself.

    `reply_language` is this server's extension. None leaves a choice to the server.
    """

    turn_detection: ServerVad | None = ServerVad()
    reply_language: ReplyLanguage | None = None
    instructions: str | None = None
    voice: str | None = None
    output_modalities: tuple[Literal["audio", "text"], ...] = ("audio",)

    def event(self) -> dict[str, Any]:
        """The `session.update` event: PCM16 mono at 24 kHz both ways."""
        pcm = {"type": "audio/pcm", "rate": RATE_HZ}
        detection = self.turn_detection.body() if self.turn_detection else None
        output: dict[str, Any] = {"format": pcm}
        if self.voice is not None:
            output["voice"] = self.voice
        session: dict[str, Any] = {
            "type": "realtime",
            "output_modalities": list(self.output_modalities),
            "audio": {"input": {"format": pcm, "turn_detection": detection}, "output": output},
        }
        if self.instructions is not None:
            session["instructions"] = self.instructions
        if self.reply_language is not None:
            session["reply_language"] = self.reply_language
        return {"type": "session.update", "session": session}


def append_event(pcm: bytes) -> dict[str, str]:
    """An `input_audio_buffer.append` event."""
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode("ascii")}


class RealtimeSession:
    """An open session. Iterate it for events; the iteration ends when the session was closed in an orderly way.

    The methods that send return the `event_id` of what they sent, which an error event of the server names, and raise
    Disconnected if the connection is gone.
    """

    def __init__(self, socket: ClientConnection, created: SessionCreatedEvent) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.created = created

    def __aiter__(self) -> AsyncIterator[ServerEvent]:
        return self

    async def __anext__(self) -> Any:
        try:
            return parse_event(await self._socket.recv())
        except ConnectionClosedError as closed:
            raise _disconnected(closed) from closed
        except ConnectionClosed as closed:
            raise StopAsyncIteration from closed

    async def send(self, event: Mapping[str, Any]) -> str:
        """Send any client event. An `event_id` is added where it has none."""
        numbered = self._numbered(event)
        await self.send_message(json.dumps(numbered))
        return str(numbered["event_id"])

    async def send_message(self, message: str) -> None:
        """Send an event that is already JSON."""
        try:
            await self._socket.send(message)
        except ConnectionClosed as closed:
            raise _disconnected(closed) from closed

    async def close(self) -> None:
        """End the session in an orderly way."""
        await self._socket.close()

    def _numbered(self, event: Mapping[str, Any]) -> dict[str, Any]:
        return {**event, "event_id": event.get("event_id") or f"client_{next(self._numbers)}"}

    async def update(self, options: SessionOptions) -> str:
        """`session.update`; the server answers `session.updated`."""
        return await self.send(options.event())

    async def append(self, pcm: bytes) -> list[str]:
        """PCM16 mono at 24 kHz, any length, sent at once in messages of a second. Returns the id of each."""
        pieces = (pcm[start : start + _APPEND_BYTES] for start in range(0, len(pcm), _APPEND_BYTES))
        return [await self.send(append_event(piece)) for piece in pieces]

    async def commit(self) -> str:
        """The audio so far is the question."""
        return await self.send({"type": "input_audio_buffer.commit"})

    async def clear(self) -> str:
        """Forget the audio so far."""
        return await self.send({"type": "input_audio_buffer.clear"})

    async def respond(self, **response: Any) -> str:
        """`response.create`, with the fields of this response that differ from the session's."""
        return await self.send({"type": "response.create"} | ({"response": response} if response else {}))

    async def cancel(self, response_id: str | None = None) -> str:
        """Stop the running response."""
        chosen = {"response_id": response_id} if response_id else {}
        return await self.send({"type": "response.cancel"} | chosen)

    async def truncate(self, item_id: str, heard_ms: int) -> str:
        """Tell how much of a spoken item was heard, so that the conversation remembers no more than that."""
        event = {"item_id": item_id, "content_index": 0, "audio_end_ms": heard_ms}
        return await self.send({"type": "conversation.item.truncate"} | event)

    async def add_text(self, text: str) -> str:
        """A typed user message; `respond` asks for the answer."""
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        return await self.send({"type": "conversation.item.create", "item": item})


@asynccontextmanager
async def connect(
    url: str = DEFAULT_URL,
    *,
    api_key: str | None = None,
    model: str | None = None,
    headers: Mapping[str, str] | None = None,
    open_timeout_s: float = 10.0,
) -> AsyncIterator[RealtimeSession]:
    """Open a session and close it at the end. `url`: the server (http, https, ws or wss), with or without the path.

    `headers` are sent beside the key; an `Authorization` among them takes its place.

    Raises ServerUnreachable where nothing answers and ConnectionRejected where the server refuses.
    """
    socket, created = await dial(realtime_url(url, model), api_key, open_timeout_s, headers)
    session = RealtimeSession(socket, created)
    try:
        yield session
    finally:
        await session.close()


async def dial(
    address: str,
    api_key: str | None,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
    offer: str | None = None,
) -> tuple[ClientConnection, Any]:
    """An open socket and its first event: `session.created`, or `session.resumed` where that was offered as a subprotocol.

    Raises as `connect` does.
    """
    socket = await open_session_socket(address, api_key, timeout_s, headers, offer)
    try:
        return socket, await _first_event(socket, timeout_s)
    except BaseException:
        await socket.close()
        raise


def realtime_url(url: str, model: str | None = None) -> str:
    """The WebSocket address for the address of a server. Raises ServerUnreachable if it is invalid."""
    parts = urlsplit(url if "://" in url else f"ws://{url}")
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.hostname:
        raise ServerUnreachable(f"{url!r} is not a server address; use one like {DEFAULT_URL}")
    path = parts.path.rstrip("/")
    if path in ("", "/v1"):
        path = "/v1/realtime"
    query = "&".join(part for part in (parts.query, urlencode({"model": model}) if model else "") if part)
    return urlunsplit(SplitResult(scheme, parts.netloc, path, query, ""))


async def open_session_socket(
    address: str,
    api_key: str | None,
    open_timeout_s: float,
    headers: Mapping[str, str] | None = None,
    offer: str | None = None,
) -> ClientConnection:
    """The socket of a session, of which nothing was read yet. Raises as `connect` does."""
    sent = dict(headers or {})
    if api_key and "authorization" not in map(str.lower, sent):
        sent["Authorization"] = f"Bearer {api_key}"
    try:
        return await open_socket(
            address,
            additional_headers=sent,
            compression=None,
            subprotocols=None if offer is None else [Subprotocol("realtime"), Subprotocol(offer)],
            proxy=None if urlsplit(address).hostname in _LOOPBACK else True,
            open_timeout=open_timeout_s,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=MAX_MESSAGE_BYTES,
        )
    except InvalidStatus as refusal:
        raise _rejected(refusal) from refusal
    except (OSError, InvalidURI, InvalidHandshake, WebSocketException) as error:
        raise ServerUnreachable(f"no realtime server answers at {address}: {error or type(error).__name__}") from error


async def _first_event(socket: ClientConnection, timeout_s: float) -> Any:
    try:
        async with asyncio.timeout(timeout_s) as limit:
            event = parse_event(await socket.recv())
            while event.type == "session.queued":  # of this server, while it is full; it says when it gives up
                limit.reschedule(asyncio.get_running_loop().time() + max(timeout_s, QUEUED_S))
                event = parse_event(await socket.recv())
    except TimeoutError as late:
        raise ConnectionRejected(f"the server opened no session within {timeout_s:g} s", retryable=True) from late
    except ConnectionClosed as closed:
        reason = _disconnected(closed).message
        raise ConnectionRejected(f"the server opened no session: {reason}", retryable=True) from closed
    if isinstance(event, RealtimeErrorEvent):
        passing = event.error.type in ("rate_limit_error", "server_error")
        raise ConnectionRejected(event.error.message, code=event.error.code, retryable=passing)
    if not isinstance(event, SessionCreatedEvent) and event.type != "session.resumed":
        raise InvalidEvent(f"the first event was {event.type}, not session.created")
    return event


def _rejected(refusal: InvalidStatus) -> ConnectionRejected:
    status = refusal.response.status_code
    code, message = None, ""
    try:
        error = json.loads(refusal.response.body or b"")["error"]
        code, message = error.get("code"), error.get("message")
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    text = f"the server refused (HTTP {status}){': ' if message else ''}{message}"
    return ConnectionRejected(text, code=code, retryable=status >= 500 or status in (408, 429))


def _disconnected(closed: ConnectionClosed) -> Disconnected:
    frame = closed.rcvd
    if frame is None:
        return Disconnected("the connection broke without a close message")
    return Disconnected(f"the server closed the connection ({frame.code}{' ' if frame.reason else ''}{frame.reason})")


def audio_of(event: Any) -> bytes:
    """PCM16 of a `response.output_audio.delta`. Raises InvalidEvent where it is not base64 of whole samples."""
    try:
        pcm = base64.b64decode(event.delta, validate=True)
    except ValueError as error:
        raise InvalidEvent("an audio delta is not base64") from error
    if len(pcm) % SAMPLE_BYTES:
        raise InvalidEvent(f"an audio delta has {len(pcm)} bytes, which is not a whole number of samples")
    return pcm


def frames_of(pcm: bytes, frame_bytes: int) -> Iterator[bytes]:
    """The audio in frames of one length, the last filled up with silence."""
    for start in range(0, len(pcm), frame_bytes):
        yield pcm[start : start + frame_bytes].ljust(frame_bytes, b"\0")
