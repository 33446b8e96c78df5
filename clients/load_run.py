"""Open-loop load: sessions arrive independently of the server's speed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from clients.conversation import Conversation
from clients.errors import ClientError
from clients.playback import Clock, SystemClock
from clients.realtime import DEFAULT_URL, ReplyLanguage, ServerVad, SessionOptions, connect
from clients.recordings import FRAME_S, Recording
from clients.samples import Samples
from clients.turns import TurnRecord

Arrivals = Literal["poisson", "fixed"]

_MAX_CODES = 64


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What callers do. Times in seconds.

    `rate_hz`: sessions that arrive a second, for `duration_s`; `max_sessions` at once, further arrivals are skipped and
    counted, never delayed. `commit`: callers end their turns themselves. `pause_s`: silence between hearing an answer
    and the next question. `drain_s`: how long sessions may go on after the last arrival.
    """

    rate_hz: float
    duration_s: float
    url: str = DEFAULT_URL
    arrivals: Arrivals = "poisson"
    turns: int = 1
    max_sessions: int = 1000
    commit: bool = False
    pause_s: float = 1.0
    buffer_s: float = 0.0
    timeout_s: float = 30.0
    drain_s: float = 60.0
    silence_ms: int | None = None
    reply_language: ReplyLanguage | None = None
    model: str | None = None
    seed: int = 0


@dataclass(slots=True)
class LoadStats:
    """What was measured, in bounded memory. Lengths of time in seconds.

    `from_speech_end_s`: end of the user's speech (or commit) to the first audio that arrives; `from_speech_stopped_s`:
    from the server's notice of that end. `longest_gap_s`: the longest gap in each answer, or 0.
    `frame_lag_s`: how late the generator itself woke to send a frame; `blocked_s`: how long a frame waited for the
    connection.
    """

    started: int = 0
    completed: int = 0
    failed: int = 0
    unfinished: int = 0
    skipped: int = 0
    asked: int = 0
    answered: int = 0
    interrupted: int = 0
    gaps: int = 0
    turns_with_gaps: int = 0
    late_frames: int = 0
    blocked_frames: int = 0
    spoken_s: float = 0.0
    audio_s: float = 0.0
    most_at_once: int = 0
    elapsed_s: float = 0.0
    served_model: str | None = None
    errors: Counter[str] = field(default_factory=Counter)
    from_speech_end_s: Samples = field(default_factory=Samples)
    from_speech_stopped_s: Samples = field(default_factory=Samples)
    until_complete_s: Samples = field(default_factory=Samples)
    longest_gap_s: Samples = field(default_factory=Samples)
    frame_lag_s: Samples = field(default_factory=Samples)
    blocked_s: Samples = field(default_factory=Samples)
    arrival_lag_s: Samples = field(default_factory=Samples)

    def error(self, code: str) -> None:
        """One more error; past 64 different codes they are counted as `other`."""
        self.errors[code if code in self.errors or len(self.errors) < _MAX_CODES else "other"] += 1

    def frame(self, lag_s: float, blocked_s: float) -> None:
        """A frame was sent."""
        self.frame_lag_s.add(lag_s)
        self.blocked_s.add(blocked_s)
        self.late_frames += lag_s > FRAME_S
        self.blocked_frames += blocked_s > FRAME_S

    def measure(self, turn: TurnRecord) -> None:
        """A turn ended, well or not; what there was of it counts."""
        self.answered += turn.answered
        self.interrupted += turn.interrupted
        self.audio_s += turn.audio_s
        for error in turn.errors:
            self.error(error.code)
        if turn.first_audio_s is None or turn.asked_s is None:
            return
        self.from_speech_end_s.add(turn.first_audio_s - turn.asked_s)
        if turn.stopped_s is not None:
            self.from_speech_stopped_s.add(turn.first_audio_s - turn.stopped_s)
        if turn.answered and turn.done_s is not None:
            self.until_complete_s.add(turn.done_s - turn.asked_s)
        self.longest_gap_s.add(turn.playback.longest_gap_s)
        self.gaps += turn.playback.gaps
        self.turns_with_gaps += turn.playback.gaps > 0


