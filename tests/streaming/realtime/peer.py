"""A realtime session on fake stages. Every event it sends is held against the SDK's types and the protocol's order."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any, ClassVar, get_args

import numpy as np
from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel

from streaming.audio import WireFormat
from streaming.errors import SpeechServerError
from streaming.headroom import Headroom
from streaming.realtime.beta import Beta
from streaming.realtime.effects import Machine, Unreadable
from streaming.realtime.events import ServerEvent
from streaming.realtime.ga import Ga
from streaming.realtime.limits import Observer, Outcome, SessionLimits, Stop
from streaming.realtime.messages import ClientMessage
from streaming.realtime.session import Session
from streaming.report import TurnReport
from streaming.stages import Pcm, Stages

Event = dict[str, Any]
"""A server event as the client reads it."""

EXTENSIONS = {
    ("session", name)
    for name in ("reply_language", "temperature", "speculative_turns", "playout_lead_ms", "id", "object", "expires_at")
} | {("response", "warnings")}
"""Fields that we send and the SDK's event types do not have: our four, and three that its `RealtimeSessionCreateResponse` has."""

OURS = {
    "session.queued": {"type", "event_id", "position", "estimated_wait_s"},
    "session.ending": {"type", "event_id", "within_s"},
}
"""Fields of the events that are ours."""

_UNION = get_args(get_args(RealtimeServerEvent)[0])
_BY_TYPE = {get_args(kind.model_fields["type"].annotation)[0]: kind for kind in _UNION}


def check_types(event: Event) -> None:
    """`event` is exactly what `openai.types.realtime` says, and JSON."""
    json.dumps(event, ensure_ascii=False, allow_nan=False).encode()
    if (ours := OURS.get(event["type"])) is not None:
        assert event.keys() == ours
        return
    kind = _BY_TYPE[event["type"]]
    parsed = kind.model_validate(event, strict=True)
    unknown = set(_unknown_fields(parsed, ()))
    assert unknown <= EXTENSIONS, f"{event['type']} has {unknown - EXTENSIONS}"


