"""What cuts take and give, learned from those before."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.outlook import HandedCut, Outlook, Trend


def test_a_trend_forgets() -> None:
    trend = Trend((0.0, 0.0), (10.0, 100.0))
    assert trend.at(5.0) == pytest.approx(50.0)
    for number in range(400):
        trend.learn(number % 10, 3.0 + 2.0 * (number % 10))
    assert trend.at(20.0) == pytest.approx(43.0, abs=0.1)
    assert trend.deviation == pytest.approx(0.0, abs=0.01)


def test_a_trend_of_one_place_is_level() -> None:
    trend = Trend((4.0, 1.0))
    trend.learn(4.0, 3.0)
    assert trend.at(100.0) == pytest.approx(2.0, abs=0.1)


def taught(service_s: float) -> Outlook:
    outlook = Outlook()
    for number in range(300):
        cut = outlook.hand(number % 20, number * 10.0)
        outlook.arrived(cut, number * 10.0 + service_s)
    return outlook


def test_cuts_that_wait_are_waited_for() -> None:
    outlook = taught(0.03)
    assert outlook.delay_s(6, 4000.0) == pytest.approx(0.03, abs=0.002)
    cuts = [outlook.hand(6, 4000.0) for _ in range(3)]
    assert outlook.waiting == 3
    assert outlook.delay_s(6, 4000.0) == pytest.approx(0.12, abs=0.004)
    assert outlook.delay_s(6, 4000.02) == pytest.approx(0.10, abs=0.004), "the first is nearly done"
    outlook.arrived(cuts[0], 4000.03)
    outlook.dropped(cuts[1])
    assert outlook.delay_s(6, 4000.03) == pytest.approx(0.06, abs=0.004)
    outlook.dropped(cuts[1])
    assert outlook.waiting == 1


def test_waiting_behind_others_is_no_slowness() -> None:
    outlook = taught(0.03)
    for round_ in range(50):
        at_s = 4000.0 + 10 * round_
        for number, cut in enumerate([outlook.hand(6, at_s) for _ in range(5)], start=1):
            outlook.arrived(cut, at_s + 0.03 * number)
    assert outlook.delay_s(6, 9000.0) == pytest.approx(0.03, abs=0.003)


def test_slowness_is_noticed_within_some_dozens_of_cuts() -> None:
    outlook = taught(0.03)
    for number in range(60):
        cut = outlook.hand(6, 5000.0 + number)
        outlook.arrived(cut, 5000.0 + number + 0.2)
    assert outlook.delay_s(6, 6000.0) > 0.18


def test_a_first_cut_is_expected_to_give_little_where_it_differs() -> None:
    steady, unsteady = Outlook(), Outlook()
    for number in range(200):
        steady.began(8, 0.2)
        unsteady.began(8, 0.1 if number % 2 else 0.3)
    assert steady.first_audio_s(8) == pytest.approx(0.2, abs=0.01)
    assert unsteady.first_audio_s(8) < 0.05


@given(
    st.lists(st.tuples(st.integers(0, 40), st.floats(0, 3), st.sampled_from(["hand", "arrive", "drop"])), max_size=40)
)
def test_any_order_of_cuts_leaves_sane_expectations(steps: Sequence[tuple[int, float, str]]) -> None:
    outlook, out, now_s = Outlook(), list[HandedCut](), 100.0
    for units, passed_s, what in steps:
        now_s += passed_s
        if what == "hand":
            out.append(outlook.hand(units, now_s))
        elif out:
            cut = out.pop(units % len(out))
            if what == "arrive":
                outlook.arrived(cut, now_s)
            else:
                outlook.dropped(cut)
        assert outlook.waiting == len(out)
        assert 0 <= outlook.delay_s(units, now_s) < 1e3
