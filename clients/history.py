"""The settings and the conversation of a session, as far as a new session needs them. Values in, values out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from clients.realtime import RATE_HZ, SAMPLE_BYTES, audio_of

REPLAYED_ITEMS = 64
_KINDS = {"user": "input_text", "assistant": "output_text", "system": "input_text"}


@dataclass(slots=True)
class _Message:
    """`pieces`: text with the samples of the item's audio that had come before it."""

    id: str
    role: str
    pieces: list[tuple[int, str]] = field(default_factory=list)
    samples: int = 0
    asked: bool = False

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.pieces)

    def say(self, text: str) -> None:
        if self.pieces and self.pieces[-1][0] == self.samples:
            text = self.pieces.pop()[1] + text
        self.pieces.append((self.samples, text))

    def replace(self, text: str) -> None:
        self.pieces = [(0, text)]

    def cut(self, heard_ms: int) -> None:
        """Keep the words that were heard. A piece is spoken by the audio that comes behind it, at an even pace."""
        heard = heard_ms * RATE_HZ // 1000
        if heard >= self.samples:
            return
        ends = [start for start, _ in self.pieces[1:]] + [self.samples]
        self.pieces = [
            (start, text if end <= heard else _whole_words(text, (heard - start) / (end - start)))
            for (start, text), end in zip(self.pieces, ends, strict=True)
            if start < heard
        ]
        self.samples = heard

    def event(self) -> dict[str, Any]:
        content = [{"type": _KINDS[self.role], "text": self.text.strip()}]
        item = {"id": self.id, "type": "message", "role": self.role, "content": content}
        return {"type": "conversation.item.create", "item": item}


class History:
    """Configuration and items of a session, from the events that went out and came in.

    An answer counts as far as it arrived, or as far as it was heard where a truncation says so. What has no text, such
    as a question whose transcript never came, cannot be told again. A question that the server was answering and of whose answer
    nothing arrived is forgotten: it is asked once more, and a server would take the two for one.
    """

    def __init__(self) -> None:
        self._session: dict[str, Any] = {}
        self._updates: dict[str, Mapping[str, Any]] = {}
        self._messages: dict[str, _Message] = {}
        self._request: str | None = None  # the event that asked for an answer that has not begun

    def sent(self, event: Mapping[str, Any]) -> None:
        """An event with its `event_id` goes to the server."""
        if event.get("type") == "session.update":
            self._updates[event["event_id"]] = event["session"]
        elif event.get("type") == "response.create":
            self._request = event["event_id"]

    def take(self, event: Any) -> None:
        """An event came from the server."""
        method = _METHODS.get(event.type)
        if method is not None:
            method(self, event)

    def replay(self, *, most: int = REPLAYED_ITEMS) -> list[dict[str, Any]]:
        """Events that bring a new session to where this one is: its configuration, then the last `most` messages."""
        self._forget_unanswered()
        session = self._session
        for update in self._updates.values():
            session = _merged(session, update)
        told = [message.event() for message in self._messages.values() if message.text.strip()]
        return ([{"type": "session.update", "session": session}] if session else []) + told[max(0, len(told) - most) :]

    def _forget_unanswered(self) -> None:
        for message in self._unanswered():
            if message.role == "assistant" or message.asked or self._request:
                del self._messages[message.id]
        self._request = None

    def _unanswered(self) -> list[_Message]:
        """What follows the last message of a kind that is answered to: questions, and answers without a word."""
        last = reversed(list(self._messages.values()))
        return list(takewhile(lambda message: message.role == "user" or not message.text.strip(), last))

    def _on_response(self, event: Any) -> None:
        if event.response.conversation_id is not None:
            self._request = None
            for message in self._unanswered():
                message.asked = True

    def _on_updated(self, event: Any) -> None:
        if self._updates:
            self._session = _merged(self._session, self._updates.pop(next(iter(self._updates))))

    def _on_error(self, event: Any) -> None:
        self._updates.pop(event.error.event_id, None)
        if event.error.event_id == self._request:
            self._request = None

    def _on_item(self, event: Any) -> None:
        item = event.item
        if item.type != "message" or item.role not in _KINDS or item.id is None:
            return
        if item.id not in self._messages:
            self._insert(_Message(item.id, item.role), event.previous_item_id)
        text = "".join(part.text or getattr(part, "transcript", None) or "" for part in item.content)
        if text and not self._messages[item.id].pieces:
            self._messages[item.id].replace(text)

    def _insert(self, message: _Message, previous_id: str | None) -> None:
        behind: list[_Message] = []
        if previous_id in self._messages:
            at = list(self._messages).index(previous_id) + 1
            behind = list(self._messages.values())[at:]
        for later in behind:
            del self._messages[later.id]
        self._messages |= {one.id: one for one in (message, *behind)}

    def _on_text(self, event: Any) -> None:
        if (message := self._messages.get(event.item_id)) is not None:
            message.say(event.delta or "")

    def _on_heard(self, event: Any) -> None:
        if (message := self._messages.get(event.item_id)) is not None:
            message.replace(event.transcript)

    def _on_audio(self, event: Any) -> None:
        if (message := self._messages.get(event.item_id)) is not None:
            message.samples += len(audio_of(event)) // SAMPLE_BYTES

    def _on_truncated(self, event: Any) -> None:
        if (message := self._messages.get(event.item_id)) is not None:
            message.cut(event.audio_end_ms)

    def _on_deleted(self, event: Any) -> None:
        self._messages.pop(event.item_id, None)


_METHODS = {
    "session.updated": History._on_updated,
    "error": History._on_error,
    "response.created": History._on_response,
    "conversation.item.added": History._on_item,
    "conversation.item.input_audio_transcription.delta": History._on_text,
    "conversation.item.input_audio_transcription.completed": History._on_heard,
    "response.output_audio_transcript.delta": History._on_text,
    "response.output_text.delta": History._on_text,
    "response.output_audio.delta": History._on_audio,
    "conversation.item.truncated": History._on_truncated,
    "conversation.item.deleted": History._on_deleted,
}


def _merged(base: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """`update` over `base`, object by object as `session.update` is read; an object of another type replaces the old."""
    merged = dict(base)
    for name, value in update.items():
        old = merged.get(name)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and value.get("type") in (None, old.get("type")):
            merged[name] = _merged(old, value)
        else:
            merged[name] = value
    return merged


def _whole_words(text: str, share: float) -> str:
    """The first `share` of the text, back to the end of a word (Chinese: a character)."""
    cut = int(len(text) * share)
    while 0 < cut < len(text) and _in_word(text[cut - 1]) and _in_word(text[cut]):
        cut -= 1
    return text[:cut]


def _in_word(character: str) -> bool:
    """Whether neighbours of this kind belong together: anything but space and the scripts that write without it."""
    return not character.isspace() and character < "\u2e80"
