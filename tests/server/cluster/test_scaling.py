"""How many replicas a stage gets. No Ray is needed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from server.cluster.scaling import GROW_ABOVE, PRESSURE, SHRINK_BELOW, Pressure, by_headroom, wanted

HIGH, FINE, LOW = GROW_ABOVE * 1.4, (GROW_ABOVE + SHRINK_BELOW) / 2, SHRINK_BELOW / 2


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def _answered(pressure: Pressure, clock: Clock, took_s: float, had_s: float) -> None:
    with pressure.call(had_s):
        clock.now_s += took_s


def test_a_call_counts_by_the_time_that_its_listener_has() -> None:
    clock = Clock()
    pressure = Pressure(clock)
    assert pressure.value() == 0
    _answered(pressure, clock, 0.3, had_s=3.0)
    assert pressure.value() == pytest.approx(0.1)
    _answered(pressure, clock, 0.3, had_s=0.3)
    assert pressure.value() == pytest.approx(1.0)


def test_a_queue_is_seen_by_its_age_before_anything_is_answered() -> None:
    clock = Clock()
    pressure = Pressure(clock)
    with pressure.call(1.0):
        clock.now_s += 2.5
        assert pressure.value() == pytest.approx(2.5)


def test_one_slow_call_in_many_is_no_pressure_once_it_is_over() -> None:
    clock = Clock()
    pressure = Pressure(clock)
    for _ in range(19):
        _answered(pressure, clock, 0.1, had_s=1.0)
    _answered(pressure, clock, 5.0, had_s=1.0)
    assert pressure.value() == pytest.approx(0.1)


def test_what_is_past_is_forgotten() -> None:
    clock = Clock()
    pressure = Pressure(clock)
    _answered(pressure, clock, 5.0, had_s=1.0)
    clock.now_s += 60
    assert pressure.value() == 0


@pytest.mark.parametrize(
    ("pressures", "target", "replicas"),
    [
        ([], 2, 2),
        ([FINE, FINE], 2, 2),
        ([HIGH, HIGH], 2, 3),
        ([9.0, 9.0], 2, 4),
        ([HIGH, HIGH], 4, 4),  # two more are on their way
        ([LOW, LOW, LOW], 3, 2),
        ([LOW, LOW], 3, 3),  # the third has not said anything yet
        ([LOW], 1, 1),
        ([HIGH, LOW, LOW], 3, 3),  # new streams go where there is room
    ],
)
def test_a_stage_grows_with_its_pressure_and_shrinks_by_one(pressures: list[float], target: int, replicas: int) -> None:
    assert wanted(pressures, target) == replicas


@pytest.mark.parametrize(
    ("said", "replicas"), [(None, 3), ({}, 3), ({PRESSURE: dict.fromkeys("abc", 5.0)}, 6)], ids=str
)
def test_serves_policy_returns_what_is_wanted(said: dict[str, dict[str, float]] | None, replicas: int) -> None:
    stage: Any = SimpleNamespace(target_num_replicas=3, aggregated_metrics=said, policy_state={"kept": 1})
    assert by_headroom(stage) == (replicas, {"kept": 1})
