"""Which replica a call goes to."""

from __future__ import annotations

from collections import Counter

import pytest

from server.cluster.ranking import Wish, ranked

ROOM = Wish()


def session(name: str, losses: int = 0, lost: str = "") -> Wish:
    return Wish(key=name, losses=losses, lost=lost)


@pytest.mark.parametrize("wish", [ROOM, Wish("a b"), session("sess_1", 2, "ü")])
def test_a_wish_is_carried_as_a_string(wish: Wish) -> None:
    assert Wish.read(str(wish)) == wish


def test_a_call_without_a_wish_goes_where_there_is_room() -> None:
    assert Wish.read("") == ROOM


def test_a_call_that_names_a_replica_goes_there() -> None:
    assert ranked(Wish("b"), {"a": 0, "b": 9}) == [["b"]]


def test_a_call_that_names_a_replica_that_is_gone_is_refused_by_another() -> None:
    """It does not wait for the one that is gone."""
    assert ranked(Wish("b"), {"a": 0}) == [["a"]]


def test_after_each_loss_another_replica_is_asked() -> None:
    for number in range(50):
        firsts = [ranked(session(f"sess_{number}", losses), dict.fromkeys("abc", 0))[0][0] for losses in range(3)]
        assert sorted(firsts) == ["a", "b", "c"]


def test_a_replica_that_did_not_answer_comes_last() -> None:
    for losses in range(1, 5):
        assert ranked(session("sess_1", losses, "b"), dict.fromkeys("abc", 0))[-1] == ["b"]


def test_a_stream_leaves_a_replica_that_cannot_be_reached() -> None:
    assert ranked(Wish("b"), {"a": 0, "b": 0}, unreachable={"b"}) == [["a"], ["b"]]
    assert ranked(Wish("b"), {"b": 0}, unreachable={"b"}) == [["b"]]


def test_a_stream_stays_with_a_replica_that_is_silent() -> None:
    """Its state is there, and the replica may only be busy."""
    assert ranked(Wish("b"), {"a": 0, "b": 0}, silent={"b"}) == [["b"]]


def test_replicas_in_doubt_come_last_for_a_new_stream() -> None:
    """They have the fewest streams, since their count is old."""
    streams = {"a": 3, "b": 0, "c": 9, "d": 0}
    for _ in range(20):
        assert ranked(ROOM, streams, unreachable={"b"}, silent={"d"}) == [["a"], ["c"], ["b", "d"]]
    assert ranked(ROOM, {"a": 3, "b": 0}, silent={"a", "b"}) == [["a", "b"]]


def test_replicas_in_doubt_come_last_for_a_session() -> None:
    for number in range(20):
        named = dict.fromkeys("abc", 0)
        assert ranked(session(f"sess_{number}"), named, silent={"b"})[-1] == ["b"]
        assert ranked(session(f"sess_{number}", 1), named, unreachable={"b"})[-1] == ["b"]


def test_a_session_keeps_its_replica_while_others_come_and_go() -> None:
    sessions = [f"sess_{number}" for number in range(200)]
    before = {name: ranked(session(name), dict.fromkeys("abc", 0))[0][0] for name in sessions}
    assert min(Counter(before.values()).values()) > 40
    without_c = {name: ranked(session(name), {"a": 5, "b": 0})[0][0] for name in sessions}
    assert all(without_c[name] == replica for name, replica in before.items() if replica != "c")
    with_d = {name: ranked(session(name), dict.fromkeys("abcd", 0))[0][0] for name in sessions}
    assert all(with_d[name] in (replica, "d") for name, replica in before.items())


def test_a_session_whose_replica_is_full_has_others_to_go_to() -> None:
    assert sorted(name for [name] in ranked(session("sess_1"), dict.fromkeys("abc", 0))) == ["a", "b", "c"]


def test_a_new_stream_goes_to_the_replica_with_the_fewest() -> None:
    assert ranked(ROOM, {"a": 3, "b": 1}) == [["b"], ["a"]]
    assert sorted(ranked(ROOM, {"a": 2, "b": 2})[0]) == ["a", "b"]
    assert ranked(ROOM, {}) == []


def test_of_many_replicas_two_are_compared() -> None:
    """Gateways that all see the same counts, a second old, do not all go to the same replica."""
    streams = {name: number for number, name in enumerate("abcdefgh")}
    firsts = Counter(ranked(ROOM, streams)[0][0] for _ in range(400))
    assert "h" not in firsts
    assert len(firsts) > 4
    assert all(sorted(name for group in ranked(ROOM, streams) for name in group) == sorted(streams) for _ in range(10))
