"""One call without a network: what it plays of the session's events, what it tells the session, and its end."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import numpy as np
import pytest

from server.webrtc.call import Call
from server.webrtc.tracks import PLAYOUT_HZ
from streaming.audio import WireFormat
from streaming.playout import Playout
from streaming.realtime.response import wire_format

PCM, PCMU = WireFormat("audio/pcm", 24_000), WireFormat("audio/pcmu", 8_000)


class Session:
    """Keeps what the call tells it, until it was told something of type `last`."""

    def __init__(self, last: str) -> None:
        self.last = last
        self.told: list[str | bytes] = []

    async def run(self, received: AsyncIterator[str | bytes]) -> None:
        async for message in received:
            self.told.append(message)
            if self.last in str(message):
                return


@pytest.fixture
def playout(monkeypatch: pytest.MonkeyPatch) -> Playout:
    playout = Playout(PLAYOUT_HZ)
    monkeypatch.setattr("server.webrtc.call.Playout", lambda rate_hz: playout)
    return playout


@pytest.fixture
async def call(playout: Playout) -> AsyncGenerator[Call]:
    call = Call([])
    yield call
    await call.close()


def created(name: str, wire: WireFormat, conversation_id: str | None = "conv") -> dict[str, Any]:
    audio = {"output": {"format": wire_format(wire)}}
    return {"type": "response.created", "response": {"id": name, "conversation_id": conversation_id, "audio": audio}}


def delta(name: str, wire: WireFormat, pitch_hz: int, seconds: float = 1.0) -> dict[str, Any]:
    at = np.arange(round(wire.rate_hz * seconds)) / wire.rate_hz
    audio = base64.b64encode(wire.encode((0.5 * np.sin(2 * np.pi * pitch_hz * at)).astype(np.float32))).decode()
    return {"type": "response.output_audio.delta", "response_id": name, "item_id": f"item_of_{name}", "delta": audio}


def done(name: str) -> dict[str, Any]:
    return {"type": "response.done", "response": {"id": name}}


async def test_each_answer_is_played_from_its_own_format_also_two_at_once(call: Call, playout: Playout) -> None:
    events = [created("a", PCM), created("b", PCMU, None), delta("a", PCM, 1000), delta("b", PCMU, 400)]
    for event in [*events, delta("a", PCM, 1000), done("a"), done("b")]:
        await call.send(event)
    assert playout.waiting_s == pytest.approx(3.0, abs=0.05)
    for pitch_hz in (1000, 1000, 400):
        played, _ = playout.take(PLAYOUT_HZ)
        middle = played[PLAYOUT_HZ // 4 : 3 * PLAYOUT_HZ // 4]
        spectrum = np.abs(np.fft.rfft(middle * np.hanning(middle.size)))
        assert 2 * int(spectrum.argmax()) == pytest.approx(pitch_hz, abs=4)
        assert np.abs(middle).max() == pytest.approx(0.5, abs=0.05)


async def test_only_answers_of_the_conversation_are_cut_there(call: Call, playout: Playout) -> None:
    for event in (created("a", PCM), created("b", PCM, None), delta("a", PCM, 300), delta("b", PCM, 300), done("b")):
        await call.send(event)
    playout.take(PLAYOUT_HZ // 2)
    session = Session(last="session.update")
    call._on_message('{"type": "output_audio_buffer.clear"}')
    asyncio.get_running_loop().call_later(0.05, call._on_message, '{"type": "session.update"}')
    await call.run(session)  # type: ignore[arg-type]
    cut = [json.loads(message) for message in session.told[:-1]]
    assert [(event["type"], event["item_id"]) for event in cut] == [("conversation.item.truncate", "item_of_a")]
    assert cut[0]["audio_end_ms"] == 500
    assert playout.waiting_s == 0


async def test_nonsense_about_clearing_is_left_to_the_session(call: Call) -> None:
    deep = '{"type": "output_audio_buffer.clear", "event_id": ' + "[" * 100_000
    session = Session(last="[[[[")
    call._on_message(b'{"type": "output_audio_buffer.clear"}')
    call._on_message(deep)
    await call.run(session)  # type: ignore[arg-type]
    assert session.told == [b'{"type": "output_audio_buffer.clear"}', deep]


async def test_a_call_that_never_connected_ends_when_it_is_hung_up(call: Call) -> None:
    running = asyncio.create_task(call.run(Session(last="nothing")))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    call.hang_up()
    async with asyncio.timeout(5):
        await running
