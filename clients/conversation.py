"""The turns of one session: one task listens while the other speaks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from clients.errors import Disconnected, TurnFailed, TurnTimeout, first_cause
from clients.playback import Clock, SystemClock
from clients.realtime import RealtimeSession, SessionOptions
from clients.reconnect import ConnectionLost, ConnectionRestored
from clients.recordings import FRAME_S, SILENCE_MESSAGE, Recording
from clients.turns import TurnError, TurnRecord

Observer = Callable[[Any, TurnRecord], None]
"""Called with every event after the turn took it."""

LagMeter = Callable[[float, float], None]
"""Called per frame: seconds that the sender woke too late, and seconds that the connection kept it waiting."""


SESSION_ENDS = frozenset({"session_expired"})
"""Errors that announce the end of the session, and say nothing about the turn: the end itself comes next."""


class Conversation:
    """What a caller says in a session, and the turn that is going on.

    `buffer_s`: what the caller's player holds back before it starts. A question spoken in real time ends when the
    server hears silence, so an open microphone sends silence until the answer is complete. Errors about events of
    earlier turns, and about a truncation that came too late, are no errors of this turn.

    In a session that comes back, a turn goes on where the server still has the session. Otherwise it raises Disconnected,
    and the next one begins when the connection is back.
    """

    def __init__(
        self,
        session: RealtimeSession,
        *,
        clock: Clock | None = None,
        timeout_s: float = 60.0,
        buffer_s: float = 0.0,
        observe: Observer | None = None,
        measure_lag: LagMeter | None = None,
    ) -> None:
        self._session = session
        self._clock = clock or SystemClock()
        self._timeout_s = timeout_s
        self._buffer_s = buffer_s
        self._observe = observe
        self._measure_lag = measure_lag
        self._configured = False
        self._changed = asyncio.Event()
        self._own_events: set[str] = set()
        self._refusals: set[str | None] = set()
        self._due_s: float | None = None
        self._sent_s = 0.0
        self._away = False
        self._lost: str | None = None
        self._reason = ""
        self.turn = TurnRecord(buffer_s)
        self._spoken_into: TurnRecord | None = None

    async def hold(self, script: Callable[[Conversation], Awaitable[None]]) -> None:
        """Run `script` while listening. Raises the first failure of either."""
        try:
            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(self._listen(), name="listen")
                await script(self)
                listening.cancel()
        except BaseExceptionGroup as group:
            raise first_cause(group) from group

    async def configure(self, options: SessionOptions) -> None:
        """Set the session up. Raises TurnFailed with the server's code where it does not accept that."""
        self._own_events.add(await self._session.update(options))
        await self._until(lambda: self._configured or bool(self.turn.errors), "the session was not set up")
        for error in self.turn.errors:
            raise TurnFailed(error.message, code=error.code)

    async def ask_text(self, text: str) -> TurnRecord:
        """Ask a typed question; returns when it is answered or refused."""
        await self._begin()
        return await self._request(await self._session.add_text(text))

    async def ask_at_once(self, recording: Recording) -> TurnRecord:
        """Send a whole recording as fast as the server takes it, and commit it."""
        await self._begin()
        self._own_events.update(await self._session.append(recording.pcm))
        return await self._request(await self._session.commit())

    async def ask_and_commit(self, recording: Recording, *, hear_s: float | None = None) -> TurnRecord:
        """Speak a recording in real time up to the end of its speech, and commit it there.

        `hear_s`: return already when so much of the answer was heard. `stop_answer` then ends it.
        """
        await self._begin()
        self._due_s = None
        for message in recording.messages[: recording.speech_frames]:
            await self._send_frame(message)
        return await self._request(await self._session.commit(), hear_s)

    async def stop_answer(self) -> None:
        """Fall silent in the middle of an answer: cancel it where it is still made, and tell how much was heard."""
        turn = self.turn
        if not turn.over:
            await self._session.cancel()
        await self._interrupt(self._clock.now_s())
        await self._until(lambda: turn.over, self._late())

    async def ask_aloud(self, recording: Recording, *, hear_s: float | None = None) -> TurnRecord:
        """Speak a recording in real time; the server notices when it ends. The microphone stays open until then.

        `hear_s`: return already when so much of the answer was heard. The next question interrupts it.
        """
        await self._begin()
        for number, message in enumerate(recording.messages, start=1):
            await self._send_frame(message)
            if number == recording.speech_frames:
                self.turn.asked_s = self._clock.now_s()
        assert self.turn.asked_s is not None
        deadline_s = self.turn.asked_s + self._timeout_s
        while self._listening(hear_s):
            if self._clock.now_s() > deadline_s:
                raise TurnTimeout(self._late())
            await self._send_frame(SILENCE_MESSAGE)
        self._spoken_into = self.turn if hear_s is not None else None
        return self.turn

    async def listen_to_answer(self, pause_s: float = 0.0, *, open_microphone: bool = False) -> None:
        """Wait until the answer would have been played, and `pause_s` longer."""
        now_s = self._clock.now_s()
        end_s = now_s + self.turn.playback.left_s(now_s) + pause_s
        while open_microphone and self._clock.now_s() < end_s:
            await self._send_frame(SILENCE_MESSAGE)
        await self._clock.sleep_until(end_s)

    async def _begin(self) -> None:
        while self._away:
            self._changed.clear()
            await self._changed.wait()
        self._lost = None
        self.turn = TurnRecord(self._buffer_s)
        self._own_events.clear()
        self._refusals.clear()

    async def _request(self, asked_by: str, hear_s: float | None = None) -> TurnRecord:
        """Ask for the answer once the question is in: after a refused one the server would answer the last again."""
        turn = self.turn
        turn.asked_s = self._clock.now_s()
        self._own_events.add(asked_by)
        await self._until(lambda: turn.stopped_s is not None or self._refused(asked_by), self._late())
        if not turn.errors:
            turn.expect_answer()
            self._own_events.add(await self._session.respond())
            await self._until(lambda: turn.over or self._hearing(hear_s), self._late())
            while self._listening(hear_s):
                await self._clock.sleep_until(self._clock.now_s() + FRAME_S)
                self._check_connection()
        return turn

    def _hearing(self, hear_s: float | None) -> bool:
        return hear_s is not None and self.turn.first_audio_s is not None

    def _listening(self, hear_s: float | None) -> bool:
        """The answer goes on, or with `hear_s` is played, and not that much of it was heard."""
        turn, now_s = self.turn, self._clock.now_s()
        if hear_s is None:
            return not turn.over
        return turn.playback.heard_s(now_s) < hear_s and not (turn.over and not turn.playback.left_s(now_s))

    def _refused(self, event_id: str) -> bool:
        return bool(self._refusals & {event_id, None})

    async def _until(self, condition: Callable[[], bool], complaint: str) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
                    self._check_connection()
        except TimeoutError as late:
            raise TurnTimeout(complaint) from late

    def _check_connection(self) -> None:
        if self._lost is not None:
            raise Disconnected(self._lost)

    def _late(self) -> str:
        return f"no complete answer within {self._timeout_s:g} s"

    async def _send_frame(self, message: str) -> None:
        """Send one frame when it is due: 20 ms after the one before."""
        due_s = self._clock.now_s() if self._due_s is None else self._due_s
        await self._clock.sleep_until(due_s)
        woke_s = self._clock.now_s()
        self._check_connection()
        await self._session.send_message(message)
        sent_s = self._clock.now_s()
        if self._measure_lag is not None:
            self._measure_lag(max(0.0, woke_s - max(due_s, self._sent_s)), sent_s - woke_s)
        self._due_s, self._sent_s = due_s + FRAME_S, sent_s

    async def _listen(self) -> None:
        async for event in self._session:
            await self._take(event)
        raise Disconnected("the server closed the session")

    async def _take(self, event: Any) -> None:
        now_s = self._clock.now_s()
        if event.type == "session.updated":
            self._configured = True
        if event.type in ("connection.lost", "connection.restored"):
            self._follow(event)
        if event.type == "error":
            if event.error.event_id not in (None, *self._own_events) or event.error.code in SESSION_ENDS:
                return
            self._refusals.add(event.error.event_id)
        if event.type == "input_audio_buffer.speech_started":
            await self._interrupt(now_s)
        self.turn.take(event, now_s)
        if self._observe is not None:
            self._observe(event, self.turn)
        self._changed.set()

    def _follow(self, event: ConnectionLost | ConnectionRestored) -> None:
        """The turn is lost with its session, not with the connection alone."""
        if isinstance(event, ConnectionLost):
            self._away, self._reason = True, event.reason
            self._lost = None if event.resumable else event.reason
        else:
            self._away = False
            self._lost = None if event.resumed else self._reason

    async def _interrupt(self, now_s: float) -> None:
        """The user speaks: playback stops, also of an answer that is spoken into, and the server learns how much was heard."""
        with suppress(Disconnected):  # the session itself says so next
            for turn in filter(None, (self._spoken_into, self.turn)):
                for heard in turn.interrupt(now_s):
                    await self._session.truncate(heard.item_id, heard.ms)


def summary_of(errors: list[TurnError]) -> str:
    """Errors in one line."""
    return "; ".join(f"{error.code}: {error.message}" for error in errors)
