"""Transcripts of what the user said: told as it becomes known, once however often a question is answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streaming.audio import MODEL_RATE_HZ
from streaming.errors import SpeechServerError
from streaming.realtime.config import Transcription
from streaming.realtime.conversation import Item
from streaming.realtime.effects import Captioned, Follow, Output, Unfollow
from streaming.realtime.events import InputTranscriptCompleted, InputTranscriptDelta, InputTranscriptFailed, ServerEvent
from streaming.realtime.limits import Allowance
from streaming.realtime.steps import Handler
from streaming.realtime.utterance import UtteranceEncoding


def heard_so_far(item: Item, text: str, *, shown: bool) -> list[ServerEvent]:
    """`text` was heard of the recording in `item` until now. What was told before is not told again."""
    item.text = text
    if not shown or len(text) <= len(item.reported) or not text.startswith(item.reported):
        return []
    delta, item.reported = text[len(item.reported) :], text
    return [InputTranscriptDelta(item.id, item.recording_at, delta)]


def heard_all(item: Item, text: str, *, shown: bool) -> list[ServerEvent]:
    """`text` is all that was heard of the recording in `item`."""
    events = heard_so_far(item, text, shown=shown)
    item.transcribed = True
    if not shown or item.encoding is None:
        return []
    seconds = round(item.encoding.samples / MODEL_RATE_HZ, 3)
    return [*events, InputTranscriptCompleted(item.id, item.recording_at, text, seconds)]


def not_heard(item: Item, error: SpeechServerError) -> list[ServerEvent]:
    """The recording in `item` could not be transcribed."""
    return [InputTranscriptFailed(item.id, item.recording_at, error)]


_MOST_FOLLOWED = 4


@dataclass(slots=True, eq=False)
class _Caption:
    item: Item
    shown: bool
    committed: bool = False
    outcome: Captioned | None = None


class Captions:
    """Recordings that are written down while they are spoken: what was understood is told as it comes, the end once the client
    knows the item. `emit` takes what is to be told and done. Each is a turn of `allowance`, or fails.
    """

    def __init__(self, allowance: Allowance, emit: Callable[[Output], None]) -> None:
        self._allowance = allowance
        self._emit = emit
        self._followed: dict[str, _Caption] = {}
        self._live: _Caption | None = None

    def follow(self, item_id: str, encoding: UtteranceEncoding, config: Transcription | None) -> None:
        """Write down what is being said, unless that is done already."""
        if self._live is None or self._live.item.encoding is not encoding:
            self._live = self._followed[item_id] = _Caption(recorded(item_id, encoding), shown=config is not None)
            try:
                self._allowance.take_turn()
            except SpeechServerError as error:
                self._live.outcome = Captioned(item_id, "", complete=True, failure=error)
            else:
                self._emit(Follow(item_id, encoding, config))

    def forget(self) -> None:
        """What is being said is of no interest any more."""
        if self._live is not None:
            self._emit(Unfollow(self._live.item.id))
            del self._followed[self._live.item.id]
            self._live = None

    def committed(self) -> Item | None:
        """What was being said is complete, and a message; None where it is not written down."""
        live, self._live = self._live, None
        if live is None:
            return None
        live.committed = True
        return live.item

    def catch_up(self) -> Handler:
        """Tell what is known of those that were committed, and wait while too many are not yet written down."""
        for caption in list(self._followed.values()):
            self._tell_end(caption)
        while len(self._followed) >= _MOST_FOLLOWED:
            yield

    def captioned(self, news: Captioned) -> None:
        """More was understood."""
        caption = self._followed.get(news.item_id)
        if caption is None:
            return
        if news.complete:
            caption.outcome = news
            self._tell_end(caption)
        else:
            self._tell(heard_so_far(caption.item, news.text, shown=caption.shown))

    def _tell_end(self, caption: _Caption) -> None:
        outcome = caption.outcome
        if outcome is None or not caption.committed:
            return
        del self._followed[caption.item.id]
        if outcome.failure is not None:
            self._tell(not_heard(caption.item, outcome.failure))
        else:
            self._tell(heard_all(caption.item, outcome.text, shown=caption.shown))

    def _tell(self, events: list[ServerEvent]) -> None:
        for event in events:
            self._emit(event)


def recorded(item_id: str, encoding: UtteranceEncoding) -> Item:
    """A message of the user that was spoken."""
    return Item("user", typed=(None,), encoding=encoding, spoken=True, id=item_id)
