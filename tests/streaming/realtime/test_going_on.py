"""Turns that go on after their end, and settings that change while somebody speaks."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from streaming.errors import EngineUnavailable
from streaming.interleave import TextDelta, TranscriptDelta, TranscriptDone
from streaming.realtime import effects as do
from streaming.realtime import events as out
from streaming.realtime.limits import SessionLimits
from tests.fakes import UNIT_BASE, FakeEncoder, FakeLM
from tests.streaming.realtime.conftest import Connect
from tests.streaming.realtime.peer import silence, tone
from tests.streaming.realtime.test_machine import client, kinds
from tests.streaming.realtime.test_speculation import END, PAUSE, Session


def goes_on(session: Session) -> list[do.Output]:
    """The turn is over, its answer has words but no sound yet, and the user goes on; until the next pause."""
    session.says(TranscriptDelta("Two"), TranscriptDone(), TextDelta("It"))
    session.hear(END)
    session.hear(tone(400))
    session.closed(cancelled=True)
    return session.hear(PAUSE)


def test_the_beginning_of_a_question_is_no_history_of_it() -> None:
    (start,) = (each for each in goes_on(Session()) if isinstance(each, do.StartTurn))
    assert start.hidden
    assert list(start.question.history) == []


@pytest.mark.parametrize("how", [{}, {"cancelled": True}, {"failure": EngineUnavailable("it died")}])
def test_an_answer_that_is_over_without_a_sound_is_over(how: dict[str, Any]) -> None:
    session = Session()
    session.hear(END)
    if "cancelled" in how:
        session.machine.receive(client("response.cancel"))
    session.closed(**how)
    for _ in range(3):
        session.hear(silence(900))
    assert out.InputSpeechStarted in kinds(session.hear(tone(400)))
    told = kinds([*session.hear(PAUSE), *session.hear(END)])
    assert out.ItemDeleted not in told
    assert told.count(out.InputCommitted) == told.count(out.ResponseCreated) == 1
    assert len(session.machine.conversation) == 4


def test_who_no_longer_interrupts_asks_another_question() -> None:
    session = Session()
    session.hear(END)
    vad = {"type": "server_vad", "interrupt_response": False}
    session.machine.receive(
        client("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": vad}}})
    )
    assert do.CancelTurn not in kinds(session.hear(tone(400)))
    assert out.ItemDeleted not in kinds(session.hear(END))
    assert len(session.machine.conversation) == 3


def test_a_beginning_stays_one_while_turn_detection_changes() -> None:
    session = Session()
    goes_on(session)
    for vad in (None, {"type": "server_vad"}):
        session.machine.receive(
            client("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": vad}}})
        )
    session.hear(tone(400))
    told = session.hear(END)
    assert kinds(told).count(out.ItemDeleted) == kinds(told).count(out.InputCommitted) == 1
    assert [item.role for item in session.machine.conversation._items] == ["assistant", "user", "assistant"]


# In a session


def heard_units(lm: FakeLM) -> list[int]:
    return [token - UNIT_BASE for token in lm.prompts[-1] if UNIT_BASE <= token < UNIT_BASE + 50]


async def test_who_goes_on_before_anything_was_heard_asks_one_question(connect: Connect) -> None:
    lm, encoder = FakeLM(hang_after=0), FakeEncoder(ahead=5)
    peer = connect(lm=lm, encoder=encoder)
    first, rest = np.concatenate([tone(400), silence(900)]), np.concatenate([tone(400, level=0.2), silence(900)])
    peer.say(first)
    await peer.until("response.created")
    begun = peer.all("input_audio_buffer.committed")[0]["item_id"]
    peer.say(rest)
    done = await peer.until("response.done")
    assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    lm.hang_after = None
    lm.released.set()
    deleted = await peer.until("conversation.item.deleted")
    committed = await peer.until("input_audio_buffer.committed")
    assert deleted["item_id"] == begun != committed["item_id"]
    await peer.until("response.done")
    assert len(set(heard_units(lm))) >= 3, "both halves were asked, and the pause between them"
    assert encoder.calls == 1, "what is one question is encoded as one"
    assert [item.role for item in peer.machine.conversation._items] == ["assistant", "user", "assistant"]  # type: ignore[attr-defined]


async def test_who_has_heard_of_the_answer_asks_another_question(connect: Connect) -> None:
    lm, encoder = FakeLM(), FakeEncoder()
    peer = connect(lm=lm, encoder=encoder)
    peer.say(np.concatenate([tone(400), silence(900)]))
    await peer.until("response.done")
    peer.say(np.concatenate([silence(600), tone(400, level=0.2), silence(900)]))
    await peer.until("response.done")
    assert len(peer.all("input_audio_buffer.committed")) == 2
    assert not peer.all("conversation.item.deleted")
    assert encoder.calls == 2


async def test_who_begins_too_soon_to_have_reacted_goes_on(connect: Connect) -> None:
    """The answer was sent at once; nobody reacts to what began less than 200 ms ago."""
    peer = connect(encoder=(encoder := FakeEncoder()))
    peer.say(np.concatenate([tone(400), silence(560)]))
    await peer.until("response.output_audio.delta")
    peer.say(np.concatenate([tone(400, level=0.2), silence(900)]))
    await peer.until("conversation.item.deleted")
    await peer.until("input_audio_buffer.committed")
    await peer.until("response.done")
    assert encoder.calls == 1


async def test_a_turn_that_goes_on_stays_within_what_a_question_may_have(connect: Connect) -> None:
    lm = FakeLM(hang_after=0)
    peer = connect(lm=lm, limits=SessionLimits(max_question_s=2.0))
    peer.say(np.concatenate([tone(700), silence(700)]))
    await peer.until("response.created")
    peer.say(np.concatenate([tone(3000, level=0.2)]))
    stopped = [await peer.until("input_audio_buffer.speech_stopped") for _ in range(1)]
    started = peer.all("input_audio_buffer.speech_started")[1]
    assert stopped[0]["audio_end_ms"] - started["audio_start_ms"] <= 2000
    lm.released.set()
    await peer.until("input_audio_buffer.committed")


# Settings that change while somebody speaks


@pytest.mark.parametrize(
    "change",
    [
        {"turn_detection": {"type": "server_vad", "interrupt_response": False}},
        {"turn_detection": {"type": "server_vad", "silence_duration_ms": 700, "threshold": 0.6}},
        {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}},
        {"format": {"type": "audio/pcm", "rate": 24000}, "transcription": None},
    ],
)
async def test_what_was_said_before_a_change_is_part_of_the_question(connect: Connect, change: dict[str, Any]) -> None:
    lm = FakeLM()
    peer = connect(lm=lm, encoder=(encoder := FakeEncoder()))
    peer.say(tone(400))
    started = await peer.until("input_audio_buffer.speech_started")
    peer.update(audio={"input": change})
    await peer.until("session.updated")
    peer.say(np.concatenate([tone(400, level=0.2), silence(1500)]))
    stopped = await peer.until("input_audio_buffer.speech_stopped")
    committed = await peer.until("input_audio_buffer.committed")
    assert started["item_id"] == stopped["item_id"] == committed["item_id"]
    await peer.until("response.done")
    assert len(set(heard_units(lm))) >= 2 and encoder.calls == 1


async def test_who_takes_turns_into_their_own_hands_keeps_what_was_said(connect: Connect) -> None:
    lm = FakeLM()
    peer = connect(lm=lm)
    peer.say(tone(400))
    started = await peer.until("input_audio_buffer.speech_started")
    peer.update(audio={"input": {"turn_detection": None}})
    stopped = await peer.until("input_audio_buffer.speech_stopped")
    await peer.until("session.updated")
    peer.say(tone(400, level=0.2))
    peer.send("input_audio_buffer.commit")
    committed = await peer.until("input_audio_buffer.committed")
    assert started["item_id"] == stopped["item_id"] == committed["item_id"]
    peer.send("response.create")
    await peer.until("response.done")
    assert len(set(heard_units(lm))) >= 2


async def test_who_gives_turns_out_of_their_hands_keeps_what_was_said(connect: Connect) -> None:
    lm = FakeLM()
    peer = connect(lm=lm)
    peer.update(audio={"input": {"turn_detection": None}})
    peer.say(tone(400))
    peer.update(audio={"input": {"turn_detection": {"type": "server_vad"}}})
    peer.say(np.concatenate([tone(400, level=0.2), silence(900)]))
    await peer.until("response.done")
    assert len(set(heard_units(lm))) >= 2
    assert len(peer.all("input_audio_buffer.committed")) == 1


@pytest.mark.parametrize("ends", ["input_audio_buffer.clear", "input_audio_buffer.commit"])
async def test_a_turn_that_began_has_its_end_however_it_ends(connect: Connect, ends: str) -> None:
    peer = connect()
    peer.say(tone(400))
    started = await peer.until("input_audio_buffer.speech_started")
    peer.send(ends)
    stopped = await peer.until("input_audio_buffer.speech_stopped")
    assert stopped["item_id"] == started["item_id"]
    await peer.until("input_audio_buffer.cleared" if "clear" in ends else "input_audio_buffer.committed")
    await asyncio.sleep(0)
