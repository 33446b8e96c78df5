"""When to cut, and what the listener has left to hear."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.planning import CutSchedule, CutScheduler, PlayoutClock

SCHEDULE = CutSchedule(first_units=6, steady_units=24, low_water_s=0.35)


def cuts(scheduler: CutScheduler, buffered_s: float) -> list[tuple[int, bool]]:
    """Sizes of all that is cut now, and whether each is final."""
    found = []
    while (cut := scheduler.next_cut(buffered_s)) is not None:
        found.append((len(cut[0]), cut[1]))
    return found


@pytest.mark.parametrize(
    ("pending", "emitted", "buffered_s", "ended", "expected"),
    [
        (5, 0, 0.0, False, []),
        (6, 0, 0.0, False, [6]),
        (40, 0, 1.0, False, [6, 24]),
        (3, 0, 0.0, True, [3]),
        (23, 6, 1.0, False, []),
        (24, 6, 1.0, False, [24]),
        (90, 6, 1.0, False, [24, 24, 24]),
        (1, 6, 0.35, False, [1]),
        (90, 6, 0.0, False, [24, 24, 24, 18]),
        (2, 6, 5.0, True, [2]),
        (0, 6, 0.0, True, []),
        (0, 0, 0.0, True, []),
    ],
)
def test_cuts(pending: int, emitted: int, buffered_s: float, ended: bool, expected: list[int]) -> None:
    scheduler = CutScheduler(SCHEDULE)
    scheduler.push(range(emitted))
    assert cuts(scheduler, 0.0) == [(emitted, False)] * (emitted > 0)
    scheduler.push(range(pending))
    if ended:
        scheduler.flush()
    assert cuts(scheduler, buffered_s) == [(size, False) for size in expected]


def test_the_last_cut_is_final_and_may_be_empty() -> None:
    for units, expected in ((6, [(6, False), (0, True)]), (8, [(6, False), (2, True)]), (2, [(2, True)]), (0, [])):
        scheduler = CutScheduler(SCHEDULE)
        scheduler.push(range(units))
        found = cuts(scheduler, 1.0)
        scheduler.finish()
        assert found + cuts(scheduler, 1.0) == expected
        assert scheduler.finished and scheduler.next_cut(0.0) is None


def test_what_comes_after_the_end_of_a_chunk_waits_again() -> None:
    scheduler = CutScheduler(SCHEDULE)
    scheduler.push(range(9))
    scheduler.flush()
    assert cuts(scheduler, 1.0) == [(6, False), (3, False)]
    scheduler.push(range(3))
    assert cuts(scheduler, 1.0) == []


steps = st.lists(
    st.one_of(st.integers(0, 60).map(lambda size: ("push", size)), st.just(("flush", 0)), st.just(("late", 0))),
    max_size=20,
)


@given(steps, st.integers(1, 8), st.integers(1, 30), st.floats(-10, 60))
def test_every_unit_is_cut_once_and_none_too_many_at_once(
    script: list[tuple[str, int]], first: int, steady: int, buffered_s: float
) -> None:
    scheduler, pushed, found = CutScheduler(CutSchedule(first, steady)), 0, []

    def cut(buffered_s: float) -> None:
        while (made := scheduler.next_cut(buffered_s)) is not None:
            found.append(made)

    for kind, size in script:
        scheduler.push(range(pushed, pushed + size))
        pushed += size
        if kind == "flush":
            scheduler.flush()
        cut(0.0 if kind == "late" else buffered_s)
        if kind == "flush" or (kind == "late" and scheduler.began):
            assert sum(len(units) for units, _ in found) == pushed
    scheduler.finish()
    cut(buffered_s)
    assert [unit for units, _ in found for unit in units] == list(range(pushed))
    assert [final for _, final in found] == [False] * (len(found) - 1) + [True] * (pushed > 0)
    assert all(len(units) <= (steady if at else first) for at, (units, _) in enumerate(found))


def test_waits_until_low_water() -> None:
    scheduler = CutScheduler(SCHEDULE)
    assert scheduler.wait_s(1.35) is None
    scheduler.push(range(7))
    assert scheduler.wait_s(1.35) is None, "the first cut waits for units, not for time"
    cuts(scheduler, 1.0)
    assert scheduler.wait_s(1.35) == pytest.approx(1.0)
    assert scheduler.wait_s(0.1) == 0.0
    assert scheduler.wait_s(-3.0) == 0.0
    cuts(scheduler, 0.0)
    assert scheduler.wait_s(1.35) is None, "nothing is pending"


def test_playout_without_a_gap() -> None:
    clock = PlayoutClock()
    assert clock.buffered_s(100.0) == 0.0
    clock.sent(1.0, 100.0)
    assert clock.buffered_s(100.4) == pytest.approx(0.6)
    clock.sent(2.0, 100.5)
    assert clock.buffered_s(101.0) == pytest.approx(2.0)
    assert (clock.underruns, clock.gap_s) == (0, 0.0)


def test_playout_resumes_after_a_gap() -> None:
    clock = PlayoutClock()
    clock.sent(1.0, 0.0)
    assert clock.buffered_s(1.5) == pytest.approx(-0.5)
    clock.sent(1.0, 1.5)
    assert (clock.underruns, clock.gap_s) == (1, pytest.approx(0.5))
    assert clock.buffered_s(1.5) == pytest.approx(1.0)


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3)), min_size=1, max_size=30))
def test_playout_ends_when_all_audio_and_all_gaps_are_over(steps: list[tuple[float, float]]) -> None:
    clock, now_s = PlayoutClock(), 0.0
    for pause_s, duration_s in steps:
        now_s += pause_s
        clock.sent(duration_s, now_s)
        assert clock.buffered_s(now_s) >= duration_s - 1e-9
    sent_s = sum(duration_s for _, duration_s in steps)
    assert now_s + clock.buffered_s(now_s) == pytest.approx(steps[0][0] + sent_s + clock.gap_s)
