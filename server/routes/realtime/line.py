"""What carries a session: a socket, and after that is lost, another one whose client knows the token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketState

from server.routes.realtime.waiting import WaitingClient
from server.settings import Settings
from server.state.accounts import Seat
from server.state.metrics import Metrics, Parkings
from server.state.parking import NotResumable, Parking
from server.state.sessions import decoded
from streaming.errors import SpeechServerError, TooLarge
from streaming.realtime.backlog import Backlog
from streaming.realtime.effects import Machine, Unreadable
from streaming.realtime.events import Ending, Failed, Resumable, Resumed, ServerEvent, SessionCreated
from streaming.realtime.ga import Dialect, Ga
from streaming.realtime.messages import ClientMessage
from streaming.realtime.session import Parked

_CLOSE_S = 1.0
"""Longest time that saying goodbye may take."""
_GOODBYES = (1000, 1001, 1005)
"""Codes with which a client leaves for good; 1005 is none."""

_OURS = Ga()
"""Tokens are no part of the conversation, and not recorded with it."""

Lost = Literal["broken", "unread", "replaced"]


@dataclass(frozen=True, slots=True)
class Opening:
    """How a session was opened. `owner`: the keys offered; `address`: the path; `knows_us`: the client knows our own events.

    `unresumed`: why it got a new session, where it wanted to come back to another.
    """

    owner: tuple[str, ...]
    address: str
    knows_us: bool
    unresumed: SpeechServerError | None = None

    def may_have(self, line: Line) -> bool:
        """The session was opened at this address with this key."""
        return (self.owner, self.address) == (line.opening.owner, line.opening.address)


async def close(socket: WebSocket, code: int, reason: str) -> None:
    """Say goodbye, if somebody is there."""
    if socket.application_state is WebSocketState.CONNECTED:
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(_CLOSE_S):  # where nobody reads, this waits for a buffer to empty
                await socket.close(code, reason)


class _Here:
    """Raises TimeoutError after `within_s`, or when the socket is lost, which goes by those who are `waiting`."""

    # No generator: it is entered for every message.

    def __init__(self, waiting: set[asyncio.Timeout], within_s: float | None) -> None:
        self._waiting, self._limit = waiting, asyncio.timeout(within_s)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._waiting.add(self._limit)

    async def __aexit__(self, *raised: Any) -> None:
        self._waiting.discard(self._limit)
        await self._limit.__aexit__(*raised)


class Carrier:
    """One socket of a session. `next`: number of the message that it brings next; `lost`: how it ended, without a goodbye."""

    def __init__(self, client: WaitingClient, write_timeout_s: float) -> None:
        self._client, self._socket = client, client.socket
        self._write_timeout_s = write_timeout_s
        self._waiting: set[asyncio.Timeout] = set()
        self.lock = asyncio.Lock()  # of who writes
        self.next = 0
        self.lost: Lost | None = None
        self.closed = asyncio.Event()

    async def received(self) -> str | bytes | None:
        """The next message, text or binary, or None when no other comes."""
        if self.lost is not None or self._socket.client_state is not WebSocketState.CONNECTED:
            return None
        try:
            async with _Here(self._waiting, within_s=None):
                message = await self._client.receive()
        except (RuntimeError, TimeoutError):
            return None
        if message["type"] != "websocket.disconnect":
            text: str | bytes | None = message.get("text")
            return message["bytes"] if text is None else text
        # uvicorn names no reason where the connection broke, and 1005 as for a goodbye without a code
        if "reason" not in message or message["code"] not in _GOODBYES:
            self.lose("broken")
        return None

    async def catch_up(self, kept: Backlog) -> bool:
        """Bring what it has not brought yet. False if it cannot."""
        async with self.lock:
            while self.next < kept.end:
                if not await self.write(kept[self.next]):
                    return False
                self.next += 1
        return True

    async def write(self, message: str) -> bool:
        """Send one message. False if the client has gone, or does not read."""
        if self.lost is not None or self._socket.application_state is not WebSocketState.CONNECTED:
            return False
        try:
            async with _Here(self._waiting, self._write_timeout_s):
                await self._socket.send_text(message)
        except TimeoutError:
            self.lose("unread")
            return False
        except (WebSocketDisconnect, RuntimeError):
            return False
        return True

    def lose(self, why: Lost) -> None:
        """Nothing more is taken from it or given to it."""
        self.lost = self.lost or why
        now_s = asyncio.get_running_loop().time()
        for limit in self._waiting:
            if not limit.expired():
                limit.reschedule(now_s)

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye, if somebody is there."""
        await close(self._socket, code, reason)
        self.closed.set()


