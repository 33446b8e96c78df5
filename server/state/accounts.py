"""What the holder of one key may use, and what it has used."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from streaming.errors import RateLimited, SpeechServerError
from streaming.realtime.server_shapes import RateLimit
from streaming.report import TurnReport

_MINUTE_S = 60.0
_RETRY_SESSION_S = 5.0
"""Nobody knows when a session will end."""


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """None does not limit. `audio_s_per_day`: of questions and answers, in a day of UTC."""

    sessions: int | None = None
    turns_per_minute: int | None = None
    audio_s_per_day: float | None = None


@dataclass(frozen=True, slots=True)
class Clocks:
    """`monotonic`: seconds; `now`: the time in UTC."""

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


_NO_LIMITS, _CLOCKS = KeyLimits(), Clocks()


class DayTally:
    """Seconds of audio by key, of this day of UTC."""

    def __init__(self, now: Callable[[], datetime] = _CLOCKS.now) -> None:
        self._now = now
        self._day = now().date()
        self._seconds: dict[str, float] = {}

    def add(self, name: str, seconds: float) -> None:
        """So much more."""
        self._seconds[name] = self.of(name) + seconds

    def of(self, name: str) -> float:
        """So much in all."""
        if (today := self._now().date()) != self._day:
            self._day = today
            self.clear()
        return self._seconds.get(name, 0.0)

    def clear(self) -> None:
        """Nothing yet."""
        self._seconds.clear()


class Seat:
    """One of the sessions that a key may have at once. While its client is away, a new session may take it."""

    def __init__(self, away: dict[Seat, Callable[[], None]]) -> None:
        self._away = away

    @contextmanager
    def away(self, give_up: Callable[[], None]) -> Iterator[None]:
        """The client is away while the context lasts. `give_up` ends the session where a new one takes the seat."""
        self._away[self] = give_up
        try:
            yield
        finally:
            self.back()

    def back(self) -> None:
        """The client is back, or about to be: the seat is nobody else's any more."""
        self._away.pop(self, None)


Record = Callable[[str, TurnReport, str, str], None]
"""Takes the name of a key, what happened in a turn, its transport and its outcome."""


class Account:
    """One key's limits and use, in all of its sessions and requests. An `Allowance` of `streaming.realtime.limits`.

    `void`: why the key is good for nothing any more, asked before each turn; `ended` is set once that was noticed. `tally`: of the
    day, of all keys. `record` takes each turn that has ended. At most `turns_per_minute` turns begin in any 60 s. The turn that
    passes the day's limit is finished.
    """

    def __init__(
        self,
        name: str,
        limits: KeyLimits = _NO_LIMITS,
        clocks: Clocks = _CLOCKS,
        tally: DayTally | None = None,
        record: Record = lambda name, report, transport, outcome: None,
    ) -> None:
        self.name = name
        self.limits = limits
        self.void: Callable[[], SpeechServerError | None] = lambda: None
        self.ended = asyncio.Event()
        self.turns_begun = 0
        self.question_s = self.answer_s = 0.0
        self.tokens: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self._clocks = clocks
        self._record = record
        self._begun: deque[float] = deque()
        self._tally = tally or DayTally(clocks.now)
        self._seats: set[Seat] = set()
        self._away: dict[Seat, Callable[[], None]] = {}  # who has been away longest comes first

    # Sessions

    @property
    def sessions(self) -> int:
        """Sessions and requests at the moment, those whose clients are away included."""
        return len(self._seats)

    def session_refusal(self) -> SpeechServerError | None:
        """Why no session may begin now."""
        return self._no_seat(len(self._seats) - len(self._away))

    @contextmanager
    def session(self) -> Iterator[Seat]:
        """A session. At the limit it takes the seat of the one whose client has been away longest.

        Raises what `session_refusal` says.
        """
        self._raise(self.session_refusal())
        if self.limits.sessions is not None and self.sessions >= self.limits.sessions:
            seat = next(iter(self._away))
            self._seats.discard(seat)
            self._away.pop(seat)()
        with self._seated() as seat:
            yield seat

    @contextmanager
    def request(self) -> Iterator[None]:
        """A request of one turn, for which no session is ended. Raises what `session_refusal` says, in any case at the limit."""
        self._raise(self._no_seat(self.sessions))
        with self._seated():
            yield

    @contextmanager
    def _seated(self) -> Iterator[Seat]:
        seat = Seat(self._away)
        self._seats.add(seat)
        try:
            yield seat
        finally:
            self._seats.discard(seat)

    def _no_seat(self, taken: int) -> SpeechServerError | None:
        most = self.limits.sessions
        if most is not None and taken >= most:
            return RateLimited(
                f"the key {self.name} has {most} sessions, as many as it may have at once",
                retry_s=_RETRY_SESSION_S,
                code="too_many_sessions",
            )
        return self.void()

    # Turns

    def refusal(self) -> SpeechServerError | None:
        """See `Allowance`."""
        limits = self.limits
        if (why := self.void()) is not None:
            return why
        if limits.audio_s_per_day is not None and self._tally.of(self.name) >= limits.audio_s_per_day:
            minutes = limits.audio_s_per_day / 60
            return RateLimited(
                f"the key {self.name} has used its {minutes:g} minutes of audio of this day (UTC)",
                retry_s=self._day_left_s(),
                code="audio_quota_exceeded",
            )
        if limits.turns_per_minute is not None and self._in_window() >= limits.turns_per_minute:
            at = len(self._begun) - limits.turns_per_minute  # the one that has to leave the window
            return RateLimited(
                f"the key {self.name} has begun {limits.turns_per_minute} turns within a minute, as many as it may",
                retry_s=self._begun[at] + _MINUTE_S - self._clocks.monotonic(),
            )
        return None

    async def until_ended(self) -> None:
        """See `Allowance`."""
        await self.ended.wait()

    def check_turn(self) -> None:
        """Raises what `refusal` says."""
        self._raise(self.refusal())

    def take_turn(self) -> None:
        """See `Allowance`."""
        self.check_turn()
        self.turns_begun += 1
        if self.limits.turns_per_minute is not None:
            self._begun.append(self._clocks.monotonic())

    @property
    def turns(self) -> RateLimit | None:
        """See `Allowance`. Where the day's audio is used up, none is left until tomorrow."""
        most = self.limits.turns_per_minute
        why = self.refusal()
        if isinstance(why, RateLimited) and why.code == "audio_quota_exceeded":
            return RateLimit(most or 0, 0, round(why.retry_s, 3))
        if most is None:
            return None
        used = self._in_window()
        until_s = self._begun[-1] + _MINUTE_S - self._clocks.monotonic() if used else 0.0
        return RateLimit(most, max(0, most - used), round(until_s, 3))

    def spend(self, report: TurnReport, transport: str, outcome: str) -> None:
        """A turn has ended, however it did."""
        self._tally.add(self.name, report.question_s + report.audio_s)
        self.question_s += report.question_s
        self.answer_s += report.audio_s
        self.tokens["input"] += report.input_tokens
        self.tokens["output"] += report.output_tokens
        self._record(self.name, report, transport, outcome)

    def _raise(self, why: SpeechServerError | None) -> None:
        if why is not None:
            self.refusals[why.code] += 1
            raise why

    def _in_window(self) -> int:
        since_s = self._clocks.monotonic() - _MINUTE_S
        while self._begun and self._begun[0] <= since_s:
            self._begun.popleft()
        return len(self._begun)

    def _day_left_s(self) -> float:
        now = self._clocks.now()
        midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
        return max(1.0, math.ceil((midnight - now).total_seconds()))
