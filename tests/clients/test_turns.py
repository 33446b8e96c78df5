"""A turn built from events alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

import pytest

from clients.realtime import RATE_HZ, parse_event
from clients.turns import TurnError, TurnRecord

PLACE = {"response_id": "r", "item_id": "a", "output_index": 0, "content_index": 0}
USAGE = {"type": "duration", "seconds": 1.0}


def event(kind: str, **fields: Any) -> Any:
    return parse_event(json.dumps({"type": kind, "event_id": "e", **fields}))


def started() -> Any:
    return event("input_audio_buffer.speech_started", audio_start_ms=0, item_id="q")


def stopped() -> Any:
    return event("input_audio_buffer.speech_stopped", audio_end_ms=0, item_id="q")


def created() -> Any:
    return event("response.created", response={"id": "r", "status": "in_progress"})


def text(delta: str) -> Any:
    return event("response.output_audio_transcript.delta", **PLACE, delta=delta)


def audio(duration_s: float = 1.0) -> Any:
    delta = base64.b64encode(bytes(2 * int(duration_s * RATE_HZ))).decode()
    return event("response.output_audio.delta", **PLACE, delta=delta)


def done(status: str = "completed", **details: Any) -> Any:
    return event("response.done", response={"id": "r", "status": status, "status_details": details or None})


def error(code: str) -> Any:
    return event("error", error={"type": "invalid_request_error", "code": code, "message": "no"})


def heard(kind: str, item: str, **fields: Any) -> Any:
    return event(f"conversation.item.input_audio_transcription.{kind}", item_id=item, content_index=0, **fields)


def play(turn: TurnRecord, events: Iterable[Any], at_s: float = 0.0) -> None:
    """Events a second apart."""
    for number, one in enumerate(events):
        turn.take(one, at_s + number)


def test_times_are_those_of_the_first_of_each_kind() -> None:
    turn = TurnRecord(asked_s=0.5)
    play(turn, [started(), stopped(), created(), text("Fi"), audio(), text("ve."), audio(), done()])
    assert (turn.stopped_s, turn.first_text_s, turn.first_audio_s, turn.done_s) == (1, 3, 4, 7)
    assert (turn.text, turn.audio_s, turn.playback.gaps, turn.status) == ("Five.", 2.0, 1, "completed")
    assert turn.over
    assert turn.answered


def test_a_turn_is_not_over_before_the_question_is_asked() -> None:
    turn = TurnRecord()
    play(turn, [started(), stopped(), created(), audio(), done()])
    assert not turn.over
    turn.asked_s = 9.0
    assert turn.over


@pytest.mark.parametrize("unfinished", [[started()], [started(), stopped()], [started(), stopped(), created()]])
def test_a_turn_is_not_over_while_anything_is_under_way(unfinished: list[Any]) -> None:
    turn = TurnRecord(asked_s=0.0)
    play(turn, [started(), stopped(), created(), done(), *unfinished])
    assert not turn.over


def test_an_answer_that_came_too_early_is_counted_and_replaced() -> None:
    turn = TurnRecord()
    play(turn, [started(), stopped(), created(), text("What"), audio(), started(), done("cancelled")])
    turn.asked_s = 7.0
    assert not turn.over
    play(turn, [stopped(), created(), text("Five."), audio(0.5), done()], at_s=8.0)
    assert (turn.interrupted, turn.text, turn.first_audio_s, turn.stopped_s) == (1, "Five.", 11.0, 8.0)
    assert (turn.audio_s, turn.playback.received_s) == (1.5, 0.5)
    assert turn.answered


def test_an_answer_that_was_asked_for_is_awaited() -> None:
    turn = TurnRecord(asked_s=0.0)
    turn.expect_answer()
    assert not turn.over
    play(turn, [created(), done()])
    assert turn.answered


def test_an_error_ends_a_turn_that_is_not_being_answered() -> None:
    turn = TurnRecord(asked_s=0.0)
    play(turn, [error("input_audio_buffer_commit_empty")])
    assert turn.over
    assert not turn.answered
    assert turn.errors == [TurnError("input_audio_buffer_commit_empty", "no")]


def test_an_error_while_answering_waits_for_the_end_of_the_answer() -> None:
    turn = TurnRecord(asked_s=0.0)
    play(turn, [created(), error("invalid_value")])
    assert not turn.over
    play(turn, [done()])
    assert turn.answered


def test_a_lost_race_of_a_cancellation_is_harmless() -> None:
    turn = TurnRecord(asked_s=0.0)
    turn.expect_answer()
    play(turn, [error("response_cancel_not_active")])
    assert not turn.over


def test_a_failed_answer_names_its_code() -> None:
    turn = TurnRecord(asked_s=0.0)
    play(turn, [created(), done("failed", type="failed", error={"type": "server_error", "code": "engine_unavailable"})])
    assert turn.over
    assert not turn.answered
    assert [one.code for one in turn.errors] == ["engine_unavailable"]
    assert (turn.status, turn.reason) == ("failed", "engine_unavailable")


def test_an_answer_that_ended_early_says_why() -> None:
    turn = TurnRecord(asked_s=0.0)
    play(turn, [created(), done("incomplete", type="incomplete", reason="max_output_tokens")])
    assert (turn.over, turn.answered, turn.status, turn.reason) == (True, False, "incomplete", "max_output_tokens")


def test_transcripts_of_a_question_in_two_parts_are_joined() -> None:
    turn = TurnRecord()
    play(turn, [heard("delta", "1", delta="what"), heard("delta", "1", delta=" is"), heard("delta", "2", delta="five")])
    play(
        turn,
        [
            heard("completed", "2", transcript="five", usage=USAGE),
            heard("completed", "3", transcript="then", usage=USAGE),
        ],
    )
    assert turn.transcript == "what is five then"


def test_errors_are_kept_in_bounded_number() -> None:
    turn = TurnRecord()
    play(turn, [error("x")] * 1000)
    assert len(turn.errors) < 100


def test_events_that_say_nothing_change_nothing() -> None:
    turn, same = TurnRecord(), TurnRecord()
    play(turn, [event("response.dance"), event("rate_limits.updated", rate_limits=[])])
    assert turn == same
