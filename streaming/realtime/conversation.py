"""The conversation of a session: items in order, and what of them the model is told."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from streaming.errors import NotFound
from streaming.realtime.server_shapes import (
    AnyItemShape,
    AudioPart,
    CallOutputShape,
    CallShape,
    ItemShape,
    Status,
    TextPart,
)
from streaming.realtime.shapes import ClientEventError
from streaming.realtime.utterance import UtteranceEncoding
from streaming.report import ChunkMark
from streaming.stages import Exchange
from streaming.tools import ToolCall

Role = Literal["user", "assistant", "system", "call", "result"]
"""Who says it; `call`: a tool is called, `result`: what it gave back."""


def new_id(prefix: str) -> str:
    """A fresh id such as `item_3f…`."""
    return f"{prefix}_{secrets.token_hex(10)}"


@dataclass(slots=True, eq=False)
class Item:
    """One message, or a call of a tool, or what it gave back.

    `text`: what an assistant or system message says, what was heard of a user's recording, the arguments of a call (JSON text), or
    the output of one. `name`, `call_id`: of a call, `call_id` of its output, too. `typed`: parts of a user's
    message in order, None where its recording stands. `encoding`: units of the recording; `transcribed`: its transcript is
    complete; `reported`: what of it the client was sent. `audio_ms`: length of a spoken answer, or less where the listener
    interrupted it; `marks`: ends of its chunks.
    """

    role: Role
    text: str = ""
    typed: tuple[str | None, ...] = ()
    encoding: UtteranceEncoding | None = None
    spoken: bool = False
    transcribed: bool = False
    reported: str = ""
    status: Status = "completed"
    audio_ms: int = 0
    marks: Sequence[ChunkMark] = ()
    name: str = ""
    call_id: str = ""
    id: str = field(default_factory=lambda: new_id("item"))

    @property
    def written(self) -> str:
        """What of a user's message was typed."""
        return "\n".join(part for part in self.typed if part)

    @property
    def said(self) -> str:
        """The whole message as text."""
        return "\n".join(part for part in (self.written, self.text) if part)

    @property
    def characters(self) -> int:
        """How much text it holds."""
        return len(self.text) + sum(len(part) for part in self.typed if part)

    @property
    def recording_at(self) -> int:
        """`content_index` of the recording."""
        return self.typed.index(None) if None in self.typed else 0

    def becomes_call(self, name: str) -> None:
        """What was to be an answer is a call."""
        self.role, self.name, self.call_id, self.spoken = "call", name, new_id("call"), False

    def shape(self) -> AnyItemShape:
        """The item as the protocol shows it now."""
        if self.role == "call":
            return CallShape(self.id, self.status, self.call_id, self.name, self.text)
        if self.role == "result":
            return CallOutputShape(self.id, self.status, self.call_id, self.text)
        return ItemShape(self.id, self.status, self.role, tuple(self._content()))

    def _content(self) -> list[TextPart | AudioPart]:
        if self.role == "assistant":
            if self.status == "in_progress" and not self.text:
                return []
            return [AudioPart("output_audio", self.text) if self.spoken else TextPart("output_text", self.text)]
        if self.role == "system":
            return [TextPart("input_text", self.text)]
        recording = AudioPart("input_audio", self.text or None)
        return [recording if part is None else TextPart("input_text", part) for part in self.typed]

    def truncate(self, audio_end_ms: int) -> int:
        """Keep what was heard until `audio_end_ms`; a later end than the audio has is clamped. Returns the end kept."""
        end_ms = min(audio_end_ms, self.audio_ms)
        if end_ms < self.audio_ms or self.status == "incomplete":
            self.text = heard_until(self.text, end_ms / 1000, self.marks, self.audio_ms / 1000)
            self.audio_ms = end_ms
        return end_ms


SECONDS_PER_LETTER, SECONDS_PER_CHARACTER = 0.065, 0.22
"""How long a letter of an alphabet and a Chinese character take to say, where an answer has not shown it itself."""

_WORD = re.compile(r"[\u3040-\u9fff]|[^\s\u3040-\u9fff]+")


