"""Calls of one peer: so many a minute, and no more; in virtual time."""

from __future__ import annotations

import pytest

from server.errors import TooManyCalls
from server.webrtc.rate import CallRate


def test_a_peer_begins_so_many_calls_a_minute() -> None:
    rate = CallRate(3)
    for at_s in (0.0, 10.0, 20.0):
        rate.begin("a", at_s)
    with pytest.raises(TooManyCalls) as refused:
        rate.begin("a", 30.0)
    assert refused.value.retry_s == pytest.approx(30.0)
    rate.begin("b", 30.0)
    rate.begin("a", 60.0)
    with pytest.raises(TooManyCalls):
        rate.begin("a", 69.0)
    rate.begin("a", 70.0)


def test_what_was_refused_does_not_count() -> None:
    rate = CallRate(1)
    rate.begin("a", 0.0)
    for at_s in range(1, 60):
        with pytest.raises(TooManyCalls):
            rate.begin("a", float(at_s))
    rate.begin("a", 60.0)


def test_peers_are_forgotten() -> None:
    rate = CallRate(5)
    for number in range(1000):
        rate.begin(number, 0.0)
    rate.begin("later", 61.0)
    assert len(rate._begun) == 1
