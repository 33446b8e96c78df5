"""Writes utterances down with the language model alone, while they are spoken."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Sequence

from streaming.audio import MODEL_RATE_HZ
from streaming.errors import SpeechServerError
from streaming.realtime.config import Transcription
from streaming.realtime.effects import Captioned, Follow
from streaming.realtime.limits import Observer, Outcome
from streaming.realtime.utterance import UtteranceEncoding
from streaming.stages import Stages, TurnOptions
from streaming.turn import Question, Turn, TurnEvent

log = logging.getLogger(__name__)

_UNITS_PER_PASS = {"minimal": 4, "low": 8, "medium": 12, "high": 24, "xhigh": 0}
"""New units after which there is another partial pass, by `delay`; about twelve units are a second. 0: only at the end."""

_PASSES_AT_ONCE = 2  # one for what is being said, one for what was said before


Tell = Callable[[Captioned], object]


class Captioner:
    """Until an utterance is complete its beginning is transcribed again and again, and what two partial passes in a row agree on
    is told (LocalAgreement, Liu et al. 2020, arXiv 2005.11185). What was told is never taken back: the last pass has the last word.

    Two passes run at a time.
    """

    def __init__(self, stages: Stages, observer: Observer, *, max_turn_s: float) -> None:
        self._stages = stages
        self._observer = observer
        self._max_turn_s = max_turn_s
        self._passes = asyncio.Semaphore(_PASSES_AT_ONCE)

    async def follow(self, what: Follow, tell: Tell) -> None:
        """Caption an utterance until it has ended. `tell` takes what is understood, in order."""
        try:
            text = await self._transcribed(what.item_id, what.utterance, what.delay, tell)
        except SpeechServerError as error:
            tell(Captioned(what.item_id, "", complete=True, failure=error))
        except Exception:
            log.exception("transcription failed")
            failure = SpeechServerError("the transcription failed inside the server")
            tell(Captioned(what.item_id, "", complete=True, failure=failure))
        else:
            tell(Captioned(what.item_id, text, complete=True))

    async def _transcribed(
        self, item_id: str, utterance: UtteranceEncoding, config: Transcription | None, tell: Tell
    ) -> str:
        step = _UNITS_PER_PASS[(config and config.delay) or "low"]
        if step:
            await self._live(item_id, utterance, step, tell)
        await utterance.complete()
        return await self._pass(utterance.units(), final=item_id, audio_s=utterance.samples / MODEL_RATE_HZ)

    async def _live(self, item_id: str, utterance: UtteranceEncoding, step: int, tell: Tell) -> None:
        before, seen = "", 0
        while True:
            units, ended = await utterance.at_least(seen + step)
            if ended:
                return
            seen = len(units)
            now = await self._pass(_once(units))
            tell(Captioned(item_id, agreed(before, now)))
            before = now

    async def _pass(self, units: AsyncIterator[list[int]], *, final: str | None = None, audio_s: float = 0.0) -> str:
        """The text of `units`. `final`: the item that it is the last word on; that pass is accounted for, by the item's id."""
        options = TurnOptions(task="transcribe", speak=False, temperature=0.0)
        async with self._passes:
            turn = Turn(self._stages, Question(units, audio_s=audio_s), options, _ignore)
            if final:
                self._observer.begun(final, turn.report)
            outcome: Outcome = "failed"
            try:
                report = await turn.run(self._max_turn_s)
                outcome = "completed"
            except asyncio.CancelledError:
                outcome = "cancelled"
                raise
            finally:
                if final:
                    self._observer.turn(final, turn.report, outcome)
        return report.transcript or report.text


async def _ignore(event: TurnEvent) -> None:
    """Nothing is told before two passes agree."""


async def _once(units: Sequence[int]) -> AsyncIterator[list[int]]:
    yield list(units)


_WORD = re.compile(r"\s*(?:[\u3040-\u9fff]|[^\s\u3040-\u9fff]+)")


def agreed(before: str, now: str) -> str:
    """The words with which both begin, without the last one of either, which may still grow."""
    end = 0
    old, new = list(_WORD.finditer(before))[:-1], list(_WORD.finditer(now))[:-1]
    for left, right in zip(old, new, strict=False):
        if left.group() != right.group():
            break
        end = right.end()
    return now[:end]
