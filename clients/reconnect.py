"""Sessions that reconnect: the server keeps the session of a lost connection, or a new one receives its state and continues.

    async with stay_connected("ws://127.0.0.1:8080") as session:
        await session.update(SessionOptions())
        async for event in session:
            match event:
                case ConnectionLost(reason): ...
                case ConnectionRestored(): ...

The iteration does the reconnecting, so keep iterating. Where the server still has the session, nothing is lost: what is sent
meanwhile waits, and the answer goes on. Otherwise, a half-spoken question or half-given answer is lost, what was said before
is not.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from openai.types.realtime import SessionCreatedEvent
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from clients.errors import ClientError, Disconnected, first_cause
from clients.history import History
from clients.realtime import DEFAULT_URL, RealtimeSession, dial, realtime_url
from clients.resumption import OFFER, RESUMED, Resumption, concerns_the_user

REPLAY_S = 10.0

Dial = Callable[[str], Awaitable[tuple[ClientConnection, Any]]]
"""Opens a connection that offers a subprotocol, and returns its first event, too; raises as `connect` does."""


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
    """Not of the protocol: the connection ended, and is being restored while the iteration goes on.

    `resumable`: the server may still have the session, with all that is under way. When it cannot have it any more, this comes once
    more, without that.
    """

    reason: str
    resumable: bool = False
    type: Literal["connection.lost"] = "connection.lost"


@dataclass(frozen=True, slots=True)
class ConnectionRestored:
    """Not of the protocol: the session goes on (`resumed`), or a new one has its configuration and `messages` of its talk."""

    messages: int
    attempts: int
    away_s: float
    resumed: bool = False
    type: Literal["connection.restored"] = "connection.restored"


class _CountedSession(RealtimeSession):
    """A session of which is kept what it takes to come back to it."""

    def __init__(self, socket: ClientConnection, created: SessionCreatedEvent) -> None:
        super().__init__(socket, created)
        self.resumption = Resumption(created)

    async def __anext__(self) -> Any:
        while True:
            event = await super().__anext__()
            self.resumption.take(event)
            if concerns_the_user(event):
                return event

    async def send_message(self, message: str) -> None:
        """Send an event that is already JSON."""
        self.resumption.sent(message)
        await super().send_message(message)


class LastingSession(_CountedSession):
    """A `RealtimeSession` whose iteration goes on after a lost connection.

    What is sent while it is away waits for the session to go on; where that cannot be, sending raises Disconnected. Items keep
    their ids; `created` is of the newest session. The iteration raises Disconnected when `backoff` gives up, and the refusal at
    once where that does not pass by itself, such as a wrong key.
    """

    def __init__(self, socket: ClientConnection, created: SessionCreatedEvent, dial: Dial, backoff: Backoff) -> None:
        super().__init__(socket, created)
        self._dial = dial
        self._backoff = backoff
        self._history = History()
        self._lost: str | None = None
        self._lost_s = 0.0
        self._waiting = self._closed = False
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
            self._lost_s = time.monotonic()
            self._waiting = self.resumption.possible and _broken(gone)
            return ConnectionLost(self._lost, self._waiting)
        self._history.take(event)
        return event

    async def send(self, event: Mapping[str, Any]) -> str:
        """Send any client event, as RealtimeSession does."""
        numbered = self._numbered(event)
        if self._lost is None or self._waiting:
            self._history.sent(numbered)
        return await super().send(numbered)

    async def send_message(self, message: str) -> None:
        """Send an event that is already JSON."""
        if self._waiting:
            self.resumption.queue(message)
            return
        if self._lost is not None:
            raise Disconnected(f"{self._lost}; it is being restored")
        try:
            await super().send_message(message)
        except Disconnected as gone:
            if self._closed or not (self.resumption.possible and _broken(gone)):
                raise  # else it is sent again

    async def close(self) -> None:
        """End the session in an orderly way; nothing is restored any more."""
        self._closed = True
        await super().close()

    async def _come_back(self, reason: str) -> ConnectionRestored | ConnectionLost:
        """Try until it is restored, or until what was under way is certainly lost, too."""
        failure: ClientError = Disconnected(reason)
        for attempt, wait_s in enumerate(self._backoff.waits_s(random.Random()), start=1):
            if self._away_s + wait_s > self._backoff.patience_s:
                break
            await asyncio.sleep(wait_s)
            if self._waiting and self._away_s > self.resumption.within_s:
                self._waiting = False
                return ConnectionLost(reason)
            try:
                messages = await self._try_again()
            except ClientError as error:
                failure = error
                if not error.retryable:
                    raise
            else:
                return ConnectionRestored(messages or 0, attempt, self._away_s, resumed=messages is None)
        raise Disconnected(f"{reason}, and the connection could not be restored: {failure.message}") from failure

    @property
    def _away_s(self) -> float:
        return time.monotonic() - self._lost_s

    async def _try_again(self) -> int | None:
        """One attempt. Returns how many messages a new session was told, or None if the session goes on; raises ClientError."""
        socket, first = await self._dial(self.resumption.offer if self._waiting else OFFER)
        try:
            if first.type == RESUMED:
                await self._go_on(socket, first)
                return None
            return await self._begin_anew(socket, first)
        except BaseException:
            await socket.close()
            raise

    async def _go_on(self, socket: ClientConnection, resumed: Any) -> None:
        """Send what the server has not taken, and what has waited."""
        self.resumption.take(resumed)
        number = resumed.received
        self._waiting = self.resumption.keeps(number)
        if not self._waiting:
            raise Disconnected("the server lacks more of what was said than is kept")
        while (message := self.resumption.message(number)) is not None:
            try:
                await socket.send(message)
            except ConnectionClosed as closed:
                raise Disconnected("the connection broke again") from closed
            number += 1
        self._socket, self._lost, self._waiting = socket, None, False

    async def _begin_anew(self, socket: ClientConnection, created: SessionCreatedEvent) -> int:
        """Tell a new session what the old one was. Returns how many messages that were."""
        self._waiting = False
        events, session = self._history.replay(), _CountedSession(socket, created)
        kept = await _replay(session, events)
        self._socket, self.created, self.resumption, self._lost = socket, created, session.resumption, None
        self._kept.extend(kept)
        return sum(event["type"] == "conversation.item.create" for event in events)


def _broken(gone: BaseException) -> bool:
    """The connection ended without a goodbye of the server."""
    return isinstance(gone.__cause__, ConnectionClosed) and gone.__cause__.rcvd is None


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
    address = realtime_url(url, model)

    async def again(offer: str) -> tuple[ClientConnection, Any]:
        return await dial(address, api_key, open_timeout_s, offer=offer)

    socket, created = await again(OFFER)
    session = LastingSession(socket, created, again, backoff or Backoff())
    try:
        yield session
    finally:
        await session.close()