def heard_until(text: str, end_s: float, marks: Sequence[ChunkMark], audio_s: float) -> str:
    """What of `text` a listener has heard after `end_s` seconds of its speech; whole words, Chinese by characters.

    `marks` say exactly where speech chunks end. Inside a chunk its words share its time by their length; of the last chunk,
    if it was broken off and its end is not known, by the pace of the chunks before.
    """
    chars, since_s = 0, 0.0
    for mark in marks:
        if mark.audio_s > end_s:
            return _words(text, chars, mark.text_chars, (end_s - since_s) / (mark.audio_s - since_s))
        chars, since_s = min(mark.text_chars, len(text)), mark.audio_s
    rest = text[chars:]
    if not rest.strip():
        return text[:chars].rstrip()
    spoken, paced = text[:chars], _nominal_s(text[:chars])
    pace = since_s / paced if spoken.strip() and since_s else 1.0
    needed_s = max(_nominal_s(rest) * pace, audio_s - since_s)
    return _words(text, chars, len(text), (end_s - since_s) / needed_s if needed_s > 0 else 1.0)


def _nominal_s(text: str) -> float:
    return sum(SECONDS_PER_CHARACTER if "\u3040" <= c <= "\u9fff" else SECONDS_PER_LETTER for c in text)


def _words(text: str, start: int, end: int, share: float) -> str:
    """`text[:start]` and the words that end within the first `share` of `text[start:end]`, by how long they take."""
    budget_s, spent_s, kept = share * _nominal_s(text[start:end]) + 1e-9, 0.0, start
    at = start
    for word in _WORD.finditer(text, start, end):
        spent_s += _nominal_s(text[at : word.end()])
        at = word.end()
        if spent_s > budget_s:
            break
        kept = at
    return text[:kept].rstrip()


class Conversation:
    """Items in order. Ids are unique; lookups name the id that was not found."""

    def __init__(self, items: Sequence[Item] = ()) -> None:
        self.id = new_id("conv")
        self._items: list[Item] = list(items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item: Item) -> bool:
        return item in self._items

    @property
    def characters(self) -> int:
        """How much text it holds."""
        return sum(item.characters for item in self._items)

    def followed_by(self, item: Item, *, without: Item | None = None) -> Conversation:
        """What it would be with `item` at its end, and `without` another."""
        copy = Conversation([*(each for each in self._items if each is not without), item])
        copy.id = self.id
        return copy

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

    def get(self, item_id: str, purpose: Literal["retrieve", "truncate", "delete"], param: str = "item_id") -> Item:
        """The item; raises ItemNotFound, whose code says what the item was wanted for."""
        return self._items[self._index(item_id, f"item_{purpose}_invalid_item_id", param)]

    def delete(self, item: Item) -> None:
        """Remove an item that is in it."""
        self._items.remove(item)

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

    def typed_with(self, question: Item) -> str:
        """What the user typed for `question`: in it, and in messages right before it that nobody answered."""
        typed: list[str] = []
        for item in self._items[: self._items.index(question) + 1]:
            if item.role in ("assistant", "call"):
                typed.clear()
            elif item.role == "user" and (item is question or item.encoding is None):
                typed.append(item.written)
        return "\n".join(part for part in typed if part)

    def has_call(self, call_id: str) -> bool:
        """Whether a call of this id is in it."""
        return any(item.role == "call" and item.call_id == call_id for item in self._items)

    def calls(self, items: Sequence[Item] | None = None) -> tuple[ToolCall, ...]:
        """Calls that have their output, in order: of `items`, or of the whole conversation."""
        items = self._items if items is None else items
        outputs = {item.call_id: item.text for item in items if item.role == "result"}
        called = [item for item in items if item.role == "call" and item.call_id in outputs]
        return tuple(ToolCall(item.name, item.text, outputs[item.call_id]) for item in called)

    def calls_for(self, question: Item) -> tuple[ToolCall, ...]:
        """Calls that have their output, made for `question`."""
        return self.calls(self._items[self._items.index(question) :])

    def history(self, until: Item) -> list[Exchange]:
        """Finished exchanges before `until`, oldest first. A recording of which no words are known is told by its units."""
        exchanges: list[Exchange] = []
        question, wordless = list[str](), None
        since = 0
        for at, item in enumerate(self._items[: self._items.index(until)]):
            if item.role == "user" and item.encoding is None:
                question = [*question, item.said]
            elif item.role == "user" and item.encoding is not None:
                question, wordless = [item.said], None if item.text else item.encoding
            elif item.role == "assistant" and (any(question) or wordless) and item.text:
                asked = "\n".join(filter(None, question))
                calls, since = self.calls(self._items[since:at]), at
                if wordless is None or wordless.ended:
                    exchange = Exchange(asked, item.text, wordless.so_far if wordless else (), calls=calls)
                else:
                    exchange = Exchange(asked, item.text, recording=wordless.units, calls=calls)
                if any(question) or exchange.units or exchange.recording:
                    exchanges.append(exchange)
                question, wordless = [], None
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
