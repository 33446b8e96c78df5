"""Limits of one key: sessions at once, turns in a minute, audio in a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.state.accounts import Account, Clocks, DayTally, KeyLimits
from streaming.errors import RateLimited
from streaming.report import TurnReport

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


class Time:
    """Clocks that are moved by hand."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def clocks(self) -> Clocks:
        return Clocks(lambda: self.passed_s, lambda: NOON + timedelta(seconds=self.passed_s))


def account(time: Time, **limits: float | int) -> Account:
    return Account("anna", KeyLimits(**limits), time.clocks())  # type: ignore[arg-type]


def refusal(of: Account) -> RateLimited:
    with pytest.raises(RateLimited) as refused:
        of.take_turn()
    return refused.value


def test_sessions_at_once() -> None:
    anna = account(Time(), sessions=2)
    with anna.session(), anna.session():
        with pytest.raises(RateLimited) as refused, anna.session():
            pass
        assert refused.value.code == "too_many_sessions"
    with anna.session():
        assert (anna.sessions, anna.refusals["too_many_sessions"]) == (1, 1)


def test_a_session_takes_the_seat_of_the_one_that_was_left_longest() -> None:
    anna, ended = account(Time(), sessions=2), list[str]()
    with anna.session() as first, anna.session() as second:
        with second.away(lambda: ended.append("second")), first.away(lambda: ended.append("first")):
            assert anna.session_refusal() is None
            with pytest.raises(RateLimited), anna.request():
                pass
            assert not ended, "a single turn ends no conversation"
            with anna.session():
                assert (ended, anna.sessions) == (["second"], 2)
                first.back()
                assert anna.session_refusal() is not None
                with pytest.raises(RateLimited), anna.session():
                    pass
        assert (ended, anna.sessions) == (["second"], 1)
    assert anna.sessions == 0


def test_turns_in_a_minute() -> None:
    time = Time()
    anna = account(time, turns_per_minute=2)
    anna.take_turn()
    time.passed_s = 20.0
    anna.take_turn()
    limit = anna.turns
    assert limit is not None and (limit.limit, limit.remaining, limit.reset_seconds) == (2, 0, 60.0)
    assert refusal(anna).retry_s == 40.0
    time.passed_s = 60.0
    anna.take_turn()
    assert refusal(anna).retry_s == 20.0
    time.passed_s = 200.0
    limit = anna.turns
    assert limit is not None and (limit.remaining, limit.reset_seconds) == (2, 0.0)


@given(st.lists(st.floats(0, 30), max_size=60), st.integers(1, 5))
def test_never_more_than_the_limit_in_any_minute_and_retry_after_is_true(pauses: list[float], most: int) -> None:
    time, begun = Time(), list[float]()
    anna = account(time, turns_per_minute=most)
    for pause in pauses:
        time.passed_s += pause
        if (why := anna.refusal()) is not None:
            assert isinstance(why, RateLimited)
            time.passed_s += why.retry_s + 1e-6
        anna.take_turn()
        begun.append(time.passed_s)
        assert sum(at > time.passed_s - 60.0 for at in begun) <= most


@pytest.mark.parametrize(
    ("retry_s", "told"), [(0.2, "1 s"), (19.2, "20 s"), (120.0, "120 s"), (121.0, "3 min"), (40_000.0, "12 h")]
)
def test_the_message_says_when_to_try_again(retry_s: float, told: str) -> None:
    """It is all that a client of the realtime protocol gets."""
    assert RateLimited("too many turns", retry_s=retry_s).message == f"too many turns; try again in {told}"


def test_a_lower_limit_after_a_reload() -> None:
    time = Time()
    anna = account(time, turns_per_minute=3)
    for time.passed_s in (0.0, 10.0, 20.0):
        anna.take_turn()
    anna.limits = KeyLimits(turns_per_minute=1)
    assert refusal(anna).retry_s == 60.0


def test_audio_of_a_day() -> None:
    time = Time()
    anna = account(time, audio_s_per_day=60.0, turns_per_minute=9)
    anna.take_turn()
    anna.spend(TurnReport(question_s=20.0, audio_s=30.0), "rest", "completed")
    anna.take_turn()
    anna.spend(TurnReport(question_s=5.0, audio_s=5.0), "rest", "cancelled")
    refused = refusal(anna)
    assert (refused.code, refused.retry_s) == ("audio_quota_exceeded", 12 * 3600.0)
    limit = anna.turns
    assert limit is not None and (limit.remaining, limit.reset_seconds) == (0, 12 * 3600.0)
    time.passed_s = 12 * 3600.0
    anna.take_turn()
    limit = anna.turns
    assert limit is not None and limit.remaining == 8


def test_what_was_used_before_counts() -> None:
    tally = DayTally()
    tally.add("anna", 60.0)
    anna = Account("anna", KeyLimits(audio_s_per_day=60.0), tally=tally)
    assert refusal(anna).code == "audio_quota_exceeded"


def test_no_limits() -> None:
    anna = account(Time())
    for _ in range(1000):
        anna.take_turn()
    assert anna.turns is None