def arrival_times(plan: LoadPlan) -> Iterator[float]:
    """Seconds from the start at which sessions arrive: the same for the same seed."""
    rng = random.Random(plan.seed)
    at_s = 0.0
    while True:
        at_s += rng.expovariate(plan.rate_hz) if plan.arrivals == "poisson" else 1 / plan.rate_hz
        if at_s > plan.duration_s:
            return
        yield at_s


async def open_loop(
    arrivals: Iterable[float],
    session: Callable[[int], Coroutine[Any, Any, None]],
    stats: LoadStats,
    *,
    max_sessions: int,
    drain_s: float,
    clock: Clock,
    progress: Callable[[], None] = lambda: None,
) -> None:
    """Start `session` at each arrival without waiting for any. What runs `drain_s` after the last is cancelled."""
    began_s = clock.now_s()
    running: set[asyncio.Task[None]] = set()

    try:
        async with asyncio.TaskGroup() as tasks:
            for number, at_s in enumerate(arrivals):
                await clock.sleep_until(began_s + at_s)
                stats.arrival_lag_s.add(max(0.0, clock.now_s() - began_s - at_s))
                if len(running) < max_sessions:
                    task = tasks.create_task(session(number), name=f"session-{number}")
                    running.add(task)
                    task.add_done_callback(running.discard)
                    stats.started += 1
                    stats.most_at_once = max(stats.most_at_once, len(running))
                else:
                    stats.skipped += 1
                progress()
            await _drain(running, drain_s, stats)
    except asyncio.CancelledError:
        stats.unfinished = stats.started - stats.completed - stats.failed
        raise
    finally:
        stats.elapsed_s = clock.now_s() - began_s


async def _drain(running: set[asyncio.Task[None]], drain_s: float, stats: LoadStats) -> None:
    if not running:
        return
    _, late = await asyncio.wait(running, timeout=drain_s)
    stats.unfinished += len(late)
    for task in late:
        task.cancel()


class Caller:
    """A caller that asks recordings in an order of its own, and listens to the answers."""

    def __init__(
        self,
        plan: LoadPlan,
        recordings: Sequence[Recording],
        stats: LoadStats,
        *,
        api_key: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._plan = plan
        self._recordings = recordings
        self._stats = stats
        self._api_key = api_key
        self._clock = clock or SystemClock()
        detection = None if plan.commit else ServerVad(silence_duration_ms=plan.silence_ms)
        self._options = SessionOptions(detection, plan.reply_language)

    async def call(self, number: int) -> None:
        """One session. Its failures are counted, and are no failures of the load test."""
        answered = 0

        async def script(conversation: Conversation) -> None:
            nonlocal answered
            await conversation.configure(self._options)
            for recording in self._choice(number):
                answered += await self._turn(conversation, recording)

        try:
            await self._converse(script)
        except ClientError as error:
            self._stats.error(error.code)
        if answered == self._plan.turns:
            self._stats.completed += 1
        else:
            self._stats.failed += 1

    def _choice(self, number: int) -> list[Recording]:
        return random.Random(f"{self._plan.seed}/{number}").choices(self._recordings, k=self._plan.turns)

    async def _converse(self, script: Callable[[Conversation], Awaitable[None]]) -> None:
        plan = self._plan
        async with connect(plan.url, api_key=self._api_key, model=plan.model) as session:
            self._stats.served_model = getattr(session.created.session, "model", None)
            conversation = Conversation(
                session,
                clock=self._clock,
                timeout_s=plan.timeout_s,
                buffer_s=plan.buffer_s,
                measure_lag=self._stats.frame,
            )
            await conversation.hold(script)

    async def _turn(self, conversation: Conversation, recording: Recording) -> bool:
        stats, plan = self._stats, self._plan
        stats.asked += 1
        stats.spoken_s += recording.duration_s
        try:
            turn = await (conversation.ask_and_commit if plan.commit else conversation.ask_aloud)(recording)
        finally:
            stats.measure(conversation.turn)
        if not turn.answered and not turn.errors:
            stats.error(f"response_{turn.status}")
        await conversation.listen_to_answer(plan.pause_s, open_microphone=not plan.commit)
        return turn.answered
