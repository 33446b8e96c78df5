"""Callers: a fixed number that calls again and again, or sessions that arrive independently of the server's speed."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any

from clients.conversation import Conversation
from clients.errors import ClientError, TurnTimeout
from clients.load.plan import LoadPlan, Question, arrival_times, questions
from clients.load.stats import LoadStats
from clients.load.verify import AnswerCheck, Responses
from clients.playback import Clock, SystemClock
from clients.realtime import ServerVad, SessionOptions, connect
from clients.recordings import Recording

RAMP_S = 10.0
"""Callers at once begin within this time, or a quarter of the test, so that they do not speak in step."""
BACKOFF_S = (0.5, 10.0)
"""Shortest and longest wait of a caller whose session failed."""

Session = Callable[[int], Coroutine[Any, Any, bool]]
"""A session by its number; whether it went well."""


async def open_loop(plan: LoadPlan, session: Session, stats: LoadStats, *, clock: Clock) -> None:
    """Start `session` at each arrival without waiting for any. What runs `drain_s` after the last is cancelled."""
    stats.began_s = began_s = clock.now_s()
    running: set[asyncio.Task[bool]] = set()
    try:
        async with asyncio.TaskGroup() as tasks:
            for number, at_s in enumerate(arrival_times(plan)):
                await clock.sleep_until(began_s + at_s)
                stats.arrival_lag.add(max(0.0, clock.now_s() - began_s - at_s))
                if len(running) < plan.max_sessions:
                    task = tasks.create_task(_counted(session, number, stats, clock), name=f"session-{number}")
                    running.add(task)
                    task.add_done_callback(running.discard)
                else:
                    stats.skipped += 1
            await _drain(running, plan.drain_s, stats)
    finally:
        _end(stats, clock)


async def closed_loop(plan: LoadPlan, session: Session, stats: LoadStats, *, clock: Clock) -> None:
    """`plan.callers` at once: each begins another session when its last one ended, later after a failure."""
    stats.began_s = began_s = clock.now_s()
    end_s = began_s + plan.duration_s
    numbers, rng = itertools.count(), random.Random(plan.seed)
    ramp_s = min(RAMP_S, plan.duration_s / 4)

    async def caller(start_s: float) -> None:
        await clock.sleep_until(start_s)
        failures = 0
        while clock.now_s() < end_s:
            well = await _counted(session, next(numbers), stats, clock)
            failures = 0 if well else failures + 1
            if failures:
                wait_s = min(BACKOFF_S[1], BACKOFF_S[0] * 2 ** min(failures - 1, 16))
                await clock.sleep_until(min(clock.now_s() + wait_s, end_s))

    try:
        async with asyncio.TaskGroup() as tasks:
            starts_s = [began_s + rng.random() * ramp_s for _ in range(plan.callers or 1)]
            running = [tasks.create_task(caller(at_s), name=f"caller-{n}") for n, at_s in enumerate(starts_s)]
            await clock.sleep_until(end_s)
            await _drain(running, plan.drain_s, stats)
    finally:
        _end(stats, clock)


async def _counted(session: Session, number: int, stats: LoadStats, clock: Clock) -> bool:
    stats.session_began(clock.now_s())
    try:
        well = await session(number)
    finally:
        stats.session_ended(clock.now_s())
    if well:
        stats.completed += 1
    else:
        stats.failed += 1
    return well


async def _drain(running: Iterable[asyncio.Task[Any]], drain_s: float, stats: LoadStats) -> None:
    left = {task for task in running if not task.done()}
    if not left:
        return
    _, late = await asyncio.wait(left, timeout=drain_s)
    stats.overdue = bool(late)
    for task in late:
        task.cancel()


def _end(stats: LoadStats, clock: Clock) -> None:
    stats.unfinished = stats.started - stats.completed - stats.failed
    stats.elapsed_s = clock.now_s() - stats.began_s


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
        self._responses = Responses()
        detection = None if plan.commit else ServerVad(silence_duration_ms=plan.silence_ms)
        self._options = SessionOptions(detection, plan.reply_language)

    async def call(self, number: int) -> bool:
        """One session; whether all of it went as it should. Its failures are counted, and are none of the load test."""
        good, refused = 0, True

        async def script(conversation: Conversation, check: AnswerCheck) -> None:
            nonlocal good, refused
            await conversation.configure(self._options)
            refused = False
            for question in questions(self._plan, self._recordings, number):
                good += await self._turn(conversation, check, question)

        try:
            await self._converse(number, script)
        except ClientError as error:
            self._stats.error(error.code)
            if refused:
                self._stats.refuse()
        return good == self._plan.turns

    async def _converse(self, number: int, script: Callable[[Conversation, AnswerCheck], Awaitable[None]]) -> None:
        plan, stats, clock = self._plan, self._stats, self._clock
        called_s = clock.now_s()
        headers = dict(plan.headers)
        async with connect(plan.url, api_key=self._api_key, model=plan.model, headers=headers) as session:
            stats.opening.add(clock.now_s() - called_s)
            stats.served_model = getattr(session.created.session, "model", None)
            check = AnswerCheck(number, self._responses)
            conversation = Conversation(
                session,
                clock=clock,
                timeout_s=plan.timeout_s,
                buffer_s=plan.buffer_s,
                observe=lambda event, turn: check.observe(event),
                measure_lag=stats.frame,
            )
            await conversation.hold(lambda conversation: script(conversation, check))

    async def _turn(self, conversation: Conversation, check: AnswerCheck, question: Question) -> bool:
        """Whether the question was answered, or its answer interrupted as planned."""
        stats, plan = self._stats, self._plan
        stats.spoken_s += question.recording.duration_s
        try:
            barge_in = await self._ask(conversation, question)
        except asyncio.CancelledError:
            if stats.overdue:
                stats.measure(conversation.turn, (), barged_in=False)
            raise
        except ClientError:
            stats.measure(conversation.turn, (), barged_in=False)
            raise
        turn = conversation.turn
        faults = check.faults(question.recording, turn.transcript, self._recordings, unfinished=barge_in)
        good = stats.measure(turn, faults, barged_in=barge_in)
        if not good and not turn.errors and not faults:
            stats.error(f"response_{turn.status}")
        if not barge_in:
            await conversation.listen_to_answer(question.think_s, open_microphone=not plan.commit)
        return good

    async def _ask(self, conversation: Conversation, question: Question) -> bool:
        """Ask, and listen. Returns whether the answer is to be interrupted now."""
        patience_s = 2 * self._plan.timeout_s + question.recording.duration_s
        ask = conversation.ask_and_commit if self._plan.commit else conversation.ask_aloud
        try:
            async with asyncio.timeout(patience_s):  # a server that no longer reads holds up even the question
                turn = await ask(question.recording, hear_s=question.hear_s)
                if question.hear_s is None or not turn.playback.left_s(self._clock.now_s()):
                    return False
                if self._plan.commit:
                    await conversation.stop_answer()
                return True
        except TimeoutError as late:
            raise TurnTimeout(f"the server takes no audio, or nothing ended within {patience_s:g} s") from late
