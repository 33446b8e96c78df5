"""What a gateway makes of replicas that say nothing."""

from __future__ import annotations

import pytest

from server.cluster.doubts import DOUBT_S, SILENT_S, Doubts


class Clock:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def doubts(clock: Clock) -> Doubts:
    return Doubts(clock)


def test_a_replica_is_silent_once_it_owes_a_word(doubts: Doubts, clock: Clock) -> None:
    doubts.asked("a")
    assert doubts.silent() == set()
    clock.now_s += SILENT_S * 1.01
    assert doubts.silent() == {"a"}
    assert doubts.unreachable() == set()


def test_calls_that_follow_do_not_hide_the_first(doubts: Doubts, clock: Clock) -> None:
    doubts.asked("a")
    clock.now_s += SILENT_S * 0.8
    doubts.asked("a")
    clock.now_s += SILENT_S * 0.4
    assert doubts.silent() == {"a"}


def test_a_word_ends_every_doubt(doubts: Doubts, clock: Clock) -> None:
    doubts.asked("a")
    doubts.failed("a")
    doubts.asked("b")
    clock.now_s += SILENT_S * 1.01
    doubts.heard("a")
    assert (doubts.unreachable(), doubts.silent()) == (set(), {"b"})


def test_one_that_could_not_be_reached_is_asked_again_some_time(doubts: Doubts, clock: Clock) -> None:
    doubts.failed("a")
    clock.now_s += DOUBT_S * 0.9
    assert doubts.unreachable() == {"a"}
    clock.now_s += DOUBT_S * 0.2
    assert doubts.unreachable() == set()


def test_so_is_one_that_was_silent(doubts: Doubts, clock: Clock) -> None:
    """It may have been cut off for a moment, and nobody has asked it since."""
    doubts.asked("a")
    clock.now_s += DOUBT_S * 1.1
    assert doubts.silent() == set()
    doubts.asked("a")
    clock.now_s += SILENT_S * 1.01
    assert doubts.silent() == {"a"}
