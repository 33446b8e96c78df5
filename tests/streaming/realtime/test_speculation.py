"""Turns that are answered before it is certain that they are over, and turns that go on after their end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from streaming.audio import AudioFrame
from streaming.errors import EngineUnavailable
from streaming.headroom import Headroom
from streaming.interleave import TextDelta, TranscriptDelta, TranscriptDone
from streaming.realtime import effects as do
from streaming.realtime import events as out
from streaming.realtime import messages as msg
from streaming.realtime.config import SessionConfig
from streaming.realtime.limits import SessionLimits, SessionModel
from streaming.realtime.machine import RealtimeMachine
from streaming.report import TurnReport
from streaming.stages import Pcm
from streaming.turn import AudioDelta
from tests.fakes import TRANSCRIPT, UNIT_BASE, FakeDecoder, FakeEncoder, FakeLM, fake_stages
from tests.streaming.realtime.dialogue import CLOSING, COMMIT, HEARD, OPENING, without_deltas
from tests.streaming.realtime.peer import Peer, silence, tone
from tests.streaming.realtime.test_machine import client, hear, kinds

Connect = Callable[..., Peer]

PAUSE = silence(220)
END = silence(600)
SPOKEN = [out.InputSpeechStopped, out.InputCommitted, out.ItemAdded, out.ItemDone, out.ResponseCreated]


class Session:
    """A machine that was spoken to until it made a pause: `turn_id` is answered in the dark."""

    def __init__(self, *, limits: SessionLimits | None = None, end_of_turn: bool = True, **settings: Any) -> None:
        stages = fake_stages(**({} if end_of_turn else {"end_of_turn": None}))
        config = SessionConfig.model_validate({"type": "realtime", **settings})
        self.machine = RealtimeMachine(SessionModel("fake", ("default",), stages), limits or SessionLimits(), config)
        self.machine.receive(do.Opened())
        self.machine.receive(hear(tone(400)))
        self.paused = self.machine.receive(hear(PAUSE))
        started = [each for each in self.paused if isinstance(each, do.StartTurn)]
        self.turn_id = started[0].turn_id if started else ""

    def says(self, *events: Any) -> list[do.Output]:
        return [out for each in events for out in self.machine.receive(do.TurnProgress(self.turn_id, each))]

    def hear(self, pcm: Pcm) -> list[do.Output]:
        return self.machine.receive(hear(pcm))

    def closed(self, **how: Any) -> list[do.Output]:
        return self.machine.receive(do.TurnClosed(self.turn_id, TurnReport(), **how))

    def stops_after_ms(self) -> int:
        """Silence after which the turn ends, the pause included."""
        for number in range(1, 300):
            for output in self.machine.receive(msg.Append(audio=AudioFrame(silence(10), 24_000))):
                if isinstance(output, out.InputSpeechStopped):
                    return 220 + 10 * number
        raise AssertionError("it never ends")


def test_a_pause_is_answered_in_the_dark() -> None:
    session = Session()
    assert kinds(session.paused) == [do.StartTurn, do.Peek, do.JudgePause]
    start, peek, judge = (each for each in session.paused if not isinstance(each, do.Hear))
    assert isinstance(start, do.StartTurn) and start.hidden
    assert isinstance(peek, do.Peek) and isinstance(judge, do.JudgePause)
    assert peek.beside == judge.beside == start.turn_id
    assert (
        session.says(TranscriptDelta("Two?"), TranscriptDone(), TextDelta("It"), AudioDelta(np.ones(7, np.float32)))
        == []
    )
    assert not session.machine.waiting
    assert len(session.machine.conversation) == 0


def test_it_is_told_once_the_turn_is_over() -> None:
    session = Session()
    session.says(TranscriptDelta("Two?"), TranscriptDone(), TextDelta("It"), AudioDelta(np.ones(7, np.float32)))
    told = [each for each in session.hear(END) if not isinstance(each, do.Peek)]
    assert kinds(told)[:5] == SPOKEN
    assert kinds(told)[8:] == [
        out.ContentPartAdded,
        do.ShowTurn,
        out.InputTranscriptDelta,
        out.InputTranscriptCompleted,
        out.OutputTranscriptDelta,
        out.OutputAudioDelta,
    ]
    assert kinds(session.says(TextDelta(" is five."))) == [out.OutputTranscriptDelta]
    assert kinds(session.closed())[-1] is out.ResponseDone
    question, answer = session.machine.conversation._items
    assert (question.text, answer.text) == ("Two?", "It is five.")


def test_an_answer_that_was_complete_in_the_dark() -> None:
    session = Session()
    session.says(TranscriptDelta("Two?"), TranscriptDone(), TextDelta("Five."))
    assert session.closed() == []
    told = session.hear(END)
    assert kinds(told)[-1] is out.ResponseDone
    assert do.ShowTurn in kinds(told)


def test_who_goes_on_was_not_answered() -> None:
    session = Session()
    session.says(TranscriptDelta("Two"), TextDelta("It"))
    assert kinds(session.hear(tone(100))) == [do.CancelTurn]
    assert session.says(AudioDelta(np.ones(7, np.float32))) == []
    assert session.closed(cancelled=True) == []
    assert kinds(session.hear(PAUSE))[0] is do.StartTurn
    assert len(session.machine.conversation) == 0


def test_who_goes_on_after_all_was_said_in_the_dark() -> None:
    session = Session()
    session.closed()
    assert kinds(session.hear(tone(100))) == [do.CancelTurn]
    ended = session.hear(END)
    assert [type(each) for each in ended if isinstance(each, do.StartTurn)] == [do.StartTurn]


@pytest.mark.parametrize("how", [{"failure": EngineUnavailable("it died")}, {"cancelled": True}])
def test_an_answer_that_failed_in_the_dark_was_never_there(how: dict[str, Any]) -> None:
    session = Session()
    session.says(TranscriptDelta("Two"), TextDelta("It"))
    assert session.closed(**how) == []
    told = session.hear(END)
    assert do.ShowTurn not in kinds(told)
    (again,) = (each for each in told if isinstance(each, do.StartTurn))
    assert not again.hidden and again.turn_id != session.turn_id
    assert out.OutputTranscriptDelta not in kinds(told)


@pytest.mark.parametrize(
    "event",
    [
        client("response.cancel"),
        client("conversation.item.delete", item_id="item_none"),
        client("session.update", session={"type": "realtime", "instructions": "Be brief."}),
        client("input_audio_buffer.clear"),
        client("input_audio_buffer.commit"),
        client("response.create"),
    ],
)
def test_what_the_client_does_in_the_dark_makes_it_void(event: msg.ClientMessage) -> None:
    session = Session()
    assert do.CancelTurn in kinds(session.machine.receive(event))
    assert session.says(TextDelta("It")) == []
    assert session.closed(cancelled=True) == []


def test_it_gives_way_to_others() -> None:
    session = Session()
    assert session.machine.receive(do.GiveWay("another")) == []
    assert kinds(session.machine.receive(do.GiveWay(session.turn_id))) == [do.CancelTurn]
    assert [each.hidden for each in session.hear(END) if isinstance(each, do.StartTurn)] == [False]


@pytest.mark.parametrize(
    "off",
    [
        {"speculative_turns": False},
        {"limits": SessionLimits(speculate=False)},
        {"audio": {"input": {"turn_detection": {"type": "server_vad", "create_response": False}}}},
    ],
)
def test_it_can_be_turned_off(off: dict[str, Any]) -> None:
    session = Session(**off)
    assert kinds(session.paused) == []


def test_while_an_answer_is_under_way_none_is_made_in_the_dark() -> None:
    vad = {"type": "server_vad", "interrupt_response": False}
    session = Session(audio={"input": {"turn_detection": vad}})
    session.hear(END)
    session.hear(tone(400))
    assert do.StartTurn not in kinds(session.hear(PAUSE))


# When it is certain


@pytest.mark.parametrize(
    ("text", "finished", "wanted_ms"),
    [("Tell me a joke.", 1.0, 415), ("Tell me a joke.", 0.0, 500), ("Tell me a", 1.0, 800), (None, 1.0, 500)],
)
def test_what_was_understood_decides_how_long_is_waited(text: str | None, finished: float, wanted_ms: int) -> None:
    session = Session()
    if text is not None:
        session.says(TranscriptDelta(text), TranscriptDone())
    session.machine.receive(do.PauseJudged(finished, session.turn_id))
    assert wanted_ms <= session.stops_after_ms() <= wanted_ms + 90  # windows of 32 ms on both sides, and steps of 10


def test_a_verdict_on_an_earlier_pause_says_nothing_of_this_one() -> None:
    session = Session()
    session.hear(tone(100))
    second = session.hear(PAUSE)
    (start,) = (each for each in second if isinstance(each, do.StartTurn))
    first, session.turn_id = session.turn_id, start.turn_id
    session.says(TranscriptDelta("Tell me a joke."), TranscriptDone())
    session.machine.receive(do.PauseJudged(1.0, first))
    assert session.stops_after_ms() >= 500


def test_a_bundle_without_an_end_of_turn_model_goes_by_the_words() -> None:
    session = Session(end_of_turn=False)
    assert kinds(session.paused) == [do.StartTurn, do.Peek]
    session.says(TranscriptDelta("Tell me a joke."), TranscriptDone())
    assert 500 <= session.stops_after_ms() <= 590


# In a session


async def test_a_turn_looks_the_same_from_outside(connect: Connect) -> None:
    def order(peer: Peer) -> list[str]:
        return [kind for kind in without_deltas(peer.kinds(2)) if kind != f"{HEARD}.completed"]

    for speculative in (True, False):
        peer = connect(lm=(lm := FakeLM()))
        peer.update(speculative_turns=speculative)
        peer.say(np.concatenate([tone(400), silence(1000)]))
        await peer.until("response.done")
        whole = ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", *COMMIT, *OPENING, *CLOSING]
        assert order(peer) == whole
        assert [outcome for _, outcome in peer.turns] == ["completed"]
        assert lm.finished == 1


async def test_what_came_to_nothing_leaves_no_trace(connect: Connect) -> None:
    lm, decoder, encoder = FakeLM(hang_after=30), FakeDecoder(), FakeEncoder(ahead=5)
    peer = connect(lm=lm, decoder=decoder, encoder=encoder)
    said = np.concatenate([tone(400), PAUSE, tone(400, level=0.2), END])
    peer.say(said[: 24 * 620])
    await peer.settled()
    assert (lm.active, len(lm.prompts), encoder.peeks) == (1, 1, 1)
    assert peer.kinds() == ["session.created", "input_audio_buffer.speech_started"]
    peer.say(said[24 * 620 : 24 * 1000])
    await peer.settled()
    assert (lm.active, lm.cancelled, decoder.active) == (0, 1, 0)
    assert not peer.turns
    lm.hang_after = None
    peer.say(said[24 * 1000 :])
    await peer.until("response.done")
    assert len(peer.turns) == 1 and encoder.calls == 1
    units = [token - UNIT_BASE for token in lm.prompts[-1] if UNIT_BASE <= token < UNIT_BASE + 50]
    assert len(set(units)) >= 3, "both halves were asked, and the pause between them"


async def test_a_machine_that_has_no_room_answers_when_the_turn_is_over(connect: Connect) -> None:
    lm, encoder = FakeLM(), FakeEncoder(ahead=5)
    peer = connect(lm=lm, encoder=encoder, headroom=Headroom(0))
    peer.say(tone(400))
    peer.say(PAUSE)
    await peer.settled()
    assert not lm.prompts and not encoder.peeks
    peer.say(END)
    done = await peer.until("response.done")
    assert done["response"]["status"] == "completed"
    assert encoder.peeks == 1


async def test_refused_and_over_at_once(connect: Connect) -> None:
    peer = connect(headroom=Headroom(0))
    peer.say(np.concatenate([tone(400), silence(1000)]), piece=10**6)
    assert (await peer.until("response.done"))["response"]["status"] == "completed"
    assert "".join(delta["delta"] for delta in peer.all(f"{HEARD}.delta")) == TRANSCRIPT


async def test_others_take_the_room(connect: Connect) -> None:
    headroom, lm = Headroom(2), FakeLM(hang_after=30)
    first = connect(lm=lm, headroom=headroom)
    first.say(tone(400))
    first.say(PAUSE)
    await first.settled()
    assert headroom.speculative == 1
    for _ in range(2):
        other = connect(lm=lm, headroom=headroom)
        other.type_text("Hello?")
        other.send("response.create")
        await other.until("response.created")
    await first.settled()
    assert (headroom.speculative, lm.cancelled, lm.active) == (0, 1, 2)
    lm.released.set()
    first.say(END)
    assert (await first.until("response.done"))["response"]["status"] == "completed"


# A turn that goes on after its end


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
