"""Recordings in items, and audio that comes in long messages."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from streaming.audio import WireFormat
from streaming.stages import Exchange, Pcm
from tests.fakes import (
    SPEECH_START,
    FakeEncoder,
    FakeLM,
    FakePrompts,
)
from tests.streaming.realtime.dialogue import QUESTION, error_of, recorded
from tests.streaming.realtime.peer import Peer, silence, tone

Connect = Callable[..., Peer]


async def test_a_recording_as_an_item(connect: Connect) -> None:
    encoder, lm = FakeEncoder(), FakeLM()
    peer = connect(encoder=encoder, lm=lm)
    audio = base64.b64encode(WireFormat().encode(QUESTION)).decode()
    content = [{"type": "input_audio", "audio": audio, "transcript": "two plus three"}]
    peer.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    added = await peer.until("conversation.item.done")
    assert added["item"]["content"] == [{"type": "input_audio", "transcript": "two plus three"}]
    peer.send("response.create")
    await peer.until("response.done")
    assert encoder.calls == 1
    assert SPEECH_START in lm.prompts[0]


class Pieces(FakeEncoder):
    """Keeps the lengths of what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    async def encode(self, audio: AsyncIterator[Pcm]) -> AsyncGenerator[list[int]]:
        async def noted() -> AsyncIterator[Pcm]:
            async for pcm in audio:
                self.sizes.append(pcm.size)
                yield pcm

        async for units in super().encode(noted()):
            yield units


async def test_a_recording_lets_live_speech_into_the_encoder_every_half_second(connect: Connect) -> None:
    encoder = Pieces()
    peer = connect(encoder=encoder)
    peer.send("conversation.item.create", item=recorded(1700))
    await peer.until("conversation.item.done")
    await peer.settled()
    assert encoder.sizes == [8000, 8000, 8000, 3200]


async def test_an_earlier_recording_is_encoded_before_a_model_that_keeps_units_is_asked(connect: Connect) -> None:
    prompts = FakePrompts(keeps_units=True)
    peer = connect(prompts=prompts)
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I heard you."}]}
    asked = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "And?"}]}
    peer.send("response.create", response={"conversation": "none", "input": [recorded(1700), said, asked]})
    assert (await peer.until("response.done"))["response"]["status"] == "completed"
    ((told,),) = prompts.histories
    units = [unit async for piece in FakeEncoder().encode(_whole(WireFormat().decode(_wire(1700)))) for unit in piece]
    assert told == Exchange("", "I heard you.", tuple(units)) and units


async def _whole(pcm: Pcm) -> AsyncIterator[Pcm]:
    yield pcm


def _wire(ms: int) -> bytes:
    return WireFormat().encode(tone(ms))


async def test_a_recording_that_is_refused_is_not_encoded(connect: Connect) -> None:
    encoder = FakeEncoder()
    peer = connect(encoder=encoder)
    peer.type_text("Hello?", id="item_1")
    peer.send("conversation.item.create", item=recorded(400, id="item_1"))
    assert (await error_of(peer))[0] == "item_create_duplicate_item_id"
    peer.send("response.create", response={"input": [recorded(400), {"type": "item_reference", "id": "item_2"}]})
    assert (await error_of(peer))[0] == "item_retrieve_invalid_item_id"
    await peer.settled()
    assert encoder.calls == 0


async def test_recordings_do_not_pile_up_before_the_encoder(connect: Connect) -> None:
    encoder = FakeEncoder(hang=True)
    peer = connect(encoder=encoder)
    for _ in range(8):
        peer.send("conversation.item.create", item=recorded(400))
        await peer.until("conversation.item.done")
    peer.send("conversation.item.create", item=recorded(400))
    assert (await error_of(peer))[0] == "too_many_recordings"
    peer.send("response.create", response={"conversation": "none", "input": [recorded(400)]})
    assert (await error_of(peer))[0] == "too_many_recordings"
    peer.type_text("Hello?")
    await peer.until("conversation.item.done")
    assert encoder.calls == 8


async def test_room_for_recordings_comes_back(connect: Connect) -> None:
    peer = connect()
    for _ in range(9):
        peer.send("conversation.item.create", item=recorded(400))
        await peer.until("conversation.item.done")
        await peer.settled()
    assert not peer.all("error")


async def test_a_long_message_lets_others_run(connect: Connect) -> None:
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    peer = connect()
    await peer.until("session.created")
    running = asyncio.create_task(other())
    peer.say(silence(10_000), piece=240_000)
    while not peer.machine.waiting:
        await asyncio.sleep(0)
    before = others
    while peer.machine.waiting:
        await asyncio.sleep(0)
    running.cancel()
    assert others - before >= 9
