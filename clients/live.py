"""A spoken conversation over a sound card: full duplex, interrupted by speaking."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any, Protocol

from clients.errors import Disconnected, first_cause
from clients.realtime import RealtimeSession, audio_of
from clients.soundcard import SoundCard
from clients.turns import TurnRecord


class Display(Protocol):
    """Where the conversation is shown."""

    def show(self, event: Any, turn: TurnRecord) -> None:
        """An event, after `turn` took it."""
        ...

    def timings(self, turn: TurnRecord) -> None:
        """A turn that is complete."""
        ...


class LiveConversation:
    """The microphone goes to the server, its answers to the loudspeaker, until one of them ends.

    When the server hears the user speak, the loudspeaker falls silent at once, what is still in flight of that answer
    is dropped, and the server is told how much was heard. While a lost connection is being restored, the audio that has
    arrived is still played. What the user says meanwhile is heard later if the server still has the session.
    """

    def __init__(self, session: RealtimeSession, card: SoundCard, display: Display) -> None:
        self._session = session
        self._card = card
        self._display = display
        self._turn = TurnRecord()
        self._response_id: str | None = None
        self._dropped: str | None = None
        self._items: set[str] = set()
        """Spoken answers that this connection knows as such: one that came back has only their text."""

    async def run(self) -> None:
        """Talk until cancelled. Raises Disconnected when the server goes away for good."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._speak(), name="microphone")
                tasks.create_task(self._listen(), name="loudspeaker")
        except BaseExceptionGroup as group:
            raise first_cause(group) from group

    async def _speak(self) -> None:
        async for frame in self._card.frames():
            with suppress(Disconnected):  # the reader of the session sees it
                await self._session.append(frame)

    async def _listen(self) -> None:
        async for event in self._session:
            await self._take(event)
        raise Disconnected("the server closed the session")

    async def _take(self, event: Any) -> None:
        now_s = time.monotonic()
        match event.type:
            case "input_audio_buffer.speech_started":
                await self._interrupt()
            case "input_audio_buffer.speech_stopped":
                self._turn.asked_s = now_s
            case "response.created":
                self._response_id = event.response.id
            case "response.output_audio.delta" if event.response_id != self._dropped:
                self._items.add(event.item_id)
                self._card.loudspeaker.play(event.item_id, audio_of(event))
            case "response.output_audio.done":
                self._card.loudspeaker.ended(event.item_id)
            case "connection.restored" if not event.resumed:
                self._items.clear()
                self._turn = TurnRecord()
        self._turn.take(event, now_s)
        self._display.show(event, self._turn)
        if event.type == "response.done" and self._turn.over:
            self._display.timings(self._turn)

    async def _interrupt(self) -> None:
        self._dropped = self._response_id
        self._turn = TurnRecord()
        with suppress(Disconnected):
            for heard in self._card.loudspeaker.stop():
                if heard.item_id in self._items:
                    await self._session.truncate(heard.item_id, heard.ms)
        self._items.clear()
