"""A session's machine alone, without a loop, a task or a clock: values in, values out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from streaming.audio import AudioFrame
from streaming.errors import EngineUnavailable
from streaming.interleave import TextDelta
from streaming.realtime import effects as do
from streaming.realtime import events as out
from streaming.realtime import messages as msg
from streaming.realtime.limits import SessionLimits, SessionModel
from streaming.realtime.machine import RealtimeMachine
from streaming.report import TurnReport
from streaming.stages import Pcm
from streaming.turn import AudioDelta
from tests.fakes import fake_stages
from tests.streaming.realtime.peer import silence, tone


def machine(limits: SessionLimits | None = None) -> RealtimeMachine:
    made = RealtimeMachine(SessionModel("fake", ("default",), fake_stages()), limits or SessionLimits())
    first, *effects = made.receive(do.Opened())
    assert isinstance(first, out.SessionCreated)
    assert [type(effect) for effect in effects] == [do.StartTimer]
    return made


def hear(pcm: Pcm) -> msg.Append:
    return msg.Append(audio=AudioFrame(pcm, 24_000))


def client(kind: str, **fields: Any) -> msg.ClientMessage:
    return msg.validated(msg.CLIENT_EVENTS, {"type": kind, **fields})


def typed(text: str) -> msg.ClientMessage:
    content = [{"type": "input_text", "text": text}]
    return client("conversation.item.create", item={"type": "message", "role": "user", "content": content})


def asked(session: RealtimeMachine) -> str:
    """A turn under way."""
    session.receive(typed("Hello?"))
    (start,) = (each for each in session.receive(client("response.create")) if isinstance(each, do.StartTurn))
    return start.turn_id


def kinds(outputs: list[do.Output]) -> list[type]:
    return [type(each) for each in outputs if not isinstance(each, do.Hear)]


def test_a_spoken_turn_begins_with_what_was_said() -> None:
    session = machine()
    assert kinds(session.receive(hear(tone(400)))) == [out.InputSpeechStarted, do.Encode]
    ended = session.receive(hear(silence(700)))
    told = [kind for kind in kinds(ended) if kind.__module__ == out.__name__]
    assert told[:4] == [out.InputSpeechStopped, out.InputCommitted, out.ItemAdded, out.ItemDone]
    assert told[4] is out.ResponseCreated
    assert kinds(ended)[0] is do.StartTurn and kinds(ended)[-1] is do.ShowTurn  # begun in the pause
    assert not session.waiting


def test_an_interrupted_response_is_done_when_its_stages_are_closed() -> None:
    session = machine()
    turn_id = asked(session)
    assert kinds(session.receive(hear(tone(400)))) == [out.InputSpeechStarted, do.CancelTurn]
    assert session.waiting
    outputs = session.receive(do.TurnClosed(turn_id, TurnReport(), cancelled=True))
    assert kinds(outputs) == [
        out.OutputAudioDone,
        out.OutputTranscriptDone,
        out.ContentPartDone,
        out.ItemDone,
        out.OutputItemDone,
        out.ResponseDone,
        do.Encode,  # of the speech that interrupted it, heard only now
    ]
    assert not session.waiting


def test_what_a_turn_says_is_told_while_a_client_event_waits() -> None:
    session = machine()
    turn_id = asked(session)
    session.receive(client("response.cancel"))
    assert session.waiting
    assert kinds(session.receive(do.TurnProgress(turn_id, TextDelta("late")))) == [out.OutputTranscriptDelta]
    assert session.waiting


def test_client_events_wait_for_those_before_them() -> None:
    session = machine()
    turn_id = asked(session)
    session.receive(client("response.cancel"))
    assert session.receive(typed("And?")) == []
    outputs = session.receive(do.TurnClosed(turn_id, TurnReport(), cancelled=True))
    assert kinds(outputs)[-3:] == [out.ResponseDone, out.ItemAdded, out.ItemDone]


@pytest.mark.parametrize("failure", [EngineUnavailable("it died"), None])
def test_a_turn_that_ends_by_itself_while_it_is_cancelled_ends_as_it_did(failure: EngineUnavailable | None) -> None:
    session = machine()
    turn_id = asked(session)
    session.receive(client("response.cancel"))
    outputs = session.receive(do.TurnClosed(turn_id, TurnReport(), failure))
    done = outputs[-1]
    assert isinstance(done, out.ResponseDone) and done.response.details is not None
    assert done.response.details.type == ("failed" if failure else "completed")


def test_audio_is_told_at_the_decoders_rate() -> None:
    session = machine()
    turn_id = asked(session)
    (told,) = session.receive(do.TurnProgress(turn_id, AudioDelta(np.ones(7, np.float32))))
    assert isinstance(told, out.OutputAudioDelta)
    assert (told.audio.rate_hz, told.audio.pcm.size) == (24_000, 7)


def test_the_end_of_its_time_waits_for_stages_but_not_for_ever() -> None:
    session = machine(SessionLimits(max_session_s=7.0))
    turn_id = asked(session)
    assert kinds(session.receive(do.TimerDue("expiry"))) == [do.StartTimer, do.CancelTurn]
    assert kinds(session.receive(do.TimerDue("farewell"))) == [do.HangUp]
    closed = session.receive(do.TurnClosed(turn_id, TurnReport(), cancelled=True))
    assert kinds(closed)[-3:] == [out.ResponseDone, out.Failed, do.HangUp]


@pytest.mark.parametrize("piece", [1, 160, 4800, 10**6])
def test_any_split_of_the_audio_gives_the_same_turns(piece: int) -> None:
    pcm = np.concatenate([silence(300), tone(400), silence(700), tone(300), silence(700)])[
        : 40_000 if piece == 1 else None
    ]

    def turns(size: int) -> list[Any]:
        session, told = machine(), list[Any]()
        for start in range(0, pcm.size, size):
            outputs = session.receive(hear(pcm[start : start + size]))
            while session.waiting or outputs:
                told += [
                    each.audio_start_ms if isinstance(each, out.InputSpeechStarted) else each.audio_end_ms
                    for each in outputs
                    if isinstance(each, out.InputSpeechStarted | out.InputSpeechStopped)
                ]
                ended = [each.turn_id for each in outputs if isinstance(each, do.StartTurn)]
                inputs: list[do.Input] = [do.TurnClosed(each, TurnReport()) for each in ended]
                inputs += [do.Rested()] if session.waiting else []
                outputs = [output for input_ in inputs for output in session.receive(input_)]
        return told

    assert turns(piece) == turns(2400)
    assert len(turns(piece)) >= 2