class Line:
    """A session's line, and its `seat` among those of its key.

    `parking`: where it waits for its client to come back; None: it ends with its socket.
    """

    def __init__(
        self,
        machine: Machine,
        dialect: Dialect,
        carrier: Carrier,
        settings: Settings,
        metrics: Metrics,
        opening: Opening,
        seat: Seat,
        parking: Parking[Line] | None,
    ) -> None:
        self.opening = opening
        self._seat = seat
        self._machine, self._dialect = machine, dialect
        self._settings, self._metrics = settings, metrics
        self._parking = parking
        self._carrier = carrier
        self._kept = Backlog()
        self._taken = 0  # messages of the client
        self._changed = asyncio.Event()
        self._over = False

    # What the client says

    async def received(self) -> AsyncGenerator[ClientMessage | Unreadable | Parked]:
        """Its events, until it has said goodbye, or is lost and does not come back."""
        while True:
            carrier, heard = self._carrier, False
            while (content := await carrier.received()) is not None:
                self._taken += 1
                if self._parking is not None and not heard:
                    self._parking.confirm(self)
                    heard = True
                yield await self._event(content)
            if carrier.lost is None or self._parking is None or self._over:
                return
            yield Parked(True)
            if not await self._resumed(carrier, self._parking):
                return
            yield Parked(False)

    async def _event(self, content: str | bytes) -> ClientMessage | Unreadable:
        most = self._settings.max_message_bytes
        if len(content) > most:
            return Unreadable(TooLarge(f"the message has {len(content)} bytes; at most {most}: send audio in pieces"))
        return await decoded(self._dialect, content, self._machine.audio_in)

    async def _resumed(self, lost: Carrier, parking: Parking[Line]) -> bool:
        """Wait for the client. False if it did not come back in time, or others need the place."""
        outcome: Parkings = "ended"
        try:
            # Who comes back before its loss was noticed takes the place of nobody who is away.
            with nullcontext() if lost.lost == "replaced" else self._away(parking):
                async with asyncio.timeout(parking.within_s):
                    while self._carrier is lost and not self._over:
                        self._changed.clear()
                        await self._changed.wait()
            outcome = "expired" if self._carrier is lost else "resumed"
        except TimeoutError:
            outcome = "expired"
        finally:
            self._metrics.parking(outcome)
        return outcome == "resumed"

    @contextmanager
    def _away(self, parking: Parking[Line]) -> Iterator[None]:
        """Others may take the place while the client is away."""
        with parking.away(self), self._seat.away(self.give_up):
            yield

    # What it is told

    async def send(self, event: ServerEvent) -> None:
        """Tell the client, or keep it for its return. Waits while it does not read, or too much is kept."""
        if isinstance(event, Ending) and not self.opening.knows_us:
            return
        for message in self._dialect.encode(event):
            await self._tell(message)
        if not isinstance(event, SessionCreated):
            return
        if self.opening.unresumed is not None:
            self._metrics.error(self.opening.unresumed.code)
            await self.send(Failed(self.opening.unresumed))
        if self._parking is not None:
            for message in _OURS.encode(Resumable(self._parking.issue(self), self._parking.within_s)):
                await self._tell(message)

    async def _tell(self, message: str) -> None:
        if self._parking is None:
            await self._carrier.write(message)
            return
        if self._carrier.lost is None:
            self._kept.trim(self._settings.resume_bytes, self._carrier.next)
        elif not await self._room(self._parking):
            return
        self._kept.add(message)
        await self._deliver()

    async def _room(self, parking: Parking[Line]) -> bool:
        """Wait while the client is away and has missed too much. False if it does not come back."""
        try:
            async with asyncio.timeout(parking.within_s):
                while self._carrier.lost and self._kept.size > 2 * self._settings.resume_bytes and not self._over:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self.give_up()
        return not self._over

    async def _deliver(self) -> None:
        while self._carrier.lost is None and self._carrier.next < self._kept.end:
            if not await self._carrier.catch_up(self._kept):
                return

    # Its end, and coming back

    @property
    def away(self) -> bool:
        """The client is not there, and may come back."""
        return self._carrier.lost is not None

    @property
    def unread(self) -> bool:
        """The client did not read what it was told."""
        return self._carrier.lost == "unread"

    def give_up(self) -> None:
        """Nobody comes back any more: end, if the client is away."""
        self._over = True
        self._changed.set()

    async def close(self, code: int, reason: str, last: ServerEvent | None = None) -> None:
        """The session is over: say so."""
        self._over = True
        if self._parking is not None:
            self._parking.forget(self)
        if last is not None and self._carrier.lost is None:
            await self.send(last)
        await self._carrier.close(code, reason)

    def expect(self, received: int) -> None:
        """A client that has `received` events comes back. Its old socket is lost from now on, whether or not it knows that yet.

        Raises NotResumable where what follows them is not kept; the session ends then.
        """
        if not self._keeps(received):
            self.give_up()
            raise NotResumable(
                f"the client has {received} events of the session, and those after {self._kept.start} are kept, up to "
                f"{self._kept.end}"
            )
        self._carrier.lose("replaced")
        if self._parking is not None:
            self._parking.returning(self)
            self._seat.back()

    async def carry_on(self, carrier: Carrier, received: int) -> None:
        """Go on over another socket, behind the first `received` events. Returns when that has ended."""
        if self._over or self._parking is None or not self._keeps(received):  # others may have been faster
            await carrier.close(1011, "the session cannot be resumed any more")
            return
        before, self._carrier = self._carrier, carrier
        carrier.next = received
        before.lose("replaced")
        token = self._parking.issue(self)
        async with carrier.lock:
            self._changed.set()
            for message in _OURS.encode(Resumed(self._machine.shape(), token, self._parking.within_s, self._taken)):
                await carrier.write(message)
        await self._deliver()
        await before.close(1008, "the session goes on over another connection")
        await carrier.closed.wait()

    def _keeps(self, received: int) -> bool:
        """What follows the first `received` events is kept."""
        return self._kept.start <= received <= self._kept.end
