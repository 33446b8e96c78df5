"""The answer to a turn that may not be over: made in the dark, and told only once it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from streaming.errors import InvalidRequest
from streaming.interleave import TranscriptDelta, TranscriptDone
from streaming.realtime.config import SessionConfig
from streaming.realtime.conversation import Conversation, Item
from streaming.realtime.effects import CancelTurn, Output, TurnClosed, TurnProgress
from streaming.realtime.input_buffer import Utterance
from streaming.realtime.items import item_of
from streaming.realtime.limits import Allowance, SessionLimits, SessionModel
from streaming.realtime.messages import ResponseParams
from streaming.realtime.response_request import response_request
from streaming.realtime.responses import ResponseRequest
from streaming.realtime.transcripts import recorded


@dataclass(slots=True, eq=False)
class Held:
    """What was said in the dark, in order. `heard`, `item`: the question as far as it went; `closed`: the answer is complete."""

    heard: Utterance
    item: Item
    request: ResponseRequest
    progress: list[TurnProgress] = field(default_factory=list[TurnProgress])
    closed: TurnClosed | None = None

    @property
    def transcript(self) -> str | None:
        """What the question says; None where that is not known."""
        texts = [each.event.text for each in self.progress if isinstance(each.event, TranscriptDelta)]
        done = any(isinstance(each.event, TranscriptDone) for each in self.progress)
        return "".join(texts) if done else None


class Speculation:
    """At most one answer of a session is in the dark. `emit` takes what is to be done.

    One that fails there, or is ended, was never there: the turn is answered when it is over.
    """

    def __init__(self, emit: Callable[[Output], None]) -> None:
        self._emit = emit
        self._held: Held | None = None
        self._discarded: set[str] = set()

    @property
    def held(self) -> Held | None:
        """The answer in the dark."""
        return self._held

    @property
    def turn_id(self) -> str | None:
        """Of the answer in the dark."""
        return self._held.request.id if self._held else None

    @property
    def transcript(self) -> str | None:
        """See `Held.transcript`."""
        return self._held.transcript if self._held else None

    def begin(
        self,
        heard: Utterance,
        config: SessionConfig,
        model: SessionModel,
        conversation: Conversation,
        limits: SessionLimits,
        begun: Item | None = None,
    ) -> None:
        """Answer what was `heard` in the dark, as if it stood in the conversation, in place of `begun`, its beginning.

        Nothing where the caller's allowance would not cover it.
        """
        self.discard()
        if limits.allowance.refusal() is not None:
            return
        item = recorded(heard.item_id, heard.encoding)
        context, new_item = (
            conversation.followed_by(item, without=begun),
            partial(item_of, limits=limits, recordings=[]),
        )
        with suppress(InvalidRequest):  # what is wrong is told once the turn is over
            request = response_request(ResponseParams(), config, model, context, limits, new_item)
            self._held = Held(heard, item, request)
            self._emit(replace(request.turn, hidden=True))

    def take(self, input_: TurnProgress | TurnClosed) -> bool:
        """Whether a turn of the dark says this; then it is kept, or of no interest."""
        held = self._held
        if input_.turn_id in self._discarded:
            if isinstance(input_, TurnClosed):
                self._discarded.remove(input_.turn_id)
            return True
        if held is None or held.request.id != input_.turn_id:
            return False
        if isinstance(input_, TurnProgress):
            held.progress.append(input_)
        elif input_.cancelled or input_.failure is not None:
            self._held = None
        else:
            held.closed = input_
        return True

    def discard(self, turn_id: str | None = None) -> None:
        """The turn was not over, or is not what it was. `turn_id`: only this answer."""
        held = self._held
        if held is None or turn_id not in (None, held.request.id):
            return
        self._held = None
        if held.closed is None:
            self._discarded.add(held.request.id)
        self._emit(CancelTurn(held.request.id))

    def confirm(self, allowance: Allowance) -> Held | None:
        """The turn is over: what was said of it in the dark, which is told from now on. Discarded where `allowance` is used up."""
        if allowance.refusal() is not None:
            self.discard()
        held, self._held = self._held, None
        return held
