"""The conversation of a session: items in order, and what of them the model is told."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any, Literal

from streaming.errors import NotFound
from streaming.realtime.hearing import Hearing
from streaming.realtime.messages import ClientEventError
from streaming.turn import Exchange

Role = Literal["user", "assistant", "system"]


def new_id(prefix: str) -> str:
    """A fresh id such as `item_3f…`."""
    return f"{prefix}_{secrets.token_hex(10)}"


@dataclass(slots=True, eq=False)
class Item:
    """One message. `text` is what was typed, heard or said; `hearing` holds the units of a spoken question, `transcribed`
    once its transcript is complete.

    `audio_ms` is the length of the answer's audio, or less where the listener interrupted it.
    """

    role: Role
    text: str = ""
    hearing: Hearing | None = None
    spoken: bool = False
    transcribed: bool = False
    status: Literal["completed", "incomplete", "in_progress"] = "completed"
    audio_ms: int = 0
    id: str = field(default_factory=lambda: new_id("item"))

    def public(self) -> dict[str, Any]:
        """The item as the protocol shows it: audio itself is never repeated."""
        return {
            "id": self.id,
            "object": "realtime.item",
            "type": "message",
            "status": self.status,
            "role": self.role,
            "content": self._content(),
        }

    def _content(self) -> list[dict[str, Any]]:
        if self.role == "assistant":
            if self.status == "in_progress" and not self.text:
                return []
            part = {"type": "output_audio", "transcript": self.text}
            return [part if self.spoken else {"type": "output_text", "text": self.text}]
        if self.spoken:
            return [{"type": "input_audio", "transcript": self.text or None}]
        return [{"type": "input_text", "text": self.text}]

    def truncate(self, audio_end_ms: int) -> int:
        """Keep what was heard until `audio_end_ms`; a later end than the audio has is clamped. Returns the end kept."""
        end_ms = min(audio_end_ms, self.audio_ms)
        if end_ms < self.audio_ms:
            self.text = _heard(self.text, end_ms / self.audio_ms)
            self.audio_ms = end_ms
        return end_ms


def _heard(text: str, share: float) -> str:
    """The first `share` of the text, back to the end of a word (Chinese: a character)."""
    cut = int(len(text) * share)
    if cut < len(text) and text[cut : cut + 1].isascii() and " " in text:
        cut = text.rfind(" ", 0, cut + 1)
    return text[: max(cut, 0)].rstrip()


class Conversation:
    """Items in order. Ids are unique; lookups name the id that was not found."""

    def __init__(self) -> None:
        self._items: list[Item] = []

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item, after: str | None = None) -> str | None:
        """Insert `item` behind item `after` ("root": first; None: last). Returns the id of the item before it."""
        if any(existing.id == item.id for existing in self._items):
            raise ItemIdTaken(f"an item {item.id} exists already")
        at = len(self._items)
        if after == "root":
            at = 0
        elif after is not None:
            at = self._index(after, "item_create_invalid_previous_item_id", "previous_item_id") + 1
        self._items.insert(at, item)
        return self._items[at - 1].id if at else None

    def get(self, item_id: str, purpose: Literal["retrieve", "truncate"]) -> Item:
        """The item; raises ItemNotFound, whose code says what the item was wanted for."""
        return self._items[self._index(item_id, f"item_{purpose}_invalid_item_id")]

    def delete(self, item_id: str) -> None:
        """Remove the item; raises ItemNotFound."""
        del self._items[self._index(item_id, "item_delete_invalid_item_id")]

    def last_id(self) -> str | None:
        """Id of the last item."""
        return self._items[-1].id if self._items else None

    def oldest(self) -> Item:
        """The first item."""
        return self._items[0]

    def last_question(self) -> Item | None:
        """The user's last message."""
        return next((item for item in reversed(self._items) if item.role == "user"), None)

    def instructions(self) -> str:
        """Text of the system messages."""
        return "\n".join(item.text for item in self._items if item.role == "system")

    def history(self, until: Item) -> list[Exchange]:
        """Finished exchanges before `until`, oldest first."""
        exchanges: list[Exchange] = []
        question = ""
        for item in self._items[: self._items.index(until)]:
            if item.role == "user":
                question = item.text
            elif item.role == "assistant" and question and item.text:
                exchanges.append(Exchange(question, item.text))
                question = ""
        return exchanges

    def _index(self, item_id: str, code: str, param: str = "item_id") -> int:
        for at, item in enumerate(self._items):
            if item.id == item_id:
                return at
        raise ItemNotFound(f"no item {item_id} in this conversation", code=code, param=param)


class ItemNotFound(NotFound):
    """An item id that is not in the conversation. Clients switch on the codes, one for each event: they are OpenAI's."""


class ItemIdTaken(ClientEventError):
    """An item id that is in use. The code is OpenAI's; LiveKit goes on where it meets it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="item_create_duplicate_item_id", param="item.id")
