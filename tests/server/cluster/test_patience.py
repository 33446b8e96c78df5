"""How long a gateway waits for a replica."""

from __future__ import annotations

import pytest

from server.cluster.patience import Patience


def _after(*took_s: float) -> Patience:
    patience = Patience(20.0)
    for seconds in took_s:
        patience.answered(seconds)
    return patience


@pytest.mark.parametrize("answers", range(8))
def test_before_enough_was_answered_it_waits_as_long_as_it_may(answers: int) -> None:
    assert _after(*[0.01] * answers).wait_s() == 20.0


def test_quick_answers_are_waited_for_a_second() -> None:
    assert _after(*[0.01] * 100).wait_s() == 1.0


def test_slow_and_uneven_answers_are_waited_for_longer() -> None:
    even, uneven = _after(*[2.0] * 100), _after(*[1.0, 3.0] * 50)
    assert 2.0 < even.wait_s() < 2.1
    assert 4.0 < uneven.wait_s() < 8.0


def test_it_waits_longer_for_each_further_replica_up_to_its_limit() -> None:
    patience = _after(*[0.01] * 100)
    assert [patience.wait_s(losses) for losses in range(4)] == [1.0, 4.0, 16.0, 20.0]


@pytest.mark.parametrize("took_s", [3.0, 15.0])
def test_where_all_become_slow_it_learns_to_wait(took_s: float) -> None:
    """An answer to a later replica counts, so that streams do not go round for ever."""
    patience = _after(*[0.01] * 100)
    for _ in range(20):
        losses = next(losses for losses in range(5) if patience.wait_s(losses) > took_s)
        patience.answered(took_s)
    assert losses == 0
