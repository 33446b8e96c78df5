"""Turn detection by a model, idle users, sessions that only write down, and the end of a session's time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from streaming.realtime.limits import SessionLimits, Stop
from tests.fakes import TRANSCRIPT, UNITS, FakeDecoder, FakeEncoder, FakeEndOfTurn, FakeLM, answer_ids
from tests.streaming.realtime.peer import Peer, silence, tone

Connect = Callable[..., Peer]

SEMANTIC = {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}}
HEARD = "conversation.item.input_audio_transcription"


async def test_a_pause_that_ends_nothing(connect: Connect) -> None:
    judge = FakeEndOfTurn((0.0, 1.0))
    peer = connect(end_of_turn=judge)
    peer.update(**SEMANTIC)
    for pcm in (tone(400), silence(900), tone(400), silence(400)):
        peer.say(pcm)
    stopped = await peer.until("input_audio_buffer.speech_stopped")
    assert 2000 <= stopped["audio_end_ms"] <= 2100
    assert len(judge.asked) == 2
    assert len(judge.asked[1]) == judge.window_samples
    await peer.until("response.done")
    assert len(peer.all("input_audio_buffer.committed")) == 1


async def test_a_speaker_who_never_seems_to_finish(connect: Connect) -> None:
    peer = connect(end_of_turn=FakeEndOfTurn((0.0,)))
    peer.update(**SEMANTIC)
    peer.say(tone(400))
    peer.say(silence(2300))
    stopped = await peer.until("input_audio_buffer.speech_stopped")
    assert 2400 <= stopped["audio_end_ms"] <= 2460


async def test_a_judge_that_fails_leaves_it_to_silence(connect: Connect) -> None:
    class Broken(FakeEndOfTurn):
        async def finished(self, audio: Any) -> float:
            raise RuntimeError("secret")

    peer = connect(end_of_turn=Broken())
    peer.update(**SEMANTIC)
    peer.say(tone(400))
    peer.say(silence(2300))
    assert (await peer.until("input_audio_buffer.speech_stopped"))["audio_end_ms"] >= 2400
    assert not peer.all("error")


@pytest.mark.parametrize("settings", [{}, SEMANTIC], ids=["server_vad", "semantic_vad"])
async def test_a_microphone_that_stops_dead_ends_its_turn(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    monkeypatch.setattr("streaming.realtime.session.STALLED_S", 0.1)
    peer = connect(end_of_turn=FakeEndOfTurn((0.0,)))
    peer.update(**settings)
    peer.say(tone(400))
    await peer.until("input_audio_buffer.committed")
    done = await peer.until("response.done")
    assert done["response"]["status"] == "completed"
    peer.say(tone(400))
    peer.say(silence(100))
    await peer.until("input_audio_buffer.committed")


async def test_nobody_looks_at_a_microphone_while_nobody_speaks(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.realtime.session.STALLED_S", 0.008)
    peer = connect()
    looks = 0

    async def look(delay_s: float, sleep: Callable[[float], Any] = asyncio.sleep) -> None:
        nonlocal looks
        looks += delay_s == 0.001
        await sleep(delay_s)

    monkeypatch.setattr("streaming.realtime.session.asyncio.sleep", look)
    peer.say(silence(400))
    await peer.until("session.created")
    await asyncio.to_thread(time.sleep, 0.05)
    assert looks == 0
    peer.say(tone(400))
    await peer.until("input_audio_buffer.committed")
    assert looks > 0


async def test_a_client_that_waits_for_the_server_has_not_stalled(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.realtime.session.STALLED_S", 0.01)
    monkeypatch.setattr("streaming.realtime.machine.FAREWELL_S", 0.1)
    peer = connect(encoder=FakeEncoder(hang=True), limits=SessionLimits(max_session_s=0.5))
    for _ in range(200):  # more than wait for an encoder
        peer.say(tone(100))
    await peer.until("input_audio_buffer.speech_started")
    async with asyncio.timeout(5):
        await peer.running
    assert not peer.all("input_audio_buffer.speech_stopped")


async def test_a_bundle_without_such_a_model(connect: Connect) -> None:
    peer = connect(end_of_turn=None)
    peer.update(**SEMANTIC)
    error = (await peer.until("error"))["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", "session.audio.input.turn_detection.type")
    peer.say(tone(400))
    await peer.until("input_audio_buffer.speech_started")


async def test_an_idle_user_is_spoken_to(connect: Connect) -> None:
    peer = connect(decoder=FakeDecoder(per_unit=10))
    vad = {"type": "server_vad", "idle_timeout_ms": 100}
    peer.update(audio={"input": {"turn_detection": vad}})
    peer.say(silence(1500))
    peer.type_text("Hello?")
    peer.send("response.create")
    await peer.until("response.done")
    fired = await peer.until("input_audio_buffer.timeout_triggered")
    assert fired["audio_end_ms"] - fired["audio_start_ms"] >= 100
    assert (await peer.until("input_audio_buffer.committed"))["item_id"] == fired["item_id"]
    await peer.until("response.done")
    peer.update(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": None}}})
    await peer.until("session.updated")
    before = len(peer.all("input_audio_buffer.timeout_triggered"))
    await asyncio.sleep(0.3)
    assert len(peer.all("input_audio_buffer.timeout_triggered")) == before


async def test_who_speaks_is_not_idle(connect: Connect) -> None:
    peer = connect(decoder=FakeDecoder(per_unit=10))
    peer.update(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 1000}}})
    peer.type_text("Hello?")
    peer.send("response.create")
    await peer.until("response.done")
    peer.say(tone(300))
    await peer.until("input_audio_buffer.speech_started")
    await asyncio.sleep(1.2)
    assert not peer.all("input_audio_buffer.timeout_triggered")


async def test_a_session_ends_when_its_time_is_over(connect: Connect) -> None:
    peer = connect(lm=FakeLM(hang_after=60), limits=SessionLimits(max_session_s=0.2))
    created = (await peer.until("session.created"))["session"]
    assert isinstance(created["expires_at"], int)
    peer.type_text("Hello?")
    peer.send("response.create")
    done = (await peer.until("response.done"))["response"]
    assert (done["status"], done["status_details"]["error"]["code"]) == ("failed", "session_expired")
    assert (await peer.until("error"))["error"]["code"] == "session_expired"
    await peer.running


async def test_an_answer_that_takes_too_long_fails_and_the_session_goes_on(connect: Connect) -> None:
    peer = connect(lm=FakeLM(hang_after=5), limits=SessionLimits(max_turn_s=0.2))
    for _ in range(2):
        peer.type_text("Hello?")
        peer.send("response.create")
        done = (await peer.until("response.done"))["response"]
        assert (done["status"], done["status_details"]["error"]["code"]) == ("failed", "turn_timeout")


async def test_a_session_ends_though_the_encoder_is_stuck(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.realtime.machine.FAREWELL_S", 0.1)
    peer = connect(encoder=FakeEncoder(hang=True), limits=SessionLimits(max_session_s=0.5))
    peer.update(audio={"input": {"turn_detection": None}})
    for _ in range(100):  # more pieces than wait for an encoder, so that one of them is being handled at the end
        peer.say(tone(100))
    async with asyncio.timeout(5):
        await peer.running
    assert [event["error"]["code"] for event in peer.all("error")] == ["session_expired"]


async def test_a_session_ends_though_a_stage_never_closes(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer cannot be done, so nothing more is told; but the session goes."""
    monkeypatch.setattr("streaming.realtime.machine.FAREWELL_S", 0.1)
    released = asyncio.Event()

    class Stubborn(FakeLM):
        async def generate(self, prompt: Any, sampling: Any) -> AsyncGenerator[list[int]]:
            yield [1000 + ord("a")]
            while not released.is_set():
                try:
                    await released.wait()
                except asyncio.CancelledError:
                    asyncio.get_running_loop().call_later(0.3, released.set)

    peer = connect(lm=Stubborn(), limits=SessionLimits(max_session_s=0.2))
    peer.type_text("Hello?")
    peer.send("response.create")
    async with asyncio.timeout(5):
        await peer.running
    assert not peer.all("response.done")


