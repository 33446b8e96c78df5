"""A turn that goes on after its end: what its speaker says before anything of the answer was heard belongs to it."""

from __future__ import annotations

from dataclasses import dataclass

from streaming.audio import MODEL_RATE_HZ
from streaming.interleave import TextDelta
from streaming.realtime.conversation import Item
from streaming.realtime.effects import TurnProgress
from streaming.realtime.input_buffer import InputBuffer
from streaming.realtime.responses import ResponseRequest
from streaming.tools import CallBegun
from streaming.turn import AudioDelta

REACTION_MS = 200
"""Who begins to speak so soon after the first sound of an answer does not react to it."""

_NOTICED_MS = 300
"""Speech is noticed sooner than this."""


@dataclass(slots=True, eq=False)
class _Answered:
    """The turn that may go on: its question, its answer, and when the first of that was sent."""

    question: Item
    answer: ResponseRequest
    heard_ms: int | None = None


class Continuation:
    """The last turn of a session, while it may go on. Times in ms of the audio that `input_` takes."""

    def __init__(self, input_: InputBuffer) -> None:
        self._input = input_
        self._last: _Answered | None = None
        self._begun: Item | None = None

    def answered(self, question: Item, answer: ResponseRequest) -> None:
        """The turn that was parted with is being answered."""
        self._last = _Answered(question, answer)

    def forget(self) -> None:
        """Whatever is said next is another turn."""
        self._last = None
        self._input.let_go()

    def progress(self, progress: TurnProgress) -> None:
        """An answer says something."""
        last = self._last
        if last is not None and last.heard_ms is None and progress.turn_id == last.answer.id:
            first = AudioDelta if last.answer.answer.spoken else TextDelta
            if isinstance(progress.event, first | CallBegun):
                last.heard_ms = self._input.clock_ms

    def closed(self, turn_id: str) -> None:
        """An answer is over. Where nothing of it was heard, its end was noticed: what is said later is another question."""
        last = self._last
        if last is not None and last.heard_ms is None and turn_id == last.answer.id:
            last.heard_ms = self._input.clock_ms

    def listened(self) -> None:
        """There was more audio: speech that began before the answer was heard would have been noticed by now."""
        if (
            self._last is not None
            and not self._input.speaking
            and not self._unheard(self._input.clock_ms - _NOTICED_MS)
        ):
            self.forget()

    def speech_started(self, onset_sample: int) -> None:
        """Somebody speaks since `onset_sample`: the last turn goes on, or is over.

        One that went on before, and was not committed since, is still in the buffer.
        """
        goes_on = self._unheard(onset_sample * 1000 // MODEL_RATE_HZ) and self._input.resume()
        if self._last is not None and goes_on:
            self._begun = self._last.question
        else:
            self._input.let_go()
        self._last = None

    @property
    def begun(self) -> Item | None:
        """See `take_begun`."""
        return self._begun

    def take_begun(self) -> Item | None:
        """The beginning of what was said, which was taken for all of it."""
        begun, self._begun = self._begun, None
        return begun

    def _unheard(self, onset_ms: int) -> bool:
        """Who spoke from `onset_ms` on had heard nothing of the answer."""
        last = self._last
        return last is not None and (last.heard_ms is None or onset_ms < last.heard_ms + REACTION_MS)
