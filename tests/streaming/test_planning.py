"""When to cut, and what the listener has left to hear."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.outlook import Outlook
from streaming.planning import CutSchedule, CutScheduler, PlayoutClock

SCHEDULE = CutSchedule(first_units=6, steady_units=24, low_water_s=0.35)
PLENTY_S = 60.0


def cuts(scheduler: CutScheduler, buffered_s: float) -> list[tuple[int, bool]]:
    """Sizes of all that is cut now, and whether each is final."""
    found = []
    while (cut := scheduler.next_cut(buffered_s, 0.0)) is not None:
        found.append((len(cut[0]), cut[1]))
    return found


@pytest.mark.parametrize(
    ("pending", "emitted", "buffered_s", "expected"),
    [
        (5, 0, 0.0, []),
        (6, 0, 0.0, [6]),
        (40, 0, PLENTY_S, [6, 24]),
        (23, 6, PLENTY_S, []),
        (24, 6, PLENTY_S, [24]),
        (90, 6, PLENTY_S, [24, 24, 24]),
        (1, 6, 0.35, [1]),
        (90, 6, 0.0, [24, 24, 24, 18]),
        (0, 6, 0.0, []),
        (0, 0, 0.0, []),
    ],
)
def test_cuts(pending: int, emitted: int, buffered_s: float, expected: list[int]) -> None:
    scheduler = CutScheduler(SCHEDULE)
    scheduler.push(range(emitted), 0.0)
    assert cuts(scheduler, 0.0) == [(emitted, False)] * (emitted > 0)
    scheduler.push(range(pending), 0.0)
    assert cuts(scheduler, buffered_s) == [(size, False) for size in expected]


def test_the_last_cut_is_final_and_may_be_empty() -> None:
    for units, expected in ((6, [(6, False), (0, True)]), (8, [(6, False), (2, True)]), (2, [(2, True)]), (0, [])):
        scheduler = CutScheduler(SCHEDULE)
        scheduler.push(range(units), 0.0)
        found = cuts(scheduler, PLENTY_S)
        scheduler.finish()
        assert found + cuts(scheduler, PLENTY_S) == expected
        assert scheduler.finished and scheduler.next_cut(0.0, 0.0) is None


def test_the_end_of_a_chunk_waits_for_what_follows_while_there_is_enough_to_hear() -> None:
    def spoken() -> CutScheduler:
        scheduler = CutScheduler(SCHEDULE)
        scheduler.push(range(9), 0.0)
        scheduler.flush()
        assert cuts(scheduler, PLENTY_S) == [(6, False)] and scheduler.chunks == 0
        return scheduler

    ended, dry, next_chunk = spoken(), spoken(), spoken()
    ended.finish()
    assert cuts(ended, PLENTY_S) == [(3, True)] and ended.chunks == 1, "one call in place of two"
    assert cuts(dry, 0.1) == [(3, False)] and dry.chunks == 1
    next_chunk.push(range(2), 0.1)
    assert cuts(next_chunk, PLENTY_S) == [(3, False)] and next_chunk.chunks == 1, "not beyond the end of the chunk"


def test_a_chunk_too_short_for_any_audio_waits_for_the_next() -> None:
    scheduler = CutScheduler(SCHEDULE)
    scheduler.push(range(4), 0.0)
    scheduler.flush()
    assert cuts(scheduler, 0.0) == [] and scheduler.chunks == 0
    scheduler.push(range(3), 0.1)
    assert cuts(scheduler, 0.0) == [(6, False), (1, False)] and scheduler.chunks == 1


def outlook(*, service_s: float, per_unit_s: float = 0.07, held_units: int = 5) -> Outlook:
    """One that has seen a decoder that takes `service_s` for any cut, and keeps `held_units` back."""
    seen = Outlook()
    for number in range(300):
        cut = seen.hand(number % 20, number * 10.0)
        seen.arrived(cut, number * 10.0 + service_s)
        units = 6 + number % 8
        seen.began(units, per_unit_s * (units - held_units))
    return seen


def first_cut(service_s: float, *, lead_s: float = 0.0, most: int = 14) -> int:
    schedule = CutSchedule(first_units=6, steady_units=16, low_water_s=0.05, most_first_units=most, unit_s=0.07)
    scheduler = CutScheduler(schedule, outlook(service_s=service_s), lead_s)
    for number in range(60):
        scheduler.push([number], number * 0.002)
        if (cut := scheduler.next_cut(0.0, 3000.0)) is not None:
            return len(cut[0])
    raise AssertionError("nothing was ever cut")


def test_the_first_cut_lasts_until_the_second_is_there() -> None:
    """One of n units gives 70 ms for each beyond five; 50 ms are to be left when the next comes."""
    assert [first_cut(service_s) for service_s in (0.015, 0.08, 0.2, 0.4, 2.0)] == [6, 7, 9, 12, 14]
    assert first_cut(2.0, most=0) == 6, "where the bundle does not want more"


def test_a_lead_makes_the_first_cut_longer() -> None:
    assert [first_cut(0.015, lead_s=lead_s) for lead_s in (0.0, 0.3, 1.0)] == [6, 11, 21]


def test_the_wait_knows_what_the_others_wait_for() -> None:
    alone, busy = outlook(service_s=0.03), outlook(service_s=0.03)
    for _ in range(5):
        busy.hand(10, 3000.0)
    waits = []
    for seen in (alone, busy):
        scheduler = CutScheduler(SCHEDULE, seen)
        scheduler.push(range(6), 0.0)
        cuts(scheduler, 0.0)
        scheduler.push(range(3), 0.0)
        waits.append(scheduler.next_cut(0.35 + 0.1, 3000.0) is None)
    assert waits == [True, False], "five cuts of 30 ms come before"


steps = st.lists(
    st.one_of(st.integers(0, 60).map(lambda size: ("push", size)), st.just(("flush", 0)), st.just(("late", 0))),
    max_size=20,
)


@given(steps, st.integers(1, 8), st.integers(0, 12), st.integers(1, 30), st.floats(-10, 60), st.floats(0, 2))
def test_every_unit_is_cut_once_and_none_too_many_at_once(
    script: list[tuple[str, int]], first: int, most_first: int, steady: int, buffered_s: float, lead_s: float
) -> None:
    schedule = CutSchedule(first, steady, most_first_units=most_first)
    scheduler, pushed, found = CutScheduler(schedule, lead_s=lead_s), 0, []
    ends = list[int]()

    def cut(buffered_s: float) -> None:
        while (made := scheduler.next_cut(buffered_s, 0.0)) is not None:
            found.append(made)

    for kind, size in script:
        if kind == "push":
            scheduler.push(range(pushed, pushed + size), 0.0)
            pushed += size
        elif kind == "flush":
            scheduler.flush()
            ends.append(pushed)
        cut(-10.0 if kind == "late" else buffered_s)
        if kind == "late" and scheduler.began:
            assert sum(len(units) for units, _ in found) == pushed
        assert scheduler.chunks == sum(end <= sum(len(units) for units, _ in found) for end in ends)
    scheduler.finish()
    cut(buffered_s)
    assert [unit for units, _ in found for unit in units] == list(range(pushed))
    assert [final for _, final in found] == [False] * (len(found) - 1) + [True] * (pushed > 0)
    assert all(len(units) <= steady for units, _ in found[1:])
    assert scheduler.chunks == len(ends)
    joins = set(accumulate(len(units) for units, _ in found))
    assert all(end in joins for end in ends if found and end > len(found[0][0])), (
        "no later cut crosses the end of a chunk"
    )


service = st.floats(0.002, 0.12)


@given(
    st.lists(st.tuples(st.integers(3, 60), st.floats(0.0, 0.15)), min_size=1, max_size=4),
    st.floats(0.001, 0.03),
    service,
    st.floats(0.0, 0.003),
)
def test_playback_never_runs_dry_where_it_need_not(
    chunks: list[tuple[int, float]], unit_s: float, call_s: float, each_s: float
) -> None:
    """In virtual time: units come steadily, a cut takes what cuts took before, and nobody else has any."""
    schedule = CutSchedule(first_units=6, steady_units=16, low_water_s=0.05, most_first_units=14, unit_s=0.07)
    known = Outlook(0.07, 0.35)
    for number in range(200):
        cut = known.hand(number % 17, number * 10.0)
        known.arrived(cut, number * 10.0 + call_s + each_s * (number % 17))
        known.began(6 + number % 8, 0.07 * (1 + number % 8))
    arrivals, now_s = list[tuple[float, int]](), 0.0
    for units, text_s in chunks:
        now_s += text_s
        for _ in range(units):
            now_s += unit_s
            arrivals.append((now_s, 1))
        arrivals.append((now_s, 0))
    playout, longest_s = played(schedule, known, arrivals, call_s, each_s)
    if all(units >= 14 for units, _ in chunks) and longest_s <= 0.3:
        assert playout.underruns == 0


def played(
    schedule: CutSchedule, known: Outlook, arrivals: list[tuple[float, int]], call_s: float, each_s: float
) -> tuple[PlayoutClock, float]:
    """Play an answer; and the longest that its second cut can have taken, from the end of the first on."""
    scheduler, playout, began_s = CutScheduler(schedule, known), PlayoutClock(), 3000.0
    waiting, now_s, cut_units, given_s = list(arrivals), began_s, 0, 0.0
    while not scheduler.finished:
        while waiting and began_s + waiting[0][0] <= now_s + 1e-9:
            at_s, units = waiting.pop(0)
            if units:
                scheduler.push([1], began_s + at_s)
            else:
                scheduler.flush()
        if not waiting:
            scheduler.finish()
        cut = scheduler.next_cut(playout.buffered_s(now_s), now_s)
        if cut is None:
            if scheduler.finished:
                break
            until = [began_s + waiting[0][0]] if waiting else []
            wait_s = scheduler.wait_s(playout.buffered_s(now_s), now_s)
            now_s = min([*until, now_s + wait_s + 1e-6] if wait_s is not None else until)
            continue
        units, final = cut
        handed = known.hand(len(units), now_s)
        now_s += call_s + each_s * len(units)
        known.arrived(handed, now_s)
        cut_units += len(units)
        audio_s = max(0.0, 0.07 * (cut_units if final else cut_units - 5)) - given_s
        given_s += audio_s
        if audio_s > 0:
            playout.sent(audio_s, now_s)
    gap = max((b - a for (a, _), (b, _) in zip(arrivals, arrivals[1:], strict=False)), default=0.0)
    return playout, gap + 2 * (call_s + each_s * 16)


def test_waits_until_low_water() -> None:
    scheduler = CutScheduler(SCHEDULE, outlook(service_s=0.03))
    assert scheduler.wait_s(1.0, 3000.0) is None
    scheduler.push(range(6), 0.0)
    cuts(scheduler, 1.0)
    assert scheduler.wait_s(1.0, 3000.0) is None, "nothing is pending"
    scheduler.push(range(3), 0.0)
    assert scheduler.wait_s(10.0, 3000.0) == 0.02, "others may come before: it looks again"
    assert scheduler.wait_s(0.385, 3000.0) == pytest.approx(0.005, abs=0.002)
    assert scheduler.wait_s(0.1, 3000.0) == 0.0
    assert scheduler.wait_s(-3.0, 3000.0) == 0.0


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
