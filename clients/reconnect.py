"""Sessions that reconnect: after a lost connection, a new session receives the state of the old one and continues.

    async with stay_connected("ws://127.0.0.1:8080") as session:
        await session.update(SessionOptions())
        async for event in session:
            match event:
                case ConnectionLost(reason): ...
                case ConnectionRestored(): ...

The iteration does the reconnecting, so keep iterating. A half-spoken question or half-given answer is lost with the
connection; what was said before is not.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from openai.types.realtime import SessionCreatedEvent
from websockets.asyncio.client import ClientConnection

from clients.errors import ClientError, Disconnected, first_cause
from clients.history import History
from clients.realtime import DEFAULT_URL, RealtimeSession, dial, realtime_url

REPLAY_S = 10.0

Dial = Callable[[], Awaitable[tuple[ClientConnection, SessionCreatedEvent]]]
"""Opens a connection; raises as `connect` does."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before each attempt, and after how long to give up. Seconds.

    The wait doubles from `first_s` up to `longest_s`, and each is cut by up to half at random, so that the clients of a
    server that died do not all come back in the same moment. `patience_s` counts from the loss; 0 gives up at once.
    """

    first_s: float = 0.5
    longest_s: float = 15.0
    patience_s: float = 60.0

    def waits_s(self, rng: random.Random) -> Iterator[float]:
        """The waits, without end."""
        wait_s = self.first_s
        while True:
            yield wait_s * rng.uniform(0.5, 1.0)
            wait_s = min(self.longest_s, 2 * wait_s)


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """Not of the protocol: the connection ended, and is being restored while the iteration goes on."""

    reason: str
    type: Literal["connection.lost"] = "connection.lost"


@dataclass(frozen=True, slots=True)
class ConnectionRestored:
    """Not of the protocol: a new session has the old one's configuration and `messages` of its conversation."""

    messages: int
    attempts: int
    away_s: float
    type: Literal["connection.restored"] = "connection.restored"


class LastingSession(RealtimeSession):
    """A `RealtimeSession` whose iteration goes on after a lost connection. While it is away, sending raises Disconnected.

    Items keep their ids; `created` is of the newest session. The iteration raises Disconnected when `backoff` gives up,
    and the refusal at once where that does not pass by itself, such as a wrong key.
    """

    def __init__(self, socket: ClientConnection, created: SessionCreatedEvent, dial: Dial, backoff: Backoff) -> None:
        super().__init__(socket, created)
        self._dial = dial
        self._backoff = backoff
        self._history = History()
        self._lost: str | None = None
        self._closed = False
        self._kept: deque[Any] = deque()

    async def __anext__(self) -> Any:
        if self._kept:
            return self._kept.popleft()
        if self._lost is not None:
            return await self._come_back(self._lost)
        try:
            event = await super().__anext__()
        except (Disconnected, StopAsyncIteration) as gone:
            if self._closed:
                raise
            self._lost = gone.message if isinstance(gone, Disconnected) else "the server closed the session"
            return ConnectionLost(self._lost)
        self._history.take(event)
        return event

    async def send(self, event: Mapping[str, Any]) -> str:
        """Send any client event, as RealtimeSession does. Raises Disconnected while the connection is away."""
        numbered = self._numbered(event)
        if self._lost is None:
            self._history.sent(numbered)
        return await super().send(numbered)

    async def send_message(self, message: str) -> None:
        """Send an event that is already JSON. Raises Disconnected while the connection is away."""
        if self._lost is not None:
            raise Disconnected(f"{self._lost}; it is being restored")
        await super().send_message(message)

    async def close(self) -> None:
        """End the session in an orderly way; nothing is restored any more."""
        self._closed = True
        await super().close()

    async def _come_back(self, reason: str) -> ConnectionRestored:
        lost_s = time.monotonic()
        failure: ClientError = Disconnected(reason)
        for attempt, wait_s in enumerate(self._backoff.waits_s(random.Random()), start=1):
            if time.monotonic() - lost_s + wait_s > self._backoff.patience_s:
                break
            await asyncio.sleep(wait_s)
            try:
                messages = await self._try_again()
            except ClientError as error:
                failure = error
                if not error.retryable:
                    raise
            else:
                return ConnectionRestored(messages, attempt, time.monotonic() - lost_s)
        raise Disconnected(f"{reason}, and the connection could not be restored: {failure.message}") from failure

    async def _try_again(self) -> int:
        """One attempt. Returns how many messages the new session was told; raises ClientError."""
        socket, created = await self._dial()
        events = self._history.replay()
        try:
            kept = await _replay(RealtimeSession(socket, created), events)
        except BaseException:
            await socket.close()
            raise
        self._socket, self.created, self._lost = socket, created, None
        self._kept.extend(kept)
        return sum(event["type"] == "conversation.item.create" for event in events)


async def _replay(session: RealtimeSession, events: list[dict[str, Any]]) -> list[Any]:
    """Tell a new session what the old one was. Returns what the server said beside taking it, once it took all."""
    waiting = {f"restore_{number}": event for number, event in enumerate(events)}
    kept = []

    async def tell() -> None:
        for event_id, event in list(waiting.items()):
            await session.send({**event, "event_id": event_id})

    try:
        async with asyncio.timeout(REPLAY_S), asyncio.TaskGroup() as tasks:
            tasks.create_task(tell(), name="replay")
            while waiting:
                event = await anext(session)
                taken = [event_id for event_id, told in waiting.items() if _answers(event, event_id, told)]
                waiting = {event_id: told for event_id, told in waiting.items() if event_id not in taken}
                if event.type == "error" or not event.type.startswith(("session.", "conversation.item.")):
                    kept.append(event)
    except TimeoutError as late:
        raise Disconnected(f"the new session did not take the conversation within {REPLAY_S:g} s") from late
    except BaseExceptionGroup as group:
        raise first_cause(group) from group
    except StopAsyncIteration as closed:
        raise Disconnected("the server closed the new session") from closed
    return kept


def _answers(event: Any, event_id: str, told: Mapping[str, Any]) -> bool:
    """Whether `event` says that the server took, or refused, what it was told."""
    if event.type == "error":
        return bool(event.error.event_id == event_id)
    if told["type"] == "session.update":
        return bool(event.type == "session.updated")
    return bool(event.type == "conversation.item.done" and event.item.id == told["item"]["id"])


@asynccontextmanager
async def stay_connected(
    url: str = DEFAULT_URL,
    *,
    api_key: str | None = None,
    model: str | None = None,
    backoff: Backoff | None = None,
    open_timeout_s: float = 10.0,
) -> AsyncIterator[LastingSession]:
    """Open a session that comes back, and close it at the end. Arguments and errors of the first connection: `connect`."""
    again = partial(dial, realtime_url(url, model), api_key, open_timeout_s)
    session = LastingSession(*await again(), again, backoff or Backoff())
    try:
        yield session
    finally:
        await session.close()
