"""Who is let in: in virtual time, on a machine that is as fast as the test says."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import TooManyWaiting
from server.state.gate import Gate, GateRules
from streaming.errors import CapacityError
from streaming.load import FULL, Meter

TICK_S = 0.25
TURN_S, THINK_S = 5.0, 5.0
"""A session listens and thinks in turn."""


@dataclass
class Machine:
    """A stage that needs no time for few answers at once, and is as slow as they are many beyond `knee` of them."""

    knee: float
    meter: Meter = field(default_factory=lambda: Meter(FULL["vocoder"]))

    def serve(self, answers: int, now_s: float) -> float:
        """A tick of so many answers. The load after it."""
        for _ in range(answers):
            self.meter.add(now_s, waited_s=TICK_S * min(2.0, (answers / self.knee) ** 2 * 0.85), speech_s=TICK_S)
        return self.meter.value(now_s)


@dataclass
class Run:
    """What happened: sessions in, by tick; the load; who came, got in, gave up; longest wait."""

    active: list[int] = field(default_factory=list[int])
    load: list[float] = field(default_factory=list[float])
    came: list[int] = field(default_factory=list[int])
    admitted: list[int] = field(default_factory=list[int])
    refused: int = 0
    gave_up: int = 0


def simulate(
    gate: Gate,
    machine: Machine,
    *,
    every_s: float,
    stays_s: float,
    for_s: float,
    patience_s: float = 10.0,
    peers: int = 1000,
    rng: random.Random,
) -> Run:
    """Sessions that come at random times and stay for a while, half of which they are answered."""
    run, now_s, load = Run(), 0.0, 0.0
    inside: dict[int, tuple[float, float]] = {}
    waiting: dict[int, float] = {}
    number, next_s = 0, 0.0

    def enter(who: int) -> None:
        inside[who] = (now_s + rng.expovariate(1 / stays_s), rng.uniform(0, TURN_S + THINK_S))
        run.admitted.append(who)

    while now_s < for_s:
        while next_s <= now_s:
            number, next_s = number + 1, next_s + rng.expovariate(1 / every_s)
            try:
                came_in = gate.arrive(number, number % peers, now_s, load)
            except CapacityError:
                run.refused += 1
                continue
            run.came.append(number)
            if came_in:
                enter(number)
            else:
                waiting[number] = now_s + patience_s
        for who in [who for who, (ends_s, _) in inside.items() if ends_s <= now_s]:
            del inside[who]
            gate.leave(who, now_s)
        for who in [who for who, ends_s in waiting.items() if ends_s <= now_s]:
            del waiting[who]
            gate.leave(who, now_s)
            run.gave_up += 1
        for who in gate.let_in(now_s, load):
            del waiting[who]
            enter(who)
        answers = sum((now_s + phase) % (TURN_S + THINK_S) < TURN_S for _, phase in inside.values())
        load = machine.serve(answers, now_s)
        run.active.append(gate.active)
        run.load.append(load)
        now_s += TICK_S
    return run


@pytest.mark.parametrize("knee", [3, 10, 40])
def test_as_many_are_in_as_the_machine_carries_and_they_stay_about_as_many(knee: int) -> None:
    """Of sessions of which half are answered at a time, twice as many as answers that the machine carries at once."""
    gate = Gate(GateRules(1000, 32, 32))
    run = simulate(gate, Machine(knee), every_s=15 / knee, stays_s=60.0, for_s=1200.0, rng=random.Random(knee))
    late = run.active[len(run.active) // 2 :]
    carried = 2 * knee
    assert 0.5 * carried < sum(late) / len(late) < 1.2 * carried
    assert max(late) <= 1.5 * carried + 2
    assert sum(load > 1.0 for load in run.load[len(run.load) // 2 :]) < (0.4 if knee == 3 else 0.15) * len(late)
    assert run.gave_up + run.refused > 0, "more came than there was room for"


def test_it_does_not_swing() -> None:
    """From one ten seconds to the next a sixth of the sessions stay a shorter time than that; nobody is let in by a wave."""
    gate = Gate(GateRules(1000, 32, 32))
    run = simulate(gate, Machine(20), every_s=0.75, stays_s=60.0, for_s=1800.0, rng=random.Random(1))
    late = run.active[len(run.active) // 2 :]
    means = [sum(late[at : at + 40]) / 40 for at in range(0, len(late) - 40, 40)]
    assert max(abs(after - before) for before, after in pairwise(means)) <= 40 / 6 + 2
    assert max(means) - min(means) <= 0.4 * max(means)


def test_a_machine_that_is_fast_enough_is_filled_to_the_ceiling() -> None:
    gate = Gate(GateRules(200, 400, 400))
    run = simulate(gate, Machine(1000), every_s=0.001, stays_s=1e9, for_s=40.0, patience_s=1e9, rng=random.Random(2))
    assert run.active[-1] == 200
    assert max(run.active) == 200


def test_sessions_that_come_and_go_all_the_time_find_more_room_too() -> None:
    """As turns over HTTP do: at the limit there is always one fewer for a moment."""
    gate = Gate(GateRules(100, 64, 64))
    run = simulate(gate, Machine(500), every_s=0.02, stays_s=1.0, for_s=60.0, rng=random.Random(3))
    assert max(run.active) > 40
    assert run.refused + run.gave_up < 0.1 * len(run.came)


def test_a_machine_that_became_slower_empties_and_fills_again() -> None:
    gate, machine, rng = Gate(GateRules(100, 16, 16)), Machine(20), random.Random(4)
    before = simulate(gate, machine, every_s=0.5, stays_s=20.0, for_s=300.0, rng=rng).active
    assert sum(before[-200:]) / 200 > 20
    gate, machine = Gate(GateRules(100, 16, 16)), Machine(4)
    slow = simulate(gate, machine, every_s=0.5, stays_s=20.0, for_s=300.0, rng=rng).active
    assert sum(slow[-200:]) / 200 < 12


def in_order(gate: Gate, count: int) -> list[str]:
    """So many leave, one after the other; who gets in."""
    came = []
    for number in range(count):
        gate.leave(f"in{number}", 100.0 + number)
        came += [str(who) for who in gate.let_in(100.0 + number, 0.0)]
    return came


def full(ceiling: int = 4, waiting: int = 3, of_peer: int = 2) -> Gate:
    gate = Gate(GateRules(ceiling, waiting, of_peer))
    for number in range(ceiling):
        assert gate.arrive(f"in{number}", "p", 0.0, 0.0)
    return gate


def test_first_come_first_served() -> None:
    gate = full()
    for who in "abc":
        assert not gate.arrive(who, who, 0.0, 0.0)
    assert [gate.place(who, 0.0).position for who in "abc"] == [1, 2, 3]
    gate.leave("in3", 1.0)
    with pytest.raises(CapacityError):
        gate.arrive("d", "d", 1.0, 0.0)  # there is room, but others came before
    assert gate.let_in(1.0, 0.0) == ["a"]
    assert in_order(gate, 3) == ["b", "c"]


def test_who_gave_up_is_passed_over() -> None:
    gate = full()
    for who in "abc":
        gate.arrive(who, who, 0.0, 0.0)
    gate.leave("b", 1.0)
    assert gate.place("c", 1.0).position == 2
    assert in_order(gate, 3) == ["a", "c"]


def test_one_peer_does_not_fill_the_queue() -> None:
    gate = full()
    gate.arrive("a", "greedy", 0.0, 0.0)
    gate.arrive("b", "greedy", 0.0, 0.0)
    with pytest.raises(TooManyWaiting) as refused:
        gate.arrive("c", "greedy", 0.0, 0.0)
    assert refused.value.retry_s and refused.value.retry_s > 0
    assert not gate.arrive("d", "modest", 0.0, 0.0)


def test_the_wait_is_what_it_was_of_late() -> None:
    gate = full(16, 10, 10)
    for number in range(16):
        gate.leave(f"in{number}", 2.0 * number)
        gate.arrive(f"again{number}", "p", 2.0 * number, 0.0)
    gate.arrive("a", "p", 30.0, 0.0)
    gate.arrive("b", "p", 30.0, 0.0)
    assert gate.place("a", 30.0).wait_s == pytest.approx(2.0, rel=0.2)
    assert gate.place("b", 30.0).wait_s == pytest.approx(4.0, rel=0.2)
    assert gate.place("a", 60.0).wait_s == pytest.approx(30.0), "nobody has left for so long"


def test_nobody_is_let_in_while_a_stage_is_full_and_not_before_there_is_room_again() -> None:
    gate = Gate(GateRules(100, 8, 8))
    assert gate.arrive("first", "p", 0.0, 3.0), "an empty server lets somebody in at any load"
    assert not gate.arrive("a", "p", 0.1, 1.0)
    assert not gate.arrive("b", "p", 0.1, 1.0)
    assert gate.let_in(20.0, 0.9) == []
    assert gate.let_in(21.0, 0.6) == ["a"], "room, and the limit was learned by one session"
    assert gate.let_in(25.0, 0.9) == gate.let_in(26.0, 0.6) == [], "the one who came may not show yet"
    assert gate.let_in(40.0, 0.6) == ["b"]


def test_a_check_says_what_would_be_and_changes_nothing() -> None:
    gate = full(1, 0)
    for _ in range(2):
        with pytest.raises(CapacityError):
            gate.check("p", 0.0, 0.0)
    assert (gate.active, gate.waiting) == (1, 0)


@given(
    st.integers(0, 6),
    st.lists(
        st.tuples(
            st.sampled_from(["arrive", "leave", "let_in", "check"]),
            st.integers(0, 12),
            st.floats(0, 3),
            st.floats(0, 5),
        ),
        max_size=120,
    ),
)
def test_never_more_than_the_ceiling_never_out_of_order(
    ceiling: int, steps: list[tuple[str, int, float, float]]
) -> None:
    gate, now_s = Gate(GateRules(ceiling, 4, 3)), 0.0
    inside, waiting = list[int](), list[int]()
    for kind, who, load, passed_s in steps:
        now_s += passed_s
        if kind == "arrive" and who not in inside + waiting:
            try:
                (inside if gate.arrive(who, who % 2, now_s, load) else waiting).append(who)
            except CapacityError:
                assert len(waiting) >= 3 or ceiling == 0 or waiting or inside
        elif kind == "leave":
            gate.leave(who, now_s)
            inside, waiting = [one for one in inside if one != who], [one for one in waiting if one != who]
        elif kind == "let_in":
            came = gate.let_in(now_s, load)
            assert came == waiting[: len(came)], "in order of arrival"
            inside, waiting = inside + waiting[: len(came)], waiting[len(came) :]
            assert inside or not waiting or not ceiling, "an empty server lets somebody in"
        assert (gate.active, gate.waiting) == (len(inside), len(waiting))
        assert gate.active <= ceiling
        assert gate.waiting <= 4
        assert max((sum(one % 2 == peer for one in waiting) for peer in (0, 1)), default=0) <= 3
        assert not ceiling or gate.limit >= 1
