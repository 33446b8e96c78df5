"""When to cut, and what the listener has left to hear."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.planning import ChunkPlanner, PlayoutClock

PLANNER = ChunkPlanner(first_units=6, steady_units=24, low_water_s=0.35)


@pytest.mark.parametrize(
    ("pending", "emitted", "slack_s", "ended", "cut"),
    [
        (5, 0, 0.0, False, 0),
        (6, 0, 0.0, False, 6),
        (40, 0, 0.0, False, 6),
        (3, 0, 0.0, True, 3),
        (23, 6, 1.0, False, 0),
        (24, 6, 1.0, False, 24),
        (90, 6, 1.0, False, 24),
        (1, 6, 0.35, False, 1),
        (90, 6, 0.0, False, 24),
        (2, 6, 5.0, True, 2),
        (0, 6, 0.0, True, 0),
        (0, 0, 0.0, True, 0),
    ],
)
def test_cuts(pending: int, emitted: int, slack_s: float, ended: bool, cut: int) -> None:
    assert PLANNER.next_cut(pending, emitted=emitted, slack_s=slack_s, ended=ended) == cut


@given(st.integers(0, 500), st.integers(0, 500), st.floats(-10, 60), st.booleans())
def test_a_cut_never_exceeds_what_there_is_nor_one_vocoder_call(
    pending: int, emitted: int, slack_s: float, ended: bool
) -> None:
    cut = PLANNER.next_cut(pending, emitted=emitted, slack_s=slack_s, ended=ended)
    assert 0 <= cut <= min(pending, PLANNER.steady_units)
    assert cut or not (ended and pending)


def test_waits_until_low_water() -> None:
    assert PLANNER.wait_s(1.35) == pytest.approx(1.0)
    assert PLANNER.wait_s(0.1) == 0.0
    assert PLANNER.wait_s(-3.0) == 0.0


def test_playout_without_a_gap() -> None:
    clock = PlayoutClock()
    assert clock.slack_s(100.0) == 0.0
    clock.sent(1.0, 100.0)
    assert clock.slack_s(100.4) == pytest.approx(0.6)
    clock.sent(2.0, 100.5)
    assert clock.slack_s(101.0) == pytest.approx(2.0)
    assert (clock.underruns, clock.gap_s) == (0, 0.0)


def test_playout_resumes_after_a_gap() -> None:
    clock = PlayoutClock()
    clock.sent(1.0, 0.0)
    assert clock.slack_s(1.5) == pytest.approx(-0.5)
    clock.sent(1.0, 1.5)
    assert (clock.underruns, clock.gap_s) == (1, pytest.approx(0.5))
    assert clock.slack_s(1.5) == pytest.approx(1.0)


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3)), min_size=1, max_size=30))
def test_playout_ends_when_all_audio_and_all_gaps_are_over(steps: list[tuple[float, float]]) -> None:
    clock, now_s = PlayoutClock(), 0.0
    for pause_s, duration_s in steps:
        now_s += pause_s
        clock.sent(duration_s, now_s)
        assert clock.slack_s(now_s) >= duration_s - 1e-9
    sent_s = sum(duration_s for _, duration_s in steps)
    assert now_s + clock.slack_s(now_s) == pytest.approx(steps[0][0] + sent_s + clock.gap_s)
