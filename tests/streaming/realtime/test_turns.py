"""Spoken and typed turns of a session: what they tell, and what the model is told."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable

import numpy as np
import pytest

from streaming.stages import Exchange, Pcm
from tests.fakes import (
    ANSWER,
    SPEECH_END,
    SPEECH_START,
    TEXT,
    TRANSCRIPT,
    UNITS,
    FakeDecoder,
    FakeEncoder,
    FakeLM,
    FakePrompts,
    text_ids,
    unit_ids,
)
from tests.streaming.realtime.dialogue import (
    CLOSING,
    COMMIT,
    HEARD,
    OPENING,
    QUESTION,
    USER,
    ask,
    half_an_answer,
    manual,
    without_deltas,
)
from tests.streaming.realtime.peer import Peer, silence, tone

Connect = Callable[..., Peer]


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


async def test_an_answer_is_sent_to_its_last_sample(connect: Connect) -> None:
    """What the resampler holds back at 22.05 kHz is part of it."""
    peer = connect(decoder=FakeDecoder(sample_rate=22_050, per_unit=882))
    await ask(peer)
    await peer.until("response.done")
    assert peer.audio().size == len(UNITS) * 960
