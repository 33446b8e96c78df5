"""Barge-in, cancelling, truncating and deleting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import numpy as np
import pytest

from streaming.errors import EngineUnavailable
from streaming.realtime.limits import SessionLimits
from streaming.stages import Exchange
from tests.fakes import (
    TEXT,
    UNITS,
    FakeDecoder,
    FakeLM,
    FakePrompts,
    answer_ids,
    text_ids,
)
from tests.streaming.realtime.dialogue import CLOSING, QUESTION, ask, error_of, half_an_answer, started
from tests.streaming.realtime.peer import Peer, silence, tone

Connect = Callable[..., Peer]


@pytest.mark.parametrize("lm", [half_an_answer, lambda: FakeLM(hang_after=0), lambda: FakeLM(hang_after=3)])
async def test_barge_in(connect: Connect, lm: Callable[[], FakeLM]) -> None:
    model, decoder = lm(), FakeDecoder()
    peer = connect(lm=model, decoder=decoder)
    await ask(peer)
    await peer.settled()
    before = len(peer.events)
    peer.say(QUESTION)
    done = await peer.until("response.done")
    assert peer.kinds(before) == ["input_audio_buffer.speech_started", *CLOSING]
    assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert done["response"]["output"][0]["status"] == "incomplete"
    assert (model.active, decoder.active) == (0, 0)
    assert [outcome for _, outcome in peer.turns] == ["cancelled"]
    peer.say(silence(700))
    await peer.until("response.created")


async def test_barge_in_can_be_turned_off(connect: Connect) -> None:
    lm = half_an_answer()
    peer = connect(lm=lm)
    peer.update(audio={"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}})
    await ask(peer)
    peer.say(QUESTION)
    peer.say(silence(700))
    await peer.until("conversation.item.done")
    assert lm.active == 1
    lm.open.set()
    done = await peer.until("response.done")
    assert done["response"]["status"] == "completed"


async def test_without_create_response_the_client_asks(connect: Connect) -> None:
    peer = connect()
    peer.update(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}})
    peer.say(QUESTION)
    peer.say(silence(700))
    await peer.until("conversation.item.done")
    await peer.settled()
    assert peer.all("response.created") == []
    peer.send("response.create")
    await peer.until("response.done")


async def test_cancel(connect: Connect) -> None:
    lm = half_an_answer()
    peer = connect(lm=lm)
    await ask(peer)
    await peer.until("response.output_audio.delta")
    peer.send("response.cancel")
    done = await peer.until("response.done")
    assert done["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert lm.active == 0


async def test_cancel_with_nothing_running(connect: Connect) -> None:
    peer = await started(connect(lm=half_an_answer()))
    peer.send("response.cancel", event_id="c")
    error = (await peer.until("error"))["error"]
    assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "c")
    assert error["message"].startswith("Cancellation failed"), "by which LiveKit knows it"
    await ask(peer)
    peer.send("response.cancel", response_id="resp_other")
    assert await error_of(peer) == ("response_cancel_not_active", None)
    peer.send("response.cancel")
    await peer.until("response.done")
    peer.send("response.cancel")
    assert await error_of(peer) == ("response_cancel_not_active", None)


async def test_a_cancel_that_meets_the_end_closes_the_response_once(connect: Connect) -> None:
    """The stage fails while it is being cancelled."""

    class Stubborn(FakeLM):
        async def generate(self, prompt: Any, sampling: Any) -> AsyncGenerator[list[int]]:
            yield text_ids("a")
            try:
                await asyncio.Event().wait()
            finally:
                raise EngineUnavailable("died while it was cancelled")

    peer = connect(lm=Stubborn())
    await ask(peer)
    await peer.settled()
    peer.send("response.cancel")
    await peer.until("response.done")
    await peer.settled()
    assert len(peer.all("response.done")) == 1
    await ask(peer)


async def test_two_responses_at_once(connect: Connect) -> None:
    lm = half_an_answer()
    peer = connect(lm=lm)
    await ask(peer)
    peer.send("response.create", event_id="second")
    error = (await peer.until("error"))["error"]
    assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "second")
    lm.open.set()
    done = await peer.until("response.done")
    assert done["response"]["status"] == "completed"


@pytest.mark.parametrize("keep_ms", [0, 200, 400])
async def test_truncate(connect: Connect, keep_ms: int) -> None:
    prompts = FakePrompts()
    script = answer_ids("?", ("one two three four", range(20)))
    peer = connect(prompts=prompts, lm=FakeLM(script))
    await ask(peer)
    item_id = (await peer.until("response.done"))["response"]["output"][0]["id"]
    peer.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=keep_ms)
    truncated = await peer.until("conversation.item.truncated")
    assert (truncated["audio_end_ms"], truncated["item_id"]) == (keep_ms, item_id)
    await ask(peer, "Next?")
    await peer.until("response.done")
    kept = {0: [], 200: [Exchange("Hello?", "one")], 400: [Exchange("Hello?", "one two")]}
    assert prompts.histories[1] == kept[keep_ms]


async def test_a_truncation_beyond_the_end_is_clamped(connect: Connect) -> None:
    peer = connect()
    await ask(peer)
    item_id = (await peer.until("response.done"))["response"]["output"][0]["id"]
    for _ in range(2):
        peer.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=10**9)
        assert (await peer.until("conversation.item.truncated"))["audio_end_ms"] == len(UNITS) * 40
    peer.send("conversation.item.retrieve", item_id=item_id)
    item = (await peer.until("conversation.item.retrieved"))["item"]
    assert item["content"] == [{"type": "output_audio", "transcript": TEXT}]


async def test_truncating_the_answer_under_way_ends_it(connect: Connect) -> None:
    peer = connect(lm=half_an_answer())
    await ask(peer)
    item_id = (await peer.until("conversation.item.added"))["item"]["id"]
    await peer.until("response.output_audio.delta")
    peer.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=0)
    await peer.until("response.done")
    assert (await peer.until("conversation.item.truncated"))["audio_end_ms"] == 0


async def test_deleting_the_answer_under_way_ends_it(connect: Connect) -> None:
    peer = connect(lm=half_an_answer())
    await ask(peer)
    item_id = (await peer.until("conversation.item.added"))["item"]["id"]
    peer.send("conversation.item.delete", item_id=item_id)
    assert (await peer.until("response.done"))["response"]["status"] == "cancelled"
    assert (await peer.until("conversation.item.deleted"))["item_id"] == item_id


async def test_what_cannot_be_truncated(connect: Connect) -> None:
    peer = connect()
    peer.type_text("Hello?", id="typed")
    peer.send("conversation.item.truncate", item_id="typed", content_index=0, audio_end_ms=5)
    assert await error_of(peer) == ("invalid_value", "item_id")
    peer.send("conversation.item.truncate", item_id="none", content_index=0, audio_end_ms=5)
    assert await error_of(peer) == ("item_truncate_invalid_item_id", "item_id")


@pytest.mark.parametrize("guarded", [True, False])
async def test_an_answer_that_comes_back_is_no_turn(connect: Connect, guarded: bool) -> None:
    peer = connect(limits=SessionLimits(echo_guard=guarded))
    peer.type_text("Hello?")
    peer.send("response.create")
    await peer.until("response.done")
    peer.say(np.concatenate([silence(300), 0.2 * peer.audio(), silence(800)]))
    peer.send("input_audio_buffer.clear")
    await peer.until("input_audio_buffer.cleared")
    assert bool(peer.all("input_audio_buffer.speech_started")) is not guarded
    peer.say(tone(400))
    await peer.until("input_audio_buffer.speech_started")
