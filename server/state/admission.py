"""Admission of REST turns, sockets and calls alike: by what the stages have left, with a queue before it (`server.state.gate`)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from server.errors import ServerStopping
from server.state.gate import Gate, GateRules, Place
from server.state.peers import counted_as
from streaming.errors import CapacityError
from streaming.realtime.limits import Stop

Watcher = Callable[[str, int], None]
OnPlace = Callable[[Place], Awaitable[None]]
"""Hears where somebody waits, again whenever that has changed."""

_GOODBYE_S = 1.0
"""To say goodbye to who had to be ended."""
_LOOK_S = 0.25
"""How often who waits looks at the load."""


async def _unheard(_: Place) -> None:
    """There is no way to say it."""


@dataclass(slots=True, eq=False)
class _Ticket:
    """Somebody who wants in."""

    admitted: asyncio.Event = field(default_factory=asyncio.Event)


class Admission:
    """Places of one server. `on_change(transport, by)` hears of every place taken (+1) and given back (-1).

    `load`: how full the fullest stage is, 1 for full. `patience_s`: the longest wait for a place.
    `stop`: of the server. `moved`: another server accepts the connections of its address now.
    """

    def __init__(
        self,
        rules: GateRules,
        on_change: Watcher = lambda transport, by: None,
        *,
        load: Callable[[], float] = lambda: 0.0,
        patience_s: float = 0.0,
    ) -> None:
        self._gate = Gate(rules)
        self._on_change = on_change
        self._load = load
        self._patience_s = patience_s
        self._taken: Counter[str] = Counter()
        self._returned = asyncio.Event()
        self._limits: set[asyncio.Timeout] = set()
        self.stop = Stop()
        self.moved = False

    @property
    def active(self) -> int:
        """Places in use."""
        return self._gate.active

    @property
    def waiting(self) -> int:
        """Who waits for a place."""
        return self._gate.waiting

    @property
    def limit(self) -> int:
        """Places there are, as far as the load has shown."""
        return self._gate.limit

    def check(self, peer: str = "") -> None:
        """Raises what `slot` would raise at once."""
        self._check_stopping()
        self._gate.check(counted_as(peer), _now_s(), self._load())

    @asynccontextmanager
    async def slot(self, transport: str, peer: str = "", on_place: OnPlace = _unheard) -> AsyncGenerator[None]:
        """A place while the context lasts, for `peer`, an address; where there is none, wait for it. `on_place` hears where.

        Raises CapacityError and TooManyWaiting at once where the queue is full, CapacityError after `patience_s`, ServerStopping.
        """
        ticket = _Ticket()
        try:
            await self._enter(ticket, peer, on_place)
            self._taken[transport] += 1
            self._on_change(transport, 1)
            try:
                yield
            finally:
                self._taken[transport] -= 1
                self._on_change(transport, -1)
        finally:
            self._gate.leave(ticket, _now_s())
            self._let_in()
            self._returned.set()

    async def _enter(self, ticket: _Ticket, peer: str, on_place: OnPlace) -> None:
        self._check_stopping()
        if self._gate.arrive(ticket, counted_as(peer), _now_s(), self._load()):
            return
        try:
            async with asyncio.timeout(self._patience_s) as limit:
                await self._wait(ticket, on_place)
        except TimeoutError:
            if not limit.expired():
                raise
            if ticket.admitted.is_set():
                return
            place = self._gate.place(ticket, _now_s())
            raise CapacityError(
                f"no place became free within {self._patience_s:g} s; try again later", retry_s=place.wait_s
            ) from None

    async def _wait(self, ticket: _Ticket, on_place: OnPlace) -> None:
        position = 0
        while not ticket.admitted.is_set():
            self._check_stopping()
            place = self._gate.place(ticket, _now_s())
            if place.position != position:
                position = place.position
                await on_place(place)
            try:
                async with asyncio.timeout(_LOOK_S):
                    await ticket.admitted.wait()
            except TimeoutError:
                self._let_in()

    def _let_in(self) -> None:
        for ticket in self._gate.let_in(_now_s(), self._load()):
            assert isinstance(ticket, _Ticket)
            ticket.admitted.set()

    def _check_stopping(self) -> None:
        if self.stop.asked.is_set():
            raise ServerStopping("the server is stopping; try another, or this one again later")

    @asynccontextmanager
    async def until_over(self) -> AsyncGenerator[None]:
        """Work that ends with ServerStopping when the server has no more time."""
        limit = asyncio.timeout(0 if self.stop.over.is_set() else None)
        self._limits.add(limit)
        try:
            async with limit:
                yield
        except TimeoutError:
            if limit.expired():
                raise ServerStopping("the server stops and could not wait for the end of the answer") from None
            raise
        finally:
            self._limits.discard(limit)

    async def drain(self, limit_s: float) -> None:
        """Stop: let nobody in, give turns, sockets and calls `limit_s` to end, then end them."""
        self.stop.ask(limit_s)
        if await self._empty(limit_s):
            return
        self.stop.over.set()
        now_s = asyncio.get_running_loop().time()
        for limit in self._limits:
            limit.reschedule(now_s)
        await self._empty(_GOODBYE_S)

    async def _empty(self, limit_s: float) -> bool:
        """Wait until all have gone. False if they have not within `limit_s`."""
        try:
            async with asyncio.timeout(limit_s):
                while self.active:
                    self._returned.clear()
                    await self._returned.wait()
        except TimeoutError:
            return False
        return True


def _now_s() -> float:
    return asyncio.get_running_loop().time()