def _unknown_fields(value: object, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    if isinstance(value, BaseModel):
        found = [(*path, name) for name in value.model_extra or ()]
        for name in type(value).model_fields:
            found += _unknown_fields(getattr(value, name), (*path, name))
        return found
    if isinstance(value, list):
        return [each for inner in value for each in _unknown_fields(inner, path)]
    return []


class Protocol:
    """What holds in every session, event by event."""

    def __init__(self) -> None:
        self.event_ids: set[str] = set()
        self.items: dict[str, bool] = {}  # id → done
        self.added: set[str] = set()
        self.listening: set[str] = set()  # ids of what is being said
        self.open: dict[str, _Response] = {}
        self.responses: set[str] = set()
        self.captions = False
        self.transcripts: dict[str, str] = {}
        self.first = True

    def check(self, event: Event) -> None:
        kind = event["type"]
        if kind != "session.queued" or not self.first:
            assert (kind == "session.created") == self.first, "session.created comes first, and once"
            self.first = False
        assert event["event_id"] not in self.event_ids
        self.event_ids.add(event["event_id"])
        if kind.startswith("response."):
            self._response(kind.removeprefix("response."), event)
        elif kind.startswith("conversation.item.input_audio_transcription."):
            self._transcript(kind.rpartition(".")[2], event)
        elif kind == "session.updated":
            self.captions = self.captions or event["session"]["type"] == "transcription"
        elif kind.startswith("conversation.item."):
            self._item(kind.removeprefix("conversation.item."), event)

    def _item(self, kind: str, event: Event) -> None:
        if kind == "added":
            assert event["item"]["id"] not in self.items, "item ids are unique"
            self.items[event["item"]["id"]] = False
            self.added.add(event["item"]["id"])
        elif kind == "done":
            assert event["item"]["id"] in self.added
            assert not self.items.get(event["item"]["id"]), "an item is done once"
            self.items[event["item"]["id"]] = True
        elif kind == "deleted":
            del self.items[event["item_id"]]

    def _transcript(self, kind: str, event: Event) -> None:
        item_id = event["item_id"]
        assert item_id in self.added or (self.captions and kind == "delta"), "transcripts are of items that are known"
        if kind == "delta":
            assert event["delta"]
            self.transcripts[item_id] = self.transcripts.get(item_id, "") + event["delta"]

    def _response(self, kind: str, event: Event) -> None:
        if kind == "created":
            made = event["response"]
            assert made["id"] not in self.responses
            assert made["status"] == "in_progress"
            inside = [one for one in self.open.values() if not one.apart]
            assert made["conversation_id"] is None or not inside, "one response of the conversation at a time"
            self.responses.add(made["id"])
            self.open[made["id"]] = _Response(made["conversation_id"] is None)
            return
        response_id = event.get("response_id", event.get("response", {}).get("id"))
        assert response_id in self.open, f"{kind} outside a response"
        self.open[response_id].check(kind, event)
        if kind == "done":
            del self.open[response_id]


class _Response:
    """What holds in every response."""

    FOLLOWS: ClassVar = {
        "output_item.added": ("created",),
        "content_part.added": ("output_item.added",),
        "output_audio.done": ("content_part.added", "delta"),
        "output_text.done": ("content_part.added", "delta"),
        "output_audio_transcript.done": ("output_audio.done",),
        "content_part.done": ("output_audio_transcript.done", "output_text.done"),
        "function_call_arguments.done": ("output_item.added", "delta"),
        "output_item.done": ("content_part.done", "function_call_arguments.done"),
        "done": ("output_item.done",),
    }

    def __init__(self, apart: bool) -> None:
        self.apart = apart
        self.stage = "created"
        self.said = self.whole = ""

    def check(self, kind: str, event: Event) -> None:
        if kind.endswith(".delta"):
            begin = "output_item.added" if kind.startswith("function_call") else "content_part.added"
            assert self.stage in (begin, "delta"), f"{kind} after {self.stage}"
            assert event["delta"]
            if not kind.startswith("output_audio.delta"):
                self.said += event["delta"]
            self.stage = "delta"
            return
        assert self.stage in self.FOLLOWS[kind], f"{kind} after {self.stage}"
        self.stage = kind
        if kind in ("output_audio_transcript.done", "output_text.done"):
            self.whole = event["transcript"] if "transcript" in event else event["text"]
        if kind == "function_call_arguments.done":
            self.whole = event["arguments"]
        if kind == "done":
            done = event["response"]
            assert done["status"] in ("completed", "cancelled", "failed", "incomplete")
            assert done["status_details"]["type"] == done["status"]
            assert done["usage"] is not None
            if done["status"] in ("completed", "incomplete"):
                assert self.said == self.whole
            assert self.whole.startswith(self.said)  # the delta under way is lost when a response is interrupted


class Peer:
    """The client's end of one session. Events are checked as they come; the session's own failure surfaces in `hang_up`.

    `check_event`: what each must be, in place of the events of a realtime session.
    """

    def __init__(
        self,
        machine: Machine,
        stages: Stages,
        check_event: Callable[[Event], None] | None = None,
        *,
        limits: SessionLimits | None = None,
        dialect: Ga | Beta | None = None,
        headroom: Headroom | None = None,
        stop: Stop | None = None,
    ) -> None:
        self.machine = machine
        self._dialect = dialect or Ga()
        self._check_event = check_event or self._check_realtime
        self.slowness = 1
        self.events: list[Event] = []
        self.turns: list[tuple[TurnReport, Outcome]] = []
        self.errors: list[SpeechServerError] = []
        self.speculations: list[str] = []
        self.protocol = Protocol()
        self.violations: list[Exception] = []
        self._to_send: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._came = asyncio.Event()
        self._read = 0
        observer = Observer(
            turn=lambda _, report, outcome: self.turns.append((report, outcome)),
            error=lambda error: self.errors.append(error),
            speculation=lambda stage: self.speculations.append(stage),
        )
        session = Session(machine, stages, limits or SessionLimits(), observer, headroom or Headroom(), stop or Stop())
        self.running = asyncio.create_task(session.run(self._messages(), self._receive))
        self.running.add_done_callback(lambda _: self._came.set())

    async def _messages(self) -> AsyncGenerator[ClientMessage | Unreadable]:
        while (message := await self._to_send.get()) is not None:
            yield self._dialect.decode(message, self.machine.audio_in)

    async def _receive(self, said: ServerEvent) -> None:
        for message in self._dialect.encode(said):
            await self._read_message(json.loads(message))

    async def _read_message(self, event: Event) -> None:
        for _ in range(self.slowness):  # a socket gives way to others
            await asyncio.sleep(0)
        self.events.append(event)
        try:
            self._check_event(event)
        except Exception as violation:
            self.violations.append(violation)
        self._came.set()

    def _check_realtime(self, event: Event) -> None:
        check_types(event)
        self.protocol.check(event)

    def raw(self, message: str | bytes) -> None:
        """Send any message."""
        self._to_send.put_nowait(message)

    def send(self, kind: str, **fields: Any) -> None:
        """Send a client event."""
        self.raw(json.dumps({"type": kind, **fields}))

    def say(self, pcm: Pcm, wire: WireFormat | None = None, piece: int = 4800) -> None:
        """Append audio, `piece` samples a message."""
        wire = wire or WireFormat()
        for start in range(0, pcm.size, piece):
            audio = base64.b64encode(wire.encode(pcm[start : start + piece])).decode()
            self.send("input_audio_buffer.append", audio=audio)

    def update(self, **session: Any) -> None:
        """Send a `session.update`."""
        self.send("session.update", session={"type": "realtime", **session})

    def type_text(self, text: str, **item: Any) -> None:
        """Create a user message of text."""
        content = [{"type": "input_text", "text": text}]
        self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content, **item})

    async def until(self, kind: str) -> Event:
        """The next event of this type, passing over others."""
        async with asyncio.timeout(60):
            while True:
                self.check()
                while self._read < len(self.events):
                    self._read += 1
                    if self.events[self._read - 1]["type"] == kind:
                        return self.events[self._read - 1]
                assert not self.running.done(), f"the session ended without {kind}; it sent {self.kinds()}"
                self._came.clear()
                await self._came.wait()

    def check(self) -> None:
        """Raise what was wrong with an event, or why the session ended."""
        for violation in self.violations:
            raise violation
        if self.running.done():
            self.running.result()

    async def settled(self, rounds: int = 300) -> None:
        """Let the session do all it can without further messages."""
        for _ in range(rounds + 20 * self._to_send.qsize()):
            await asyncio.sleep(0)

    def kinds(self, start: int = 0) -> list[str]:
        """Types of the events, deltas of one kind in a row as one."""
        kinds: list[str] = []
        for event in self.events[start:]:
            if not (event["type"].endswith("delta") and kinds[-1:] == [event["type"]]):
                kinds.append(event["type"])
        return kinds

    def all(self, kind: str) -> list[Event]:
        """Events of this type."""
        return [event for event in self.events if event["type"] == kind]

    def audio(self, wire: WireFormat | None = None) -> Pcm:
        """All audio of all answers."""
        wire = wire or WireFormat()
        deltas = self.all("response.output_audio.delta")
        return wire.decode(b"".join(base64.b64decode(event["delta"]) for event in deltas))

    async def hang_up(self) -> None:
        """Go away; the session must end by itself."""
        self._to_send.put_nowait(None)
        async with asyncio.timeout(60):
            await self.running
        self.check()


def tone(ms: int, rate_hz: int = 24_000, level: float = 0.5) -> Pcm:
    """What the fake voice activity takes for speech."""
    return (level * np.sin(np.arange(ms * rate_hz // 1000) * 0.1)).astype(np.float32)


def silence(ms: int, rate_hz: int = 24_000) -> Pcm:
    """What it takes for silence."""
    return np.zeros(ms * rate_hz // 1000, np.float32)
