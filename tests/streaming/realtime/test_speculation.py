"""Turns that are answered before it is certain that they are over."""

from __future__ import annotations

import asyncio
from collections import Counter
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
from tests.fakes import TRANSCRIPT, UNIT_BASE, UNITS, FakeDecoder, FakeEncoder, FakeLM, answer_ids, fake_stages
from tests.streaming.realtime.dialogue import CLOSING, COMMIT, HEARD, OPENING, without_deltas
from tests.streaming.realtime.peer import Peer, silence, tone
from tests.streaming.realtime.test_machine import client, hear, kinds

Connect = Callable[..., Peer]

PAUSE = silence(220)
END = silence(600)
SPOKEN = [out.InputSpeechStopped, out.InputCommitted, out.ItemAdded, out.ItemDone, out.ResponseCreated]


class Session:
    """A machine that was spoken to until it made a pause: `turn_id` is answered in the dark."""

    def __init__(
        self,
        *,
        limits: SessionLimits | None = None,
        end_of_turn: bool = True,
        sure: float | None = None,
        **settings: Any,
    ) -> None:
        stages = fake_stages(**({} if end_of_turn else {"end_of_turn": None}), sure=sure)
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


@pytest.mark.parametrize(
    ("sure", "certainty", "wanted_ms"),
    [(0.98, 0.98, 224), (0.98, 0.97, 700), (0.98, None, 415), (None, 1.0, 415)],
)
def test_how_sure_the_model_is_of_the_words_decides_where_that_was_measured(
    sure: float | None, certainty: float | None, wanted_ms: int
) -> None:
    session = Session(sure=sure)
    session.says(TranscriptDelta("Tell me a joke."), TranscriptDone(certainty))
    session.machine.receive(do.PauseJudged(1.0, session.turn_id))
    assert wanted_ms <= session.stops_after_ms() <= wanted_ms + 90


@pytest.mark.parametrize(
    ("text", "certainty", "wanted_ms"),
    [("Tell me a joke.", 1.0, 300), ("Tell me a joke.", 0.5, 2000), ("Tell me a", 1.0, 2000)],
)
def test_semantic_vad_believes_the_words_before_the_sound(text: str, certainty: float, wanted_ms: int) -> None:
    vad = {"type": "semantic_vad", "eagerness": "high"}
    session = Session(sure=0.98, audio={"input": {"turn_detection": vad}})
    (start,) = (each for each in session.hear(silence(60)) if isinstance(each, do.StartTurn))  # after 200 ms
    session.turn_id = start.turn_id
    session.machine.receive(do.PauseJudged(0.0))  # it does not sound finished
    session.says(TranscriptDelta(text), TranscriptDone(certainty))
    assert wanted_ms <= session.stops_after_ms() + 60 <= wanted_ms + 90


def test_how_sure_it_was_of_an_earlier_pause_says_nothing_of_this_one() -> None:
    session = Session(sure=0.98)
    session.says(TranscriptDelta("Tell me a joke."), TranscriptDone(1.0))
    session.hear(tone(100))
    (start,) = (each for each in session.hear(PAUSE) if isinstance(each, do.StartTurn))
    session.turn_id = start.turn_id
    assert 500 <= session.stops_after_ms() <= 590


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


BRIEF = answer_ids(TRANSCRIPT, ("Five. ", UNITS[:8]))
"""So short an answer that all of it is made in the dark."""


async def a_pause(connect: Connect, headroom: Headroom, loop_turns: int) -> Peer:
    """Somebody in a pause, so many turns of the loop after it began."""
    peer = connect(lm=FakeLM(BRIEF, per_step=50), headroom=headroom)
    peer.say(tone(400), piece=10**6)
    peer.say(PAUSE, piece=10**6)
    for _ in range(loop_turns):
        await asyncio.sleep(0)
    return peer


async def is_answered_once(peer: Peer) -> None:
    """The turn is over, and nothing is left of what came to nothing."""
    peer.say(END, piece=10**6)
    await peer.until("response.done")
    await peer.settled()
    assert len(peer.all("response.done")) == len(peer.all("input_audio_buffer.committed")) == 1
    assert [outcome for _, outcome in peer.turns] == ["completed"]
    are_accounted_for(peer)


def are_accounted_for(peer: Peer) -> None:
    stages = Counter(peer.speculations)
    assert stages["started"] == stages["confirmed"] + stages["discarded"]


async def test_a_session_may_end_at_any_time_in_the_dark(connect: Connect) -> None:
    for loop_turns in range(100):
        peer = await a_pause(connect, headroom := Headroom(1), loop_turns)
        await peer.hang_up()
        are_accounted_for(peer)
        assert not peer.turns
        assert headroom.speculative == 0


async def test_a_turn_that_goes_on_at_any_time_is_answered_once(connect: Connect) -> None:
    for loop_turns in range(100):
        peer = await a_pause(connect, headroom := Headroom(1), loop_turns)
        peer.say(tone(100), piece=10**6)
        await is_answered_once(peer)
        assert headroom.speculative == 0


async def test_a_turn_that_gives_way_at_any_time_is_answered_once(connect: Connect) -> None:
    for loop_turns in range(100):
        peer = await a_pause(connect, headroom := Headroom(1), loop_turns)
        headroom.begin("another")
        await is_answered_once(peer)
        assert headroom.speculative == 0


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
