"""Transcripts of what the user said: told as it becomes known, once however often a question is answered."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from streaming.audio import MODEL_RATE_HZ
from streaming.errors import SpeechServerError
from streaming.realtime.config import Transcription
from streaming.realtime.conversation import Item
from streaming.realtime.hearing import Hearing
from streaming.realtime.limits import Observer, Outcome
from streaming.realtime.outbox import Event, Outbox
from streaming.turn import Question, Stages, Turn, TurnEvent, TurnOptions

log = logging.getLogger(__name__)

_KIND = "conversation.item.input_audio_transcription"


def heard_so_far(item: Item, text: str, *, shown: bool) -> list[Event]:
    """`text` was heard of the recording in `item` until now. What was told before is not told again."""
    item.text = text
    if not shown or len(text) <= len(item.told) or not text.startswith(item.told):
        return []
    delta, item.told = text[len(item.told) :], text
    return [{"type": f"{_KIND}.delta", **_at(item), "delta": delta}]


def heard_all(item: Item, text: str, *, shown: bool) -> list[Event]:
    """`text` is all that was heard of the recording in `item`."""
    events = heard_so_far(item, text, shown=shown)
    item.transcribed = True
    if not shown or item.hearing is None:
        return []
    usage = {"type": "duration", "seconds": round(item.hearing.samples / MODEL_RATE_HZ, 3)}
    return [*events, {"type": f"{_KIND}.completed", **_at(item), "transcript": text, "usage": usage}]


def not_heard(item: Item, error: SpeechServerError) -> list[Event]:
    """The recording in `item` could not be transcribed."""
    return [{"type": f"{_KIND}.failed", **_at(item), "error": error.body()}]


def _at(item: Item) -> dict[str, Any]:
    return {"item_id": item.id, "content_index": item.recording_at}


_UNITS_PER_LOOK = {"minimal": 4, "low": 8, "medium": 12, "high": 24, "xhigh": 0}
"""New units after which live captions look again, by `delay`; about twelve units are a second. 0: only at the end."""


_LOOKS_AT_ONCE = 2  # one for what is being said, one for what was said before
_MOST_FOLLOWED = 4


class Captions:
    """Transcribes recordings with the language model alone, while they are spoken.

    Until a recording is complete its beginning is transcribed again and again, and what two looks in a row agree on is told
    (LocalAgreement, Liu et al. 2020, arXiv 2005.11185). What was told is never taken back: `completed` has the last word.

    Two looks run at a time. Whoever sends speech faster than it can be written down waits in `catch_up`.
    """

    def __init__(self, stages: Stages, outbox: Outbox, observer: Observer, *, max_turn_s: float) -> None:
        self._stages = stages
        self._max_turn_s = max_turn_s
        self._outbox = outbox
        self._observer = observer
        self._looks = asyncio.Semaphore(_LOOKS_AT_ONCE)
        self._following: set[asyncio.Task[None]] = set()
        self.tasks: asyncio.TaskGroup | None = None

    def follow(self, item: Item, config: Transcription | None, committed: asyncio.Event) -> asyncio.Task[None]:
        """Caption `item` until its recording has ended, then, once the client knows the item, tell how it went."""
        assert self.tasks is not None, "the session is not running"
        task = self.tasks.create_task(self._follow(item, config, committed), name="captions")
        self._following.add(task)
        task.add_done_callback(self._following.discard)
        return task

    async def catch_up(self) -> None:
        """Wait while too many recordings are not yet written down."""
        while len(self._following) >= _MOST_FOLLOWED:
            await asyncio.wait(self._following, return_when=asyncio.FIRST_COMPLETED)

    async def _follow(self, item: Item, config: Transcription | None, committed: asyncio.Event) -> None:
        text, failure = "", None
        try:
            text = await self._transcribed(item, config)
        except SpeechServerError as error:
            failure = error
        except Exception:
            log.exception("transcription failed")
            failure = SpeechServerError("the transcription failed inside the server")
        await committed.wait()
        if failure is None:
            await self._outbox.send_made(partial(heard_all, item, text, shown=config is not None))
        else:
            self._observer.error(failure)
            await self._outbox.send(*not_heard(item, failure))

    async def _transcribed(self, item: Item, config: Transcription | None) -> str:
        hearing = item.hearing
        assert hearing is not None
        step = _UNITS_PER_LOOK[(config and config.delay) or "low"]
        if step:
            await self._live(item, hearing, step, shown=config is not None)
        await hearing.complete()
        return await self._look(hearing.units(), final=True)

    async def _live(self, item: Item, hearing: Hearing, step: int, *, shown: bool) -> None:
        before, seen = "", 0
        while True:
            units, ended = await hearing.at_least(seen + step)
            if ended:
                return
            seen = len(units)
            now = await self._look(_once(units))
            await self._outbox.send_made(partial(heard_so_far, item, _agreed(before, now), shown=shown))
            before = now

    async def _look(self, units: AsyncIterator[list[int]], *, final: bool = False) -> str:
        async with self._looks:
            return await self._transcript(units, final=final)

    async def _transcript(self, units: AsyncIterator[list[int]], *, final: bool) -> str:
        options = TurnOptions(task="transcribe", speak=False, temperature=0.0)
        turn = Turn(self._stages, Question(units=units), options, _ignore)
        outcome: Outcome = "failed"
        try:
            report = await turn.run(self._max_turn_s)
            outcome = "completed"
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            if final:
                self._observer.turn(turn.report, outcome)
        return report.transcript or report.text


async def _ignore(event: TurnEvent) -> None:
    """Nothing is told before two looks agree."""


async def _once(units: Sequence[int]) -> AsyncIterator[list[int]]:
    yield list(units)


_WORD = re.compile(r"\s*(?:[\u3040-\u9fff]|[^\s\u3040-\u9fff]+)")


def _agreed(before: str, now: str) -> str:
    """The words with which both begin, without the last one of either, which may still grow."""
    agreed = 0
    old, new = list(_WORD.finditer(before))[:-1], list(_WORD.finditer(now))[:-1]
    for left, right in zip(old, new, strict=False):
        if left.group() != right.group():
            break
        agreed = right.end()
    return now[:agreed]
