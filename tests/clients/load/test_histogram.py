"""Percentiles to three digits, whatever the durations, and what never came counts as later than all."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.load.histogram import Histogram

durations = st.lists(st.one_of(st.floats(0, 1e-3), st.floats(0, 10), st.floats(0, 1e7)), min_size=1, max_size=200)
shares = st.sampled_from([0.001, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0])


def histogram(values: list[float], missing: int = 0) -> Histogram:
    made = Histogram()
    for value in values:
        made.add(value)
    for _ in range(missing):
        made.miss()
    return made


@given(durations, shares)
def test_a_percentile_is_the_nearest_rank_rounded_up_by_a_thousandth_at_most(values: list[float], share: float) -> None:
    exact = sorted(values)[max(1, math.ceil(round(share * len(values), 9))) - 1]
    found = histogram(values).percentile(share)
    assert exact - 0.5e-6 <= found <= max(exact * 1.001, exact + 1.5e-6)
    assert min(values) <= found <= max(values)


@given(durations)
def test_number_mean_and_extremes_are_exact_and_the_order_does_not_matter(values: list[float]) -> None:
    forth, back = histogram(values).summary(), histogram(values[::-1]).summary()
    assert (forth["n"], forth["min"], forth["max"]) == (len(values), round(min(values), 6), round(max(values), 6))
    assert forth["mean"] == pytest.approx(sum(values) / len(values), abs=1e-6)
    assert {name: value for name, value in forth.items() if name != "mean"} == {
        name: value for name, value in back.items() if name != "mean"
    }


@given(durations)
def test_the_steps_hold_every_duration_once(values: list[float]) -> None:
    steps = list(histogram(values).steps())
    assert sum(count for _, count in steps) == len(values)
    assert [upper for upper, _ in steps] == sorted(upper for upper, _ in steps)


def test_memory_is_bounded_by_the_range_and_not_by_the_number() -> None:
    made = histogram([number * 1e-4 for number in range(100_000)])
    assert len(list(made.steps())) < 12_000
    assert made.percentile(0.5) == pytest.approx(5.0, rel=0.001)


def test_what_never_came_is_later_than_everything() -> None:
    made = histogram([0.1] * 96, missing=4)
    assert made.percentile(0.95) == pytest.approx(0.1)
    assert made.percentile(0.97) == math.inf
    assert (made.max_s, made.mean_s) == (math.inf, math.inf)
    summary = made.summary()
    assert (summary["n"], summary["missing"], summary["p99"]) == (96, 4, None)
    assert histogram([], missing=1).percentile(0.5) == math.inf


def test_no_events_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no events"):
        Histogram().percentile(0.5)
    assert set(Histogram().summary().values()) == {0, None}


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_only_durations_are_counted(value: float) -> None:
    with pytest.raises(ValueError, match="no duration"):
        Histogram().add(value)
