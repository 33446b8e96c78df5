"""Sessions and requests that are under way, one by one, for who operates the server. What is said in them is not shown."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from server.state.accounts import Account
from server.state.metrics import Transport
from streaming.realtime.effects import Machine
from streaming.realtime.limits import Outcome
from streaming.report import TurnReport

log = logging.getLogger("cslm.realtime")

State = Literal["away", "hearing", "answering", "playing", "idle"]
"""The client's connection is lost; its user speaks; a turn is under way; what was sent is still to be played; none of these."""


@dataclass(frozen=True, slots=True)
class Row:
    """One session or request. `buffered_s`: audio that a listener who plays it at once still has to hear."""

    id: str
    key: str
    transport: Transport
    state: State
    language: str | None
    buffered_s: float
    age_s: float
    turns: int


class LiveSession:
    """A session, or a request over HTTP, from its beginning to its end. `machine`: None for a request.

    `away`: whether its client is.
    """

    def __init__(self, id_: str, account: Account, transport: Transport, machine: Machine | None = None) -> None:
        self.id, self.account, self.transport = id_, account, transport
        self.away: Callable[[], bool] = lambda: False
        self._machine = machine
        self._began_s = time.monotonic()
        self._turns: dict[str, TurnReport] = {}
        self._heard: TurnReport | None = None
        self._ended = 0

    def begun(self, turn_id: str, report: TurnReport) -> None:
        """A turn is under way; `report` fills meanwhile."""
        self._turns[turn_id] = report

    def ended(self, turn_id: str, outcome: Outcome | None) -> None:
        """It is over; None: nobody was told of it."""
        report = self._turns.pop(turn_id, None)
        if outcome is not None:
            self._ended += 1
            self._heard = None if outcome == "cancelled" else report

    def row(self) -> Row:
        """As it is now."""
        now_s = time.monotonic()
        heard = next(reversed(self._turns.values()), self._heard)
        buffered_s = 0.0 if heard is None else max(0.0, heard.playout.buffered_s(now_s))
        return Row(
            id=self.id,
            key=self.account.name,
            transport=self.transport,
            state=self._state(buffered_s),
            language=None if self._machine is None else _language(self._machine.shape().settings),
            buffered_s=round(buffered_s, 2),
            age_s=round(now_s - self._began_s, 1),
            turns=self._ended,
        )

    def _state(self, buffered_s: float) -> State:
        if self.away():
            return "away"
        if self._machine is not None and self._machine.listening:
            return "hearing"
        if self._turns or self._machine is None:
            return "answering"
        return "playing" if buffered_s else "idle"


class LiveSessions:
    """All of one server, in the order in which they began."""

    def __init__(self) -> None:
        self._live: dict[LiveSession, None] = {}

    @contextmanager
    def held(self, live: LiveSession) -> Iterator[LiveSession]:
        """`live` is one of them while the context lasts."""
        self._live[live] = None
        try:
            yield live
        finally:
            del self._live[live]

    @contextmanager
    def logged(self, live: LiveSession) -> Iterator[LiveSession]:
        """The same, with its beginning and its end in the log."""
        began_s = time.monotonic()
        known = {"transport": live.transport, "session_id": live.id}
        log.info("session opened", extra=known)
        try:
            with self.held(live):
                yield live
        finally:
            log.info("session closed", extra={**known, "lasted_s": round(time.monotonic() - began_s, 1)})

    def rows(self, account: Account | None = None) -> list[Row]:
        """Those of `account`; None: all."""
        return [live.row() for live in self._live if account in (None, live.account)]


def _language(settings: dict[str, Any]) -> str | None:
    """What answers are in; `auto`: as the question."""
    spoken = settings.get("reply_language") or settings["audio"].get("output", {}).get("language")
    return None if spoken is None else str(spoken)
