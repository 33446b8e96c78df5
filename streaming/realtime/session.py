"""Carries out what a session's machine wants done: its turns, timers and encoders, all of them tasks of one TaskGroup.

Transport-free: client events come from an async iterator, server events go to `send`. Nothing of a session outlives it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar, cast, get_args

from structlog.contextvars import bind_contextvars, bound_contextvars

from streaming.audio import MODEL_RATE_HZ
from streaming.errors import SpeechServerError
from streaming.headroom import Headroom
from streaming.realtime import effects as do
from streaming.realtime.captioner import Captioner
from streaming.realtime.events import Ending, Failed, ServerEvent, error_in
from streaming.realtime.limits import Allowance, Observer, Outcome, SessionLimits, Stop
from streaming.realtime.machine import FAREWELL_S
from streaming.realtime.messages import ClientMessage
from streaming.realtime.utterance import UtteranceEncoding
from streaming.report import TurnReport
from streaming.stages import Pcm, Stages
from streaming.task_groups import TaskGroup
from streaming.turn import AudioDelta, Turn, TurnEvent

log = logging.getLogger(__name__)

Send = Callable[[ServerEvent], Awaitable[None]]

_UNSENT = 16
"""Server events that may wait for the client before whoever tells more waits for it, too."""

STALLED_S = 2.0
"""A microphone that says nothing for so long in the middle of a turn counts as silent."""
_LOOKS = 8
"""How often it must be found so: a server that was held up itself looks once, whatever time has passed."""

_EFFECTS = get_args(do.Effect)
_PIECE_SAMPLES = MODEL_RATE_HZ // 2  # what the encoder does of a recording in one go, while live speech waits

K = TypeVar("K")
Running = dict[K, asyncio.Task[Any]]


@dataclass(frozen=True, slots=True)
class Parked:
    """The client's connection is lost, and what it is told is kept; or, not `parked`, the client is back."""

    parked: bool


class _HangUp(Exception):
    """The peer has gone, or all is said."""


@dataclass(frozen=True, slots=True)
class Session:
    """A machine and what it runs on. `headroom`: of all sessions together; `stop`: when its server stops."""

    machine: do.Machine
    stages: Stages
    limits: SessionLimits
    observer: Observer
    headroom: Headroom = field(default_factory=Headroom)
    stop: Stop = field(default_factory=Stop)

    async def run(self, received: AsyncGenerator[ClientMessage | do.Unreadable | Parked], send: Send) -> None:
        """Hold the session until `received` ends, its machine hangs up, or the server stops and nobody speaks.

        What is still running then is cancelled.

        The next client event is asked for when the one before it was dealt with and the client reads what was said of it.
        """
        bind_contextvars(session_id=self.machine.id)
        try:
            async with TaskGroup() as tasks:
                running = _Running(self, tasks)
                tasks.create_task(running.write(send), name="writer")
                tasks.create_task(running.watch(), name="stalled-microphone")
                tasks.create_task(running.leave(self.stop), name="leaving")
                tasks.create_task(running.obey(self.limits.allowance), name="allowance")
                try:
                    await running.take(do.Opened())
                    async with aclosing(received):
                        async for event in received:
                            if isinstance(event, Parked):
                                running.park(event)
                                continue
                            running.quiet = None
                            await running.take(event)
                            running.quiet = 0
                    raise _HangUp  # the way to cancel what a TaskGroup still runs
                finally:
                    running.end()
        except* _HangUp:
            pass


