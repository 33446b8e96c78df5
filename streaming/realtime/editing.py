"""Items of the conversation: what clients create, read, shorten and delete, and what is added for them."""

from __future__ import annotations

from collections.abc import Callable

from streaming.errors import InvalidRequest
from streaming.realtime import events as out
from streaming.realtime import messages as msg
from streaming.realtime.conversation import Conversation, Item
from streaming.realtime.effects import Encode, Output
from streaming.realtime.items import Recording, check_characters, item_of
from streaming.realtime.limits import SessionLimits
from streaming.realtime.responses import Responses
from streaming.realtime.steps import Handler
from streaming.realtime.utterance import UtteranceEncoding

MAX_RECORDINGS = 8
"""Recordings of items that may be on their way through the encoder, which live speech shares."""


class Items:
    """Changes `conversation`, and tells of it. An answer that is still being written ends before it is changed.

    `emit` takes what is to be told and done.
    """

    def __init__(
        self, conversation: Conversation, responses: Responses, limits: SessionLimits, emit: Callable[[Output], None]
    ) -> None:
        self._conversation = conversation
        self._responses = responses
        self._limits = limits
        self._emit = emit
        self._recordings: list[UtteranceEncoding] = []

    def retrieve(self, event: msg.ItemRetrieve) -> Handler:
        """Tell what an item is now."""
        self._emit(out.ItemRetrieved(self._conversation.get(event.item_id, "retrieve").shape()))
        yield from ()

    def create(self, event: msg.ItemCreate) -> Handler:
        """Add what the client made."""
        recordings: list[Recording] = []
        item = item_of(event.item, "item", self._limits, recordings)
        check_characters([item], self._limits, "item.content")
        if item.role == "result" and not self._conversation.has_call(item.call_id):
            raise InvalidRequest(f"no call {item.call_id[:64]!r} in this conversation", param="item.call_id")
        self.check_room(recordings)
        yield from self.add(item, after=event.previous_item_id)
        self.encode(recordings)

    def add(self, item: Item, after: str | None = None) -> Handler:
        """Add a complete item; the oldest ones make room."""
        previous, shown = self._conversation.add(item, after), item.shape()
        self._emit(out.ItemAdded(previous, shown))
        self._emit(out.ItemDone(previous, shown))
        limits, conversation = self._limits, self._conversation
        while len(conversation) > limits.max_items or conversation.characters > limits.max_characters:
            yield from self.remove(conversation.oldest())

    def delete(self, event: msg.ItemDelete) -> Handler:
        """Forget the item that the client names."""
        yield from self.remove(self._conversation.get(event.item_id, "delete"))

    def remove(self, item: Item) -> Handler:
        """Forget an item."""
        yield from self._responses.stop(self._responses.answering(item), "client_cancelled")
        self._conversation.delete(item)
        self._emit(out.ItemDeleted(item.id))

    def truncate(self, event: msg.ItemTruncate) -> Handler:
        """Keep what was heard of an answer."""
        item = self._conversation.get(event.item_id, "truncate")
        if item.role != "assistant" or not item.spoken:
            raise InvalidRequest("only spoken answers can be truncated", code="invalid_value", param="item_id")
        yield from self._responses.stop(self._responses.answering(item), "client_cancelled")
        self._emit(out.ItemTruncated(item.id, 0, item.truncate(event.audio_end_ms)))

    def check_room(self, recordings: list[Recording]) -> None:
        """Raises InvalidRequest (`too_many_recordings`) where these cannot be encoded, too."""
        self._recordings = [each for each in self._recordings if not each.ended]
        if recordings and len(self._recordings) + len(recordings) > MAX_RECORDINGS:
            raise InvalidRequest(
                f"{len(self._recordings)} recordings of items are being encoded, and {len(recordings)} more would exceed "
                f"{MAX_RECORDINGS}; send fewer at once, or wait",
                code="too_many_recordings",
            )

    def encode(self, recordings: list[Recording]) -> None:
        """Begin to encode them."""
        for recording in recordings:
            self._recordings.append(recording.encoding)
            self._emit(Encode(recording.encoding, recording.pcm))