# Transcription


def transcribing(**audio: Any) -> dict[str, Any]:
    return {"type": "transcription", "audio": {"input": audio}}


async def becomes(peer: Peer, session: dict[str, Any]) -> None:
    peer.send("session.update", session=session)
    updated = await peer.until("session.updated")
    assert updated["session"]["type"] == "transcription"
    assert updated["session"]["object"] == "realtime.transcription_session"


async def test_what_is_heard_is_written_down_and_not_answered(connect: Connect) -> None:
    lm = FakeLM(answer_ids(TRANSCRIPT, ("No.", UNITS)))
    decoder = FakeDecoder()
    peer = connect(lm=lm, decoder=decoder)
    await becomes(peer, transcribing(transcription={"model": "x", "delay": "xhigh"}))
    for _ in range(2):
        peer.say(tone(400))
        peer.say(silence(600))
        assert (await peer.until(f"{HEARD}.completed"))["transcript"] == TRANSCRIPT
    assert not peer.protocol.responses and not decoder.cuts
    assert [event["delta"] for event in peer.all(f"{HEARD}.delta")] == [TRANSCRIPT] * 2
    assert len(peer.turns) == 2


def growing(ids: list[int]) -> list[int]:
    """More of the sentence is understood, the more units there are; the last word is always uncertain."""
    units = sum(10 <= token < 60 for token in ids)
    words = "one two three four five six seven eight nine ten".split()[: max(1, units // 4)]
    return answer_ids(" ".join([*words[:-1], words[-1] + ("" if units % 2 else "ty")]))


def stairs(steps: int) -> Any:
    import numpy as np

    return np.concatenate([tone(20, level=0.1 + 0.02 * (n % 40)) for n in range(steps)])


async def test_captions_while_the_user_speaks(connect: Connect) -> None:
    peer = connect(lm=FakeLM(growing))
    await becomes(peer, transcribing(turn_detection=None, transcription={"delay": "minimal"}))
    for start in range(0, 44, 4):
        peer.say(stairs(44)[start * 480 : (start + 4) * 480])
        await peer.settled(1200)
    live = "".join(event["delta"] for event in peer.all(f"{HEARD}.delta"))
    assert live and not peer.all("input_audio_buffer.committed")
    peer.send("input_audio_buffer.commit")
    done = await peer.until(f"{HEARD}.completed")
    assert done["transcript"].startswith(live)
    assert {event["item_id"] for event in peer.all(f"{HEARD}.delta")} == {done["item_id"]}
    assert done["item_id"] == peer.all("input_audio_buffer.committed")[0]["item_id"]


async def test_what_is_cleared_is_not_written_down(connect: Connect) -> None:
    peer = connect()
    await becomes(peer, transcribing(turn_detection=None))
    peer.say(tone(400))
    peer.send("input_audio_buffer.clear")
    await peer.until("input_audio_buffer.cleared")
    await peer.settled()
    assert not peer.all(f"{HEARD}.completed")


class Held(FakeLM):
    """Says nothing before `open` is set; `most`: how many waited for it at once."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.waiting = self.most = 0

    async def generate(self, prompt: Any, sampling: Any) -> AsyncGenerator[list[int]]:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            await self.open.wait()
            async for ids in super().generate(prompt, sampling):
                yield ids
        finally:
            self.waiting -= 1


async def test_speech_faster_than_it_can_be_written_down_is_held_back(connect: Connect) -> None:
    lm = Held()
    peer = connect(lm=lm)
    await becomes(peer, transcribing())
    for _ in range(7):
        peer.say(tone(400))
        peer.say(silence(600))
    await peer.settled()
    assert len(peer.all("input_audio_buffer.committed")) == 4
    assert lm.most == 2
    lm.open.set()
    for _ in range(7):
        await peer.until(f"{HEARD}.completed")
    assert lm.most == 2


async def test_a_client_that_leaves_while_the_server_stops_and_writes_down_what_it_said(connect: Connect) -> None:
    lm, stop, failures = FakeLM(hang_after=5), Stop(), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, failure: failures.append(failure))
    peer = connect(lm=lm, stop=stop)
    await becomes(peer, transcribing())
    peer.say(tone(400))
    peer.say(silence(600))
    await peer.until("conversation.item.done")
    await peer.settled()
    assert lm.active
    stop.ask(5.0)
    await peer.settled()
    await peer.hang_up()
    assert not failures


async def test_a_transcription_that_fails(connect: Connect) -> None:
    peer = connect(lm=FakeLM(fail_after=3))
    await becomes(peer, transcribing(turn_detection=None))
    peer.say(tone(400))
    peer.send("input_audio_buffer.commit")
    failed = await peer.until(f"{HEARD}.failed")
    assert failed["error"]["code"] == "internal_error" and "secret" not in failed["error"]["message"]


async def test_sessions_keep_their_type_once_something_was_said(connect: Connect) -> None:
    peer = connect()
    await becomes(peer, transcribing())
    peer.send("response.create")
    assert (await peer.until("error"))["error"]["code"] == "wrong_session_type"
    peer.update(instructions="Be brief.")
    assert (await peer.until("session.updated"))["session"]["type"] == "realtime"
    peer.type_text("Hello?")
    peer.send("session.update", session=transcribing())
    assert (await peer.until("error"))["error"]["code"] == "wrong_session_type"


async def test_voices_of_the_protocol_stand_for_the_model_s(connect: Connect) -> None:
    peer = connect()
    peer.update(audio={"output": {"voice": "marin"}})
    assert (await peer.until("session.updated"))["session"]["audio"]["output"]["voice"] == "default"
    peer.update(audio={"output": {"voice": {"id": "other"}}})
    assert (await peer.until("session.updated"))["session"]["audio"]["output"]["voice"] == "other"


async def test_null_means_as_it_is(connect: Connect) -> None:
    peer = connect()
    peer.update(instructions="Be brief.", tools=None, output_modalities=["text"])
    await peer.until("session.updated")
    peer.update(instructions=None, output_modalities=None, tracing="auto")
    session = (await peer.until("session.updated"))["session"]
    assert (session["instructions"], session["output_modalities"]) == ("Be brief.", ["text"])


async def test_an_answer_that_meets_its_limit_is_incomplete(connect: Connect) -> None:
    peer = connect()
    peer.type_text("Hello?")
    peer.send("response.create", response={"max_output_tokens": 60})
    done = (await peer.until("response.done"))["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
    assert done["output"][0]["status"] == "incomplete"