class _Running:
    """One session under way: everything that its machine says comes through `_receive`, which never waits."""

    def __init__(self, session: Session, tasks: TaskGroup) -> None:
        self._machine, self._stages = session.machine, session.stages
        self._limits, self._observer, self._headroom = session.limits, session.observer, session.headroom
        self._tasks = tasks
        self._captioner = Captioner(self._stages, self._observer, max_turn_s=self._limits.max_turn_s)
        self._outbox: asyncio.Queue[ServerEvent] = asyncio.Queue()  # bounded by those who wait for `_room`
        self._ready = asyncio.Event()
        self._turns: dict[str, asyncio.Task[SpeechServerError | None]] = {}
        self._hidden: dict[str, Turn] = {}
        self._refused: dict[str, do.StartTurn] = {}
        self._encoders: Running[UtteranceEncoding] = {}
        self._captions: Running[str] = {}
        self._timers: Running[str] = {}
        self._heard: UtteranceEncoding | None = None
        self._listening = asyncio.Event()
        self.quiet: int | None = 0  # looks at a client that has sent nothing, or None while it waits for us
        self.over = self._leaving = self._parked = False

    def end(self) -> None:
        """Nothing more is taken: what is complete in the dark is discarded, and what still runs once it is closed."""
        self.over = True
        for turn_id in self._hidden.keys() - self._turns.keys():
            self._discard(turn_id)

    async def take(self, input_: do.Input) -> None:
        """Give the machine an input, and wait until it can take the next, the client has read and the encoder keeps up."""
        if self._receive(input_):
            await self._room()
        while self._machine.waiting:
            self._ready.clear()
            await self._ready.wait()
            await self._room()
        if self._heard is not None:
            await self._heard.room()

    async def _room(self) -> None:
        """Wait while the client does not read."""
        if self._outbox.qsize() >= _UNSENT:
            await self._outbox.join()

    async def write(self, send: Send) -> None:
        """Send what was said, in order."""
        try:
            while True:
                event = await self._outbox.get()
                await send(event)
                self._outbox.task_done()
        finally:
            self.over = True

    async def watch(self) -> None:
        """Look for clients that send nothing in the middle of a turn."""
        while True:
            await self._listening.wait()  # a thousand clients that say nothing cost nothing
            await asyncio.sleep(STALLED_S / _LOOKS)
            if not self._machine.listening:
                self._listening.clear()
            elif self.quiet is not None:
                self.quiet += 1
                if self.quiet > _LOOKS:
                    self.quiet = 0
                    self._receive(do.Stalled())

    async def leave(self, stop: Stop) -> None:
        """When the server stops, say so and leave once nobody speaks, or when there is no more time."""
        await stop.asked.wait()
        self._leaving = True
        self._outbox.put_nowait(Ending(stop.within_s))
        self._leave_if_idle()
        await stop.over.wait()
        self.over = True
        raise _HangUp

    async def obey(self, allowance: Allowance) -> None:
        """Say why and leave once the caller may not be here any more."""
        await allowance.until_ended()
        if (why := allowance.refusal()) is not None:
            self._observer.error(why)
            self._outbox.put_nowait(Failed(why))
        await self._hang_up()

    def park(self, state: Parked) -> None:
        """Turns go on while the client is away, but its silence means nothing, and a server that stops does not wait for it."""
        self._parked = state.parked
        self.quiet = None if state.parked else 0
        self._leave_if_idle()

    def _leave_if_idle(self) -> None:
        if not self._leaving or self.over:
            return
        machine, answering = self._machine, self._turns.keys() - self._hidden.keys()
        if self._parked or not (machine.waiting or machine.listening or answering or self._captions):
            self._leaving = False
            self._do(do.HangUp())

    def _receive(self, input_: do.Input) -> bool:
        """Give the machine an input, and begin what it wants done. True if something is to be sent."""
        told = False
        if self.over:
            return told
        for output in self._machine.receive(input_):
            if isinstance(output, _EFFECTS):
                self._do(cast(do.Effect, output))
                continue
            told = True
            event = cast(ServerEvent, output)
            if (error := error_in(event)) is not None:
                self._observer.error(error)
            self._outbox.put_nowait(event)
        self._ready.set()
        if self._machine.listening:
            self._listening.set()
        self._leave_if_idle()
        return told

    def _do(self, effect: do.Effect) -> None:
        match effect:
            case do.Hear(utterance, pcm):
                self._hear(utterance, pcm)
            case do.Encode(utterance, recording):
                work = utterance.run(self._stages.encoder) if recording is None else self._record(utterance, recording)
                self._begin(self._encoders, utterance, work, "encoder")
            case do.Forget(utterance):
                self._end(self._encoders, utterance)
            case do.Peek(utterance, seen, beside):
                if beside is None or beside in self._turns:
                    utterance.peek(seen)
            case do.StartTurn():
                self._start_turn(effect)
            case do.RefuseTurn(turn_id, why):
                closed = do.TurnClosed(turn_id, TurnReport(), why)
                asyncio.get_running_loop().call_soon(self._receive, closed)
            case do.ShowTurn(turn_id):
                self._show_turn(turn_id)
            case do.CancelTurn(turn_id):
                self._cancel_turn(turn_id)
            case do.Follow(item_id):
                self._begin(self._captions, item_id, self._captioner.follow(effect, self._receive), "captions")
            case do.Unfollow(item_id):
                self._end(self._captions, item_id)
            case do.JudgePause(audio, beside):
                if beside is None or beside in self._turns:
                    self._tasks.create_task(self._judge(audio, beside), name="end-of-turn")
            case do.StartTimer(name, delay_s):
                self._end(self._timers, name)
                self._begin(self._timers, name, self._wait(name, delay_s), "timer")
            case do.StopTimer(name):
                self._end(self._timers, name)
            case do.Rest():
                asyncio.get_running_loop().call_soon(self._receive, do.Rested())
            case do.HangUp():
                self._tasks.create_task(self._hang_up(), name="goodbye")

    def _begin(self, running: Running[K], key: K, work: Coroutine[Any, Any, None], name: str) -> None:
        task = running[key] = self._tasks.create_task(work, name=name)
        task.add_done_callback(partial(self._ended, running, key))

    def _ended(self, running: Running[K], key: K, task: asyncio.Task[Any]) -> None:
        if running.get(key) is task:
            del running[key]
        self._leave_if_idle()

    def _end(self, running: Running[K], key: K) -> None:
        task = running.pop(key, None)
        if task is not None:
            task.cancel()

    # Effects

    def _hear(self, utterance: UtteranceEncoding, pcm: Pcm | None) -> None:
        if pcm is None:
            utterance.close()
            self._heard = None
        else:
            utterance.push(pcm)
            self._heard = utterance

    async def _record(self, utterance: UtteranceEncoding, pcm: Pcm) -> None:
        for start in range(0, pcm.size, _PIECE_SAMPLES):
            utterance.push(pcm[start : start + _PIECE_SAMPLES])
        utterance.close()
        await utterance.run(self._stages.encoder)

    async def _judge(self, audio: Pcm, beside: str | None) -> None:
        finished = None
        try:
            if self._stages.end_of_turn is not None:
                finished = await self._stages.end_of_turn.finished(audio)
        except Exception:
            log.exception("end-of-turn model failed")  # silence will end the turn
        self._receive(do.PauseJudged(finished, beside))

    async def _wait(self, name: do.TimerName, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        self._timers.pop(name)
        self._receive(do.TimerDue(name))

    async def _hang_up(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._outbox.join()
        self.over = True
        raise _HangUp

    # Turns

    def _start_turn(self, effect: do.StartTurn) -> None:
        turn_id, soon = effect.turn_id, asyncio.get_running_loop().call_soon
        if not effect.hidden:
            self._headroom.begin(turn_id)
        elif not self._headroom.admit(turn_id, lambda: soon(self._receive, do.GiveWay(turn_id))):
            self._observer.speculation("refused")
            self._refused[turn_id] = effect
            soon(self._refuse, turn_id)
            return
        else:
            self._observer.speculation("started")
        emit = partial(self._progress, turn_id)
        turn = Turn(self._stages, effect.question, effect.options, emit, hidden=effect.hidden)
        if effect.hidden:
            self._hidden[turn_id] = turn
        # The log lines of the task and of its end carry these.
        with bound_contextvars(turn_id=turn_id, **self._observer.begun(turn_id, turn.report)):
            task = self._turns[turn_id] = self._tasks.create_task(self._run(turn), name="response")
            task.add_done_callback(partial(self._closed, turn_id, turn))

    def _refuse(self, turn_id: str) -> None:
        if self._refused.pop(turn_id, None):
            self._receive(do.TurnClosed(turn_id, TurnReport(), cancelled=True))

    def _show_turn(self, turn_id: str) -> None:
        """Also a turn that is over, which is accounted for now, and one that was refused, which begins now."""
        if (refused := self._refused.pop(turn_id, None)) is not None:
            self._start_turn(replace(refused, hidden=False))
            return
        turn = self._hidden.pop(turn_id)
        turn.show()
        self._observer.speculation("confirmed")
        if turn_id in self._turns:
            self._headroom.begin(turn_id)
        else:
            self._account(turn_id, turn, "completed")

    def _cancel_turn(self, turn_id: str) -> None:
        task = self._turns.get(turn_id)
        if task is None or not task.cancel():  # over, though perhaps `_closed` has not run yet
            self._discard(turn_id)

    def _discard(self, turn_id: str) -> None:
        if (turn := self._hidden.pop(turn_id, None)) is not None:
            self._observer.speculation("discarded")
            self._observer.discarded(turn_id, turn.report)

    async def _progress(self, turn_id: str, event: TurnEvent) -> None:
        told = self._receive(do.TurnProgress(turn_id, event))
        if isinstance(event, AudioDelta):  # seconds of it: the decoder goes on when it is sent
            await self._outbox.join()
        elif told:
            await self._room()

    async def _run(self, turn: Turn) -> SpeechServerError | None:
        try:
            await turn.run(self._limits.max_turn_s)
        except SpeechServerError as error:
            return error
        except Exception:
            log.exception("turn failed")
            return SpeechServerError("the turn failed inside the server")
        return None

    def _closed(self, turn_id: str, turn: Turn, task: asyncio.Task[SpeechServerError | None]) -> None:
        """All stages are closed, also of a turn that was cancelled before it began."""
        del self._turns[turn_id]
        failure = None if task.cancelled() else task.result()
        outcome: Outcome = "cancelled" if task.cancelled() else "failed" if failure else "completed"
        self._headroom.end(turn_id, gaps=turn.report.playout.underruns)
        if not turn.hidden:
            self._account(turn_id, turn, outcome)
        elif outcome != "completed" or self.over:
            self._discard(turn_id)
        buffered_s = turn.report.playout.buffered_s(time.monotonic())
        self._receive(do.TurnClosed(turn_id, turn.report, failure, task.cancelled(), buffered_s))

    def _account(self, turn_id: str, turn: Turn, outcome: Outcome) -> None:
        self._observer.turn(turn_id, turn.report, outcome)
        log.info("turn %s", outcome, extra=turn.report.figures())
