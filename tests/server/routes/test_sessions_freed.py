"""A session that is over is freed at once: one that waited for the garbage collector would hold its texts and audio till then."""

from __future__ import annotations

import base64
import gc
import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from streaming.audio import WireFormat
from tests.server.front import eventually, listening
from tests.streaming.realtime.peer import silence, tone

OF_A_SESSION = {
    "RealtimeMachine", "TranslationMachine", "Conversation", "Item", "InputBuffer", "UtteranceEncoding", "Session", "_Running",
    "Captioner", "Turn", "Ga", "Beta", "Line", "Carrier", "Backlog",
}  # fmt: skip
ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
TYPED = [{"type": "conversation.item.create", "item": ITEM}, {"type": "response.create"}]
TRANSCRIPTION = {"type": "session.update", "session": {"type": "transcription"}}
SPEECH = WireFormat().encode(tone(400)) + WireFormat().encode(silence(900))


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive() -> list[str]:
    """What there is of sessions."""
    return sorted(kind for each in gc.get_objects() if (kind := type(each).__name__) in OF_A_SESSION)


def said(append: str) -> list[dict[str, Any]]:
    pieces = (SPEECH[at : at + 9600] for at in range(0, len(SPEECH), 9600))
    return [{"type": append, "audio": base64.b64encode(piece).decode()} for piece in pieces]


async def until(socket: ClientConnection, kind: str) -> None:
    while json.loads(await socket.recv())["type"] != kind:
        pass


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize(
    ("path", "events", "end"),
    [
        ("/v1/realtime", [], "session.created"),
        ("/v1/realtime", TYPED, "response.done"),
        ("/v1/realtime", TYPED, "response.created"),
        ("/v1/realtime", [{"type": "nonsense"}, {"type": "conversation.item.delete", "item_id": "none"}], "error"),
        ("/v1/realtime", said("input_audio_buffer.append"), "response.done"),
        ("/v1/realtime", said("input_audio_buffer.append")[:2], "input_audio_buffer.speech_started"),
        (
            "/v1/realtime",
            [TRANSCRIPTION, *said("input_audio_buffer.append")],
            "conversation.item.input_audio_transcription.completed",
        ),
        (
            "/v1/realtime/translations",
            said("session.input_audio_buffer.append"),
            "session.output_transcript.delta",
        ),
    ],
    ids=["silent", "typed", "cut off", "refused", "spoken", "speaking", "transcribed", "translated"],
)
@pytest.mark.parametrize("ending", ["closed", "aborted", "expired", "not resumed"])
async def test_nothing_of_a_session_is_left(path: str, events: list[dict[str, Any]], end: str, ending: str) -> None:
    limits = {"max_session_s": 1.5} if ending == "expired" else {"resume_s": 0.2}
    offered = [Subprotocol("realtime"), *([Subprotocol("cslm")] if ending == "not resumed" else [])]
    async with listening(**limits) as front:
        before = alive()
        async with connect(front.url.replace("http", "ws") + path, subprotocols=offered, proxy=None) as socket:
            for event in events:
                await socket.send(json.dumps(event))
            await until(socket, end)
            assert alive() != before
            if ending in ("aborted", "not resumed"):
                socket.transport.abort()
            elif ending == "expired":
                async for _ in socket:
                    pass
        await eventually(lambda: front.state.admission.active == 0)
        await eventually(lambda: alive() == before)
