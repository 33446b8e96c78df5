"""What the tests of a session do again and again, and the events that belong together."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from streaming.audio import WireFormat
from tests.fakes import (
    TRANSCRIPT,
    UNITS,
    FakeLM,
    answer_ids,
)
from tests.streaming.realtime.peer import Peer, tone

Connect = Callable[..., Peer]

USER = ["conversation.item.added", "conversation.item.done"]
COMMIT = ["input_audio_buffer.committed", *USER]
OPENING = [
    "response.created",
    "rate_limits.updated",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
]
CLOSING = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
HEARD = "conversation.item.input_audio_transcription"
MANUAL = {"audio": {"input": {"turn_detection": None}}}
QUESTION = tone(400)


def without_deltas(kinds: list[str]) -> list[str]:
    return [kind for kind in kinds if not kind.endswith(".delta")]


async def error_of(peer: Peer) -> tuple[str, str | None]:
    error = (await peer.until("error"))["error"]
    return error["code"], error["param"]


async def started(peer: Peer) -> Peer:
    await peer.until("session.created")
    return peer


async def manual(peer: Peer) -> Peer:
    """Turn detection off, nothing read yet of what follows."""
    peer.update(**MANUAL)
    await peer.until("session.updated")
    return peer


async def ask(peer: Peer, text: str = "Hello?") -> None:
    """A typed question and its answer requested."""
    peer.type_text(text)
    peer.send("response.create")
    await peer.until("response.created")


class Gate(FakeLM):
    """Falls silent after its script until `open` is set."""

    def __init__(self, script: Sequence[int], rest: Sequence[int] = ()) -> None:
        super().__init__(script)
        self.rest = rest
        self.open = asyncio.Event()

    async def generate(self, prompt: Any, sampling: Any) -> AsyncGenerator[list[int]]:
        async for ids in super().generate(prompt, sampling):
            yield ids
        self.active += 1
        try:
            await self.open.wait()
            yield list(self.rest)
        finally:
            self.active -= 1


def half_an_answer() -> Gate:
    return Gate(answer_ids(TRANSCRIPT, ("It is five. ", UNITS[:16])), answer_ids("", ("Bye.", UNITS[16:]))[4:])


async def goes_on(peer: Peer) -> None:
    await ask(peer)
    done = await peer.until("response.done")
    assert done["response"]["status"] == "completed"


def recorded(ms: int, **item: Any) -> dict[str, Any]:
    audio = base64.b64encode(WireFormat().encode(tone(ms))).decode()
    return {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio}], **item}
