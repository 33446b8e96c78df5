"""A whole session on fake stages. What every event must look like and in which order is checked by `peer`."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any

import numpy as np
import pytest

from streaming.audio import WireFormat
from streaming.errors import EngineUnavailable
from streaming.realtime.limits import SessionLimits
from streaming.stages import Pcm, UnitCut
from streaming.turn import Exchange
from tests.fakes import (
    ANSWER,
    SPEECH_END,
    SPEECH_START,
    TEXT,
    TRANSCRIPT,
    UNIT_BASE,
    UNITS,
    FakeDecoder,
    FakeEncoder,
    FakeLM,
    FakePrompts,
    FakeVoiceActivity,
    answer_ids,
    text_ids,
    unit_ids,
)
from tests.streaming.realtime.peer import Peer, silence, tone

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


# Turns


async def test_a_spoken_turn_found_by_voice_activity(connect: Connect) -> None:
    peer, decoder = connect(), FakeDecoder()
    peer.say(silence(500))
    peer.say(QUESTION)
    peer.say(silence(700))
    done = await peer.until("response.done")
    assert without_deltas(peer.kinds()) == [
        "session.created",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        *COMMIT,
        *OPENING,
        f"{HEARD}.completed",
        *CLOSING,
    ]
    begin = peer.all("input_audio_buffer.speech_started")[0]
    end = peer.all("input_audio_buffer.speech_stopped")[0]
    committed = peer.all("input_audio_buffer.committed")[0]
    assert begin["item_id"] == end["item_id"] == committed["item_id"]
    assert 150 <= begin["audio_start_ms"] <= 250
    assert 1380 <= end["audio_end_ms"] <= 1480
    question, answer = peer.all("conversation.item.added")
    assert question["item"]["id"] == committed["item_id"]
    assert question["previous_item_id"] is None
    assert answer["previous_item_id"] == committed["item_id"]
    heard = peer.all(f"{HEARD}.completed")[0]
    assert (heard["transcript"], heard["item_id"]) == (TRANSCRIPT, committed["item_id"])
    assert "".join(delta["delta"] for delta in peer.all(f"{HEARD}.delta")) == TRANSCRIPT
    assert heard["usage"]["seconds"] == pytest.approx((end["audio_end_ms"] - begin["audio_start_ms"]) / 1000, abs=0.002)
    response = done["response"]
    assert response["status"] == "completed"
    assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": TEXT}]
    assert np.abs(peer.audio() - decoder.speak(UNITS)).max() < 1e-4
    assert [outcome for _, outcome in peer.turns] == ["completed"]


async def test_text_and_audio_of_the_answer_come_interleaved(connect: Connect) -> None:
    peer = connect()
    await ask(peer)
    await peer.until("response.done")
    deltas = [kind.removeprefix("response.") for kind in peer.kinds() if kind.endswith("delta")]
    text, audio = "output_audio_transcript.delta", "output_audio.delta"
    assert deltas[:2] == [text, audio]
    assert deltas.index(audio) < len(deltas) - 1 - deltas[::-1].index(text)


async def test_audio_leaves_while_the_model_still_speaks(connect: Connect) -> None:
    lm = half_an_answer()
    peer = connect(lm=lm)
    await ask(peer)
    await peer.until("response.output_audio.delta")
    assert lm.active == 1
    lm.open.set()
    await peer.until("response.done")


async def test_a_spoken_turn_by_hand(connect: Connect) -> None:
    peer = await manual(connect())
    peer.say(QUESTION)
    peer.send("input_audio_buffer.commit")
    peer.send("response.create")
    await peer.until("response.done")
    assert without_deltas(peer.kinds()) == [
        "session.created",
        "session.updated",
        *COMMIT,
        *OPENING,
        f"{HEARD}.completed",
        *CLOSING,
    ]


async def test_a_question_is_all_of_its_audio_and_no_other(connect: Connect) -> None:
    """Down to the last sample that the resampler still holds, none of which may reach the next question."""

    class Tape(FakeEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.tapes: list[list[Pcm]] = []

        async def encode(self, audio: AsyncIterator[Pcm]) -> AsyncGenerator[list[int]]:
            tape: list[Pcm] = []
            self.tapes.append(tape)
            async for pcm in audio:
                tape.append(pcm)
            yield [1]

    encoder = Tape()
    peer = await manual(connect(encoder=encoder))
    for level in (0.9, 0.1):
        peer.say(tone(250, level=level), piece=1000)
        peer.send("input_audio_buffer.commit")
        await peer.until("input_audio_buffer.committed")
    await peer.settled()
    loud, quiet = (np.concatenate(tape) for tape in encoder.tapes)
    assert (loud.size, quiet.size) == (4000, 4000)
    assert np.abs(loud[-100:]).max() > 0.5
    assert np.abs(quiet).max() < 0.2


async def test_the_shortest_question(connect: Connect) -> None:
    peer = await manual(connect())
    peer.say(tone(100))
    peer.send("input_audio_buffer.commit")
    await peer.until("input_audio_buffer.committed")


async def test_a_typed_turn(connect: Connect) -> None:
    lm, prompts = FakeLM(), FakePrompts()
    peer = connect(lm=lm, prompts=prompts)
    await ask(peer, "Hello?")
    await peer.until("response.done")
    assert without_deltas(peer.kinds()) == ["session.created", *USER, *OPENING, *CLOSING]
    assert text_ids("Hello?") == lm.prompts[0][-1 - len("Hello?") : -1]
    assert peer.all("conversation.item.added")[0]["item"]["content"] == [{"type": "input_text", "text": "Hello?"}]


async def test_text_alone(connect: Connect) -> None:
    decoder = FakeDecoder()
    peer = connect(decoder=decoder)
    peer.type_text("Hello?")
    peer.send("response.create", response={"output_modalities": ["text"]})
    done = await peer.until("response.done")
    assert decoder.cuts == []
    assert without_deltas(peer.kinds())[3:] == [*OPENING, "response.output_text.done", *CLOSING[2:]]
    assert "".join(event["delta"] for event in peer.all("response.output_text.delta")) == TEXT
    assert done["response"]["output"][0]["content"] == [{"type": "output_text", "text": TEXT}]
    assert done["response"]["output_modalities"] == ["text"]


async def test_usage(connect: Connect) -> None:
    lm = FakeLM()
    peer = await manual(connect(lm=lm))
    peer.say(QUESTION)
    peer.send("input_audio_buffer.commit")
    peer.send("response.create")
    usage = (await peer.until("response.done"))["response"]["usage"]
    prompt = lm.prompts[0]
    units = prompt.index(SPEECH_END) - prompt.index(SPEECH_START) - 1
    assert usage["input_token_details"]["audio_tokens"] == units
    assert usage["input_tokens"] == len(prompt) == units + usage["input_token_details"]["text_tokens"]
    assert usage["output_token_details"]["audio_tokens"] == len(UNITS)
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


async def test_what_is_asked_of_a_response_is_passed_on(connect: Connect) -> None:
    prompts, lm = FakePrompts(), FakeLM()
    peer = connect(prompts=prompts, lm=lm)
    peer.update(instructions="Be brief.", reply_language="zh", max_output_tokens=50)
    peer.type_text("Hello?")
    content = [{"type": "input_text", "text": "Be kind."}]
    peer.send("conversation.item.create", item={"type": "message", "role": "system", "content": content})
    peer.send("response.create", response={"metadata": {"client_event_id": "c1"}})
    done = (await peer.until("response.done"))["response"]
    assert (done["metadata"], done["max_output_tokens"]) == ({"client_event_id": "c1"}, 50)
    assert prompts.options[0].instructions == "Be brief.\nBe kind."
    assert (prompts.options[0].reply_language, prompts.options[0].max_tokens) == ("zh", 50)
    assert len(lm.samplings) == 1
    peer.send("response.create", response={"instructions": "", "reply_language": "en", "max_output_tokens": "inf"})
    await peer.until("response.done")
    assert prompts.options[1].instructions == "Be kind."
    assert (prompts.options[1].reply_language, prompts.options[1].max_tokens) == ("en", None)


async def test_history_is_what_was_asked_heard_and_answered(connect: Connect) -> None:
    prompts = FakePrompts()
    peer = await manual(connect(prompts=prompts))
    peer.say(QUESTION)
    peer.send("input_audio_buffer.commit")
    peer.send("response.create")
    await peer.until("response.done")
    await ask(peer, "And six?")
    await peer.until("response.done")
    await ask(peer, "And seven?")
    await peer.until("response.done")
    assert prompts.histories == [
        [],
        [Exchange(TRANSCRIPT, TEXT)],
        [Exchange(TRANSCRIPT, TEXT), Exchange("And six?", TEXT)],
    ]


async def test_a_question_that_nobody_wrote_down_is_remembered_by_its_units(connect: Connect) -> None:
    prompts, script = FakePrompts(), [ANSWER, *text_ids("It is five."), SPEECH_START, *unit_ids(range(20)), SPEECH_END]
    peer = await manual(connect(prompts=prompts, lm=FakeLM(script)))
    peer.say(QUESTION)
    peer.send("input_audio_buffer.commit")
    peer.send("response.create")
    done = await peer.until("response.done")
    await ask(peer, "And six?")
    await peer.until("response.done")
    (exchange,) = prompts.histories[1]
    assert (exchange.question, exchange.answer) == ("", "It is five.")
    assert len(exchange.units) == done["response"]["usage"]["input_token_details"]["audio_tokens"] > 0


async def test_a_question_answered_twice_is_transcribed_once(connect: Connect) -> None:
    peer = await manual(connect())
    peer.say(QUESTION)
    peer.send("input_audio_buffer.commit")
    item_id = (await peer.until("input_audio_buffer.committed"))["item_id"]
    for _ in range(2):
        peer.send("response.create")
        await peer.until("response.done")
    assert len(peer.all(f"{HEARD}.completed")) == 1
    peer.send("conversation.item.retrieve", item_id=item_id)
    item = (await peer.until("conversation.item.retrieved"))["item"]
    assert item["content"] == [{"type": "input_audio", "transcript": TRANSCRIPT}]


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


def recorded(ms: int, **item: Any) -> dict[str, Any]:
    audio = base64.b64encode(WireFormat().encode(tone(ms))).decode()
    return {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio}], **item}


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


# Interruptions


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


# Bad input; each leaves the session as it was


async def goes_on(peer: Peer) -> None:
    await ask(peer)
    done = await peer.until("response.done")
    assert done["response"]["status"] == "completed"


@pytest.mark.parametrize("audio", ["****", "AAA", "AAA=A", "AAAA\n", "ÄÄÄÄ", "AA==AA=="])
async def test_base64_garbage(connect: Connect, audio: str) -> None:
    peer = await started(connect())
    peer.send("input_audio_buffer.append", audio=audio, event_id="a1")
    error = (await peer.until("error"))["error"]
    assert (error["code"], error["param"], error["event_id"]) == ("invalid_audio", "audio", "a1")
    content = [{"type": "input_audio", "audio": audio}]
    peer.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    assert await error_of(peer) == ("invalid_audio", "item.content.0.audio")
    await goes_on(peer)


async def test_half_a_sample(connect: Connect) -> None:
    peer = connect()
    peer.send("input_audio_buffer.append", audio="AAAA")
    assert await error_of(peer) == ("invalid_value", "audio")
    await goes_on(peer)


async def test_an_empty_append_is_nothing(connect: Connect) -> None:
    peer = await manual(connect())
    peer.send("input_audio_buffer.append", audio="")
    peer.send("input_audio_buffer.commit")
    assert (await error_of(peer))[0] == "input_audio_buffer_commit_empty"


async def test_a_binary_flood(connect: Connect) -> None:
    peer = connect()
    for size in range(200):
        peer.raw(bytes(size))
    await goes_on(peer)
    assert [event["error"]["code"] for event in peer.all("error")] == ["invalid_json"] * 200
    assert len(peer.errors) == 200


async def test_json_garbage(connect: Connect) -> None:
    peer = connect()
    for message in ("", "{", "[]", "null", "[" * 10_000, '{"type":"response.create","event_id":"\\ud800"}'):
        peer.raw(message)
    for _ in range(6):
        assert await error_of(peer) == ("invalid_json", None)
    await goes_on(peer)


async def test_unknown_events_and_fields(connect: Connect) -> None:
    peer = connect()
    peer.send("no.such.event", event_id="1")
    peer.send("response.create", event_id="2", colour="red")
    first, second = (await peer.until("error"))["error"], (await peer.until("error"))["error"]
    assert (first["code"], first["param"], first["event_id"]) == ("unknown_event_type", "type", "1")
    assert (second["code"], second["param"], second["event_id"]) == ("unknown_parameter", "colour", "2")
    await goes_on(peer)


@pytest.mark.parametrize("ms", [0, 1, 50, 99])
async def test_a_commit_without_enough_audio(connect: Connect, ms: int) -> None:
    peer = await manual(connect())
    peer.say(tone(ms))
    peer.send("input_audio_buffer.commit", event_id="c")
    error = (await peer.until("error"))["error"]
    assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "c")
    peer.say(tone(200))
    peer.send("input_audio_buffer.commit")
    await peer.until("input_audio_buffer.committed")
    await goes_on(peer)


async def test_a_commit_while_voice_activity_hears_nothing(connect: Connect) -> None:
    peer = connect()
    peer.say(silence(300), piece=777)
    peer.send("input_audio_buffer.commit")
    assert (await error_of(peer))[0] == "input_audio_buffer_commit_empty"
    peer.say(silence(200))
    peer.say(QUESTION)
    begin = await peer.until("input_audio_buffer.speech_started")
    assert 150 <= begin["audio_start_ms"] <= 250


async def test_a_commit_ends_a_turn_that_voice_activity_found(connect: Connect) -> None:
    peer = connect()
    peer.say(QUESTION)
    begin = await peer.until("input_audio_buffer.speech_started")
    peer.send("input_audio_buffer.commit")
    assert (await peer.until("input_audio_buffer.committed"))["item_id"] == begin["item_id"]
    await peer.settled()
    assert peer.all("response.created") == []


async def test_clear_forgets_the_audio_and_its_item(connect: Connect) -> None:
    encoder = FakeEncoder()
    peer = connect(encoder=encoder)
    peer.say(QUESTION)
    first = await peer.until("input_audio_buffer.speech_started")
    peer.send("input_audio_buffer.clear")
    await peer.until("input_audio_buffer.cleared")
    peer.send("input_audio_buffer.commit")
    assert (await error_of(peer))[0] == "input_audio_buffer_commit_empty"
    peer.say(QUESTION)
    second = await peer.until("input_audio_buffer.speech_started")
    assert first["item_id"] != second["item_id"]
    peer.say(silence(700))
    await peer.until("response.done")
    assert encoder.calls == encoder.closed == 2


async def test_nothing_to_answer(connect: Connect) -> None:
    peer = connect()
    peer.send("response.create")
    assert (await error_of(peer))[0] == "nothing_to_answer"
    await goes_on(peer)


@pytest.mark.parametrize("pieces", [1, 40])
async def test_a_question_that_is_too_long_by_hand(connect: Connect, pieces: int) -> None:
    peer = await manual(connect(limits=SessionLimits(max_question_s=1.0)))
    long = tone(1100)
    peer.say(long, piece=-(-long.size // pieces))
    assert (await error_of(peer)) == ("audio_too_long", "audio")
    peer.send("input_audio_buffer.clear")
    await peer.until("input_audio_buffer.cleared")
    await goes_on(peer)


async def test_a_question_that_is_too_long_is_ended_by_voice_activity(connect: Connect) -> None:
    peer = connect(limits=SessionLimits(max_question_s=1.0), lm=FakeLM(text_ids("a")))
    peer.say(tone(2500))
    peer.say(silence(700))
    await peer.settled()
    assert len(peer.all("input_audio_buffer.committed")) == 3
    started = [event["audio_start_ms"] for event in peer.all("input_audio_buffer.speech_started")]
    stopped = [event["audio_end_ms"] for event in peer.all("input_audio_buffer.speech_stopped")]
    assert all(end - begin <= 1000 for begin, end in zip(started, stopped, strict=True))


@pytest.mark.parametrize(("ms", "code"), [(50, "audio_too_short"), (1500, "audio_too_long")])
async def test_a_recording_of_the_wrong_length(connect: Connect, ms: int, code: str) -> None:
    encoder = FakeEncoder()
    peer = connect(limits=SessionLimits(max_question_s=1.0), encoder=encoder)
    content = [{"type": "input_audio", "audio": base64.b64encode(WireFormat().encode(tone(ms))).decode()}]
    peer.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    assert await error_of(peer) == (code, "item.content.0.audio")
    assert encoder.calls == 0
    await goes_on(peer)


# Configuration


async def test_the_session_says_what_it_is(connect: Connect) -> None:
    peer = connect()
    session = (await peer.until("session.created"))["session"]
    assert (session["type"], session["model"], session["reply_language"]) == ("realtime", "fake", "auto")
    assert session["audio"]["output"]["voice"] == "default"
    assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
async def test_telephone_formats_both_ways(connect: Connect, kind: Any) -> None:
    wire, lm = WireFormat(kind, 8_000), FakeLM()
    peer = connect(lm=lm)
    peer.update(audio={"input": {"format": {"type": kind}}, "output": {"format": {"type": kind}}})
    session = (await peer.until("session.updated"))["session"]
    assert session["audio"]["input"]["format"] == session["audio"]["output"]["format"] == {"type": kind}
    peer.say(tone(400, 8_000), wire, piece=160)
    peer.say(silence(800, 8_000), wire, piece=160)
    done = await peer.until("response.done")
    assert done["response"]["audio"]["output"]["format"] == {"type": kind}
    audio = peer.audio(wire)
    assert audio.size == len(UNITS) * FakeDecoder().per_unit // 3
    assert 0.25 < np.abs(audio).max() < 0.35
    assert UNIT_BASE + 15 in lm.prompts[0]


async def test_a_response_may_change_the_voice_without_changing_the_format(connect: Connect) -> None:
    peer = connect()
    peer.update(audio={"output": {"format": {"type": "audio/pcmu"}}})
    peer.type_text("Hello?")
    peer.send("response.create", response={"audio": {"output": {"voice": "other"}}})
    output = (await peer.until("response.done"))["response"]["audio"]["output"]
    assert output == {"format": {"type": "audio/pcmu"}, "voice": "other"}
    peer.send("response.create", response={"audio": {"output": {"format": {"type": "audio/pcm"}}}})
    output = (await peer.until("response.done"))["response"]["audio"]["output"]
    assert output == {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "default"}


async def test_an_unknown_voice(connect: Connect) -> None:
    peer = await started(connect())
    peer.update(instructions="x", audio={"output": {"voice": "nobody"}})
    error = (await peer.until("error"))["error"]
    assert (error["code"], error["param"]) == ("invalid_value", "session.audio.output.voice")
    assert "default, other" in error["message"]
    peer.type_text("Hello?")
    peer.send("response.create", response={"audio": {"output": {"voice": "nobody"}}})
    assert await error_of(peer) == ("invalid_value", "response.audio.output.voice")
    peer.update(audio={"output": {"voice": "other"}})
    session = (await peer.until("session.updated"))["session"]
    assert (session["audio"]["output"]["voice"], session["instructions"]) == ("other", "")


async def test_another_model(connect: Connect) -> None:
    peer = connect()
    peer.update(model="gpt-realtime")
    assert await error_of(peer) == ("invalid_value", "session.model")
    peer.update(model="fake")
    await peer.until("session.updated")


async def test_a_transcription_shows_no_more_than_clients_know(connect: Connect) -> None:
    """Pipecat 1.14 takes these three and ends its receiving with a TypeError at any other."""
    created = await connect().until("session.created")
    assert set(created["session"]["audio"]["input"]["transcription"]) == {"model", "language", "prompt"}


@pytest.mark.parametrize("tracing", ["auto", {"workflow_name": "talk", "group_id": "1", "metadata": {"a": 1}}, None])
async def test_tracing_is_taken_and_nothing_is_traced(connect: Connect, tracing: object) -> None:
    peer = connect()
    peer.update(tracing=tracing)
    assert (await peer.until("session.updated"))["session"].get("tracing") is None


async def test_transcripts_can_be_turned_off_while_speaking(connect: Connect) -> None:
    peer = connect()
    peer.say(QUESTION)
    begin = await peer.until("input_audio_buffer.speech_started")
    peer.update(audio={"input": {"transcription": None}})
    session = (await peer.until("session.updated"))["session"]
    assert session["audio"]["input"]["transcription"] is None
    peer.say(silence(700))
    assert (await peer.until("input_audio_buffer.committed"))["item_id"] == begin["item_id"]
    await peer.until("response.done")
    assert [kind for kind in peer.kinds() if kind.startswith(HEARD)] == []
    peer.send("conversation.item.retrieve", item_id=begin["item_id"])
    item = (await peer.until("conversation.item.retrieved"))["item"]
    assert item["content"][0]["transcript"] == TRANSCRIPT


# Conversation


def ids_of(peer: Peer) -> dict[str, str | None]:
    return {event["item"]["id"]: event["previous_item_id"] for event in peer.all("conversation.item.added")}


async def test_items_at_a_place(connect: Connect) -> None:
    prompts = FakePrompts()
    peer = connect(prompts=prompts)
    answer = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]}
    peer.type_text("now?", id="q2")
    peer.send("conversation.item.create", previous_item_id="root", item=answer | {"id": "a1"})
    peer.send("conversation.item.create", previous_item_id="root", item=_user("before?", "q1"))
    peer.send("conversation.item.create", previous_item_id="q1", item=answer | {"id": "a0"})
    peer.send("conversation.item.create", previous_item_id="missing", item=_user("lost?", "q9"))
    assert await error_of(peer) == ("item_create_invalid_previous_item_id", "previous_item_id")
    assert ids_of(peer) == {"q2": None, "a1": None, "q1": None, "a0": "q1"}
    peer.send("response.create")
    await peer.until("response.done")
    assert prompts.histories == [[Exchange("before?", "yes")]]


def _user(text: str, item_id: str) -> dict[str, Any]:
    return {"id": item_id, "type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


async def test_retrieve_and_delete(connect: Connect) -> None:
    peer = connect()
    peer.type_text("Hello?", id="mine")
    peer.send("conversation.item.retrieve", item_id="mine")
    item = (await peer.until("conversation.item.retrieved"))["item"]
    assert item == _user("Hello?", "mine") | {"object": "realtime.item", "status": "completed"}
    peer.send("conversation.item.delete", item_id="mine")
    assert (await peer.until("conversation.item.deleted"))["item_id"] == "mine"
    for kind in ("delete", "retrieve"):
        peer.send(f"conversation.item.{kind}", item_id="mine")
        assert await error_of(peer) == (f"item_{kind}_invalid_item_id", "item_id")


async def test_an_id_that_is_taken(connect: Connect) -> None:
    peer, encoder = connect(), FakeEncoder()
    peer.type_text("Hello?", id="mine")
    peer.type_text("Hello again?", id="mine")
    assert await error_of(peer) == ("item_create_duplicate_item_id", "item.id")
    assert encoder.calls == 0
    await goes_on(peer)


async def test_a_long_conversation_forgets_its_oldest_items(connect: Connect) -> None:
    peer = connect(limits=SessionLimits(max_items=4))
    for number in range(6):
        peer.type_text("Hello?", id=f"q{number}")
    await goes_on(peer)
    assert [event["item_id"] for event in peer.all("conversation.item.deleted")] == ["q0", "q1", "q2"]


# Failures of stages


@pytest.mark.parametrize(
    "stages",
    [
        lambda failure: {"encoder": FakeEncoder(error=failure)},
        lambda failure: {"lm": FakeLM(fail_after=3, error=failure)},
        lambda failure: {"lm": FakeLM(fail_after=60, error=failure)},
        lambda failure: {"decoder": FakeDecoder(fail_after=0, error=failure)},
        lambda failure: {"decoder": FakeDecoder(fail_after=6, error=failure)},
    ],
    ids=["encoder", "lm at once", "lm later", "decoder at once", "decoder later"],
)
@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (EngineUnavailable, "engine_unavailable"),
        (RuntimeError, "internal_error"),
    ],
)
async def test_a_stage_fails(
    connect: Connect, stages: Callable[[Exception], dict[str, Any]], failure: type[Exception], code: str
) -> None:
    public = failure is EngineUnavailable
    peer = await manual(connect(**stages(failure("try again" if public else "secret: /weights exploded"))))
    peer.say(QUESTION)
    peer.send("input_audio_buffer.commit")
    for _ in range(2):
        peer.send("response.create")
        response = (await peer.until("response.done"))["response"]
        assert response["status"] == "failed"
        assert response["status_details"]["error"]["code"] == code
    assert "secret" not in json.dumps(peer.events)
    assert [outcome for _, outcome in peer.turns] == ["failed", "failed"]
    assert [error.code for error in peer.errors] == [code, code]


async def test_after_a_failure_the_session_goes_on(connect: Connect) -> None:
    lm = FakeLM(fail_after=3, error=EngineUnavailable("try again"))
    peer = connect(lm=lm)
    await ask(peer)
    await peer.until("response.done")
    lm.fail_after = None
    await goes_on(peer)


async def test_voice_activity_fails(connect: Connect) -> None:
    class Broken(FakeVoiceActivity):
        def probability(self, window: Pcm) -> float:
            raise RuntimeError("secret: onnx exploded")

    peer = connect(voice_activity=Broken)
    peer.say(tone(100))
    assert await error_of(peer) == ("internal_error", None)
    assert "secret" not in json.dumps(peer.events)
    await goes_on(peer)


async def test_an_encoder_that_fails_while_audio_comes(connect: Connect) -> None:
    class Dying(FakeEncoder):
        async def encode(self, audio: AsyncIterator[Pcm]) -> AsyncGenerator[list[int]]:
            async for _ in audio:
                raise EngineUnavailable("the encoder died")
            yield []

    peer = await manual(connect(encoder=Dying()))
    peer.say(tone(5000), piece=240)
    peer.send("input_audio_buffer.commit")
    peer.send("response.create")
    assert (await peer.until("response.done"))["response"]["status"] == "failed"


async def test_the_model_refuses_the_question(connect: Connect) -> None:
    peer = connect(prompts=FakePrompts(max_prompt_tokens=5))
    await ask(peer)
    details = (await peer.until("response.done"))["response"]["status_details"]
    assert details["error"]["type"] == "invalid_request_error"


# The peer goes away


@pytest.mark.parametrize("hang", ["listening", "encoder", "lm", "speaking"])
async def test_a_client_that_vanishes_leaves_nothing_behind(connect: Connect, hang: str) -> None:
    encoder, decoder = FakeEncoder(hang=hang == "encoder"), FakeDecoder()
    lm = FakeLM(hang_after=0) if hang == "lm" else half_an_answer()
    peer = connect(encoder=encoder, lm=lm, decoder=decoder)
    peer.say(QUESTION)
    if hang != "listening":
        peer.say(silence(700))
        await peer.until("response.created")
    await peer.settled()
    await peer.hang_up()
    assert (lm.active, decoder.active) == (0, 0)
    assert encoder.calls == encoder.closed == 1
    assert len(asyncio.all_tasks()) == 1


async def test_a_transport_that_breaks_ends_the_session(connect: Connect) -> None:
    class Broken(FakeDecoder):
        async def synthesize(self, cuts: AsyncIterator[UnitCut]) -> AsyncGenerator[Pcm]:
            peer.running.cancel()
            async for pcm in super().synthesize(cuts):
                yield pcm

    lm, decoder = FakeLM(), Broken()
    peer = connect(lm=lm, decoder=decoder)
    peer.type_text("Hello?")
    peer.send("response.create")
    with pytest.raises(asyncio.CancelledError):
        await peer.running
    assert (lm.active, decoder.active) == (0, 0)
    peer.running = asyncio.create_task(asyncio.sleep(0))


async def test_sessions_never_mix(connect: Connect) -> None:
    """Each question has a loudness of its own; the model says back which it heard and speaks as many units."""

    def echo(prompt: list[int]) -> list[int]:
        loudest = max(prompt[prompt.index(SPEECH_START) + 1 : prompt.index(SPEECH_END)]) - UNIT_BASE
        return answer_ids(f"Q{loudest}", (f"A{loudest}.", [loudest, 49] * 20))

    stages = {"encoder": FakeEncoder(), "lm": FakeLM(echo), "decoder": FakeDecoder(), "prompts": FakePrompts()}
    peers = [connect(**stages) for _ in range(4)]
    levels = [0.21, 0.41, 0.61, 0.81]
    for _ in range(2):
        for peer, level in zip(peers, levels, strict=True):
            peer.say(np.full(24 * 400, level, np.float32))
            peer.say(silence(700))
    for peer, level in zip(peers, levels, strict=True):
        unit = int(level * 50)
        await peer.until("response.done")
        await peer.until("response.done")
        heard = {event["transcript"] for event in peer.all(f"{HEARD}.completed")}
        assert heard <= {f"Q{unit}"}
        finished = [e["response"] for e in peer.all("response.done") if e["response"]["status"] == "completed"]
        assert finished
        said = {response["output"][0]["content"][0]["transcript"] for response in finished}
        assert said == {f"A{unit}."}
    histories = stages["prompts"].histories
    assert all(len({exchange.question for exchange in history}) <= 1 for history in histories)
    ids = [{event["event_id"] for event in peer.events} for peer in peers]
    assert len(set.union(*ids)) == sum(map(len, ids))


async def test_a_reply_language_that_the_model_cannot_be_told_is_refused_at_once(connect: Connect) -> None:
    for languages, wanted in ((("auto",), "zh"), (("auto", "en", "zh"), "fr")):
        peer = connect(reply_languages=languages)
        peer.send("session.update", session={"type": "realtime", "reply_language": wanted})
        error = (await peer.until("error"))["error"]
        assert (error["param"], error["code"]) == ("session.reply_language", "invalid_value")
        assert error["message"].endswith(f"accepted: {', '.join(languages)}")
    peer = connect(reply_languages=("auto",))
    peer.type_text("Hello?")
    peer.send("response.create", response={"reply_language": "en"})
    assert (await peer.until("error"))["error"]["param"] == "response.reply_language"
    peer.send("response.create")
    assert (await peer.until("response.done"))["response"]["status"] == "completed"
