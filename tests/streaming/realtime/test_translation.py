"""Translation sessions on fake stages. Every event is what `openai.types.realtime` says."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.realtime.realtime_translation_server_event import RealtimeTranslationServerEvent
from pydantic import TypeAdapter

from streaming.audio import WireFormat
from streaming.errors import InvalidRequest
from streaming.realtime.ga import Ga
from streaming.realtime.limits import SessionLimits, SessionModel
from streaming.realtime.translation import CLIENT_EVENTS, TranslationConfig, TranslationMachine
from streaming.stages import TurnOptions
from tests.fakes import TEXT, TRANSCRIPT, UNITS, FakeDecoder, FakeLM, FakePrompts, fake_stages
from tests.streaming.realtime.peer import Event, Peer, silence, tone

Connect = Callable[..., Peer]
_ANY: TypeAdapter[Any] = TypeAdapter(RealtimeTranslationServerEvent)


def check(event: Event) -> None:
    parsed = _ANY.validate_python(event)
    assert parsed.type == event["type"]
    assert not parsed.model_extra


def translating(machine: TranslationMachine, model: SessionModel, limits: SessionLimits) -> Peer:
    return Peer(machine, model.stages, check, limits=limits, dialect=Ga(CLIENT_EVENTS))


@pytest.fixture
async def connect() -> AsyncGenerator[Connect]:
    peers: list[Peer] = []

    def opened(*, limits: SessionLimits | None = None, config: TranslationConfig | None = None, **stages: Any) -> Peer:
        model = SessionModel("fake", ("default",), fake_stages(**stages))
        limits = limits or SessionLimits()
        peers.append(translating(TranslationMachine(model, limits, config), model, limits))
        return peers[-1]

    yield opened
    for peer in peers:
        await peer.hang_up()


def say(peer: Peer, ms: int, *, loud: bool = True) -> None:
    pcm = tone(ms) if loud else silence(ms)
    peer.send("session.input_audio_buffer.append", audio=base64.b64encode(WireFormat().encode(pcm)).decode())


def told(peer: Peer, what: str) -> str:
    return "".join(event["delta"] for event in peer.all(f"session.{what}.delta"))


async def test_phrase_by_phrase_until_the_session_is_closed(connect: Connect) -> None:
    prompts = FakePrompts()
    peer = connect(prompts=prompts)
    created = await peer.until("session.created")
    assert created["session"]["audio"]["output"]["language"] == "en"
    peer.send("session.update", session={"audio": {"output": {"language": "zh"}}})
    assert (await peer.until("session.updated"))["session"]["audio"]["output"]["language"] == "zh"
    for loud, ms in ((True, 400), (False, 500), (True, 400)):
        say(peer, ms, loud=loud)
    peer.send("session.close")
    await peer.until("session.closed")
    assert told(peer, "output_transcript") == TEXT * 2
    assert prompts.options[-1] == TurnOptions(task="translate", reply_language="zh")
    spoken = b"".join(base64.b64decode(event["delta"]) for event in peer.all("session.output_audio.delta"))
    assert len(spoken) == 2 * len(UNITS) * 960 * 2
    assert not peer.all("session.input_transcript.delta")
    marks = [event["elapsed_ms"] for event in peer.events if "elapsed_ms" in event]
    assert marks == sorted(marks) and all(mark % 200 == 0 for mark in marks)
    assert [outcome for _, outcome in peer.turns] == ["completed"] * 2
    await peer.running


async def test_every_phrase_is_sent_to_its_last_sample(connect: Connect) -> None:
    """What the resampler holds back at 22.05 kHz is part of it."""
    peer = connect(decoder=FakeDecoder(sample_rate=22_050, per_unit=882))
    for loud, ms in ((True, 400), (False, 500), (True, 400)):
        say(peer, ms, loud=loud)
    peer.send("session.close")
    await peer.until("session.closed")
    spoken = b"".join(base64.b64decode(event["delta"]) for event in peer.all("session.output_audio.delta"))
    assert len(spoken) == 2 * len(UNITS) * 960 * 2


async def test_a_session_that_is_over_ends_though_its_phrase_does_not(connect: Connect) -> None:
    peer = connect(lm=FakeLM(hang_after=5), limits=SessionLimits(max_session_s=0.2))
    say(peer, 400)
    say(peer, 500, loud=False)
    assert (await peer.until("error"))["error"]["code"] == "session_expired"
    await peer.running


async def test_what_was_said_is_told_on_request(connect: Connect) -> None:
    peer = connect(config=TranslationConfig.model_validate({"audio": {"input": {"transcription": {"model": "x"}}}}))
    say(peer, 400)
    peer.send("session.close")
    await peer.until("session.closed")
    assert told(peer, "input_transcript") == TRANSCRIPT


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "session.update", "session": {"audio": {"output": {"language": "fr"}}}}, "invalid_value", "session.audio.output.language"),
        ({"type": "session.update", "session": {"instructions": "x"}}, "unknown_parameter", "session.instructions"),
        ({"type": "session.input_audio_buffer.append", "audio": "?"}, "invalid_audio", "audio"),
        ({"type": "response.create"}, "unknown_event_type", "type"),
    ],
)  # fmt: skip
async def test_bad_events(connect: Connect, event: Event, code: str, param: str) -> None:
    peer = connect()
    peer.send(**{"kind": event["type"], **{k: v for k, v in event.items() if k != "type"}}, event_id="mine")
    error = (await peer.until("error"))["error"]
    assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
    say(peer, 400)
    peer.send("session.close")
    await peer.until("session.closed")
    assert told(peer, "output_transcript") == TEXT


async def test_a_phrase_that_fails_does_not_end_the_session(connect: Connect) -> None:
    lm = FakeLM(fail_after=3)
    peer = connect(lm=lm)
    say(peer, 400)
    say(peer, 500, loud=False)
    error = (await peer.until("error"))["error"]
    assert error["code"] == "internal_error" and "secret" not in error["message"]
    lm.fail_after = None
    say(peer, 400)
    peer.send("session.close")
    await peer.until("session.closed")
    assert told(peer, "output_transcript").endswith(TEXT)


async def test_its_time_is_limited(connect: Connect) -> None:
    peer = connect(limits=SessionLimits(max_session_s=0.1))
    assert (await peer.until("error"))["error"]["code"] == "session_expired"
    await peer.running


AUDIO = {loud: base64.b64encode(WireFormat().encode(tone(160) if loud else silence(160))).decode() for loud in (0, 1)}
messages: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([0, 1, 1]).map(lambda loud: {"type": "session.input_audio_buffer.append", "audio": AUDIO[loud]}),
    st.sampled_from(["zh", "en", "fr", None, 7]).map(
        lambda language: {"type": "session.update", "session": {"audio": {"output": {"language": language}}}}
    ),
    st.sampled_from(
        [
            {},
            {"type": "session.update"},
            {"type": "response.create"},
            {"type": "session.input_audio_buffer.append", "audio": "?"},
        ]
    ),
    st.sampled_from([0, 1, 20]),
)


@settings(max_examples=100)
@given(st.lists(messages, max_size=30), st.sampled_from([None, 3, 60]), st.booleans())
def test_whatever_comes_the_session_can_be_closed(script: list[Any], fail_after: int | None, closes: bool) -> None:
    async def run() -> None:
        lm = FakeLM(fail_after=fail_after, per_step=20)
        model = SessionModel("fake", ("default",), fake_stages(lm=lm))
        peer = translating(TranslationMachine(model, SessionLimits()), model, SessionLimits())
        for message in script:
            if isinstance(message, int):
                await peer.settled(message)
            else:
                peer.raw(json.dumps(message))
        if closes:
            peer.send("session.close")
            await peer.until("session.closed")
        await peer.hang_up()
        assert lm.active == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


async def test_a_model_that_cannot_translate() -> None:
    class Without(FakePrompts):
        def speech_prompt(self, options: TurnOptions, *rest: Any) -> tuple[list[int], list[int]]:
            raise InvalidRequest("not learned", code="unsupported_task", param="task")

    model = SessionModel("fake", ("default",), fake_stages(prompts=Without()))
    with pytest.raises(InvalidRequest) as refused:
        TranslationMachine(model, SessionLimits())
    assert refused.value.code == "unsupported_task"
