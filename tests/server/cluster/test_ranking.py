"""Which replica a call goes to."""

from __future__ import annotations

from collections import Counter

from server.cluster.ranking import ranked


def test_a_call_that_names_a_replica_goes_there_or_nowhere() -> None:
    assert ranked("b", {"a": 0, "b": 9}) == [["b"]]


def test_a_session_keeps_its_replica_while_others_come_and_go() -> None:
    sessions = [f"sess_{number}" for number in range(200)]
    before = {session: ranked(session, dict.fromkeys("abc", 0))[0][0] for session in sessions}
    assert min(Counter(before.values()).values()) > 40
    without_c = {session: ranked(session, {"a": 5, "b": 0})[0][0] for session in sessions}
    assert all(without_c[session] == name for session, name in before.items() if name != "c")
    with_d = {session: ranked(session, dict.fromkeys("abcd", 0))[0][0] for session in sessions}
    assert all(with_d[session] in (name, "d") for session, name in before.items())


def test_a_session_whose_replica_is_full_has_others_to_go_to() -> None:
    assert sorted(name for [name] in ranked("sess_1", dict.fromkeys("abc", 0))) == ["a", "b", "c"]


def test_a_new_stream_goes_to_the_replica_with_the_fewest() -> None:
    assert ranked("", {"a": 3, "b": 1}) == [["b"], ["a"]]
    assert sorted(ranked("", {"a": 2, "b": 2})[0]) == ["a", "b"]
    assert ranked("", {}) == []


def test_of_many_replicas_two_are_compared() -> None:
    """Gateways that all see the same counts, a second old, do not all go to the same replica."""
    streams = {name: number for number, name in enumerate("abcdefgh")}
    firsts = Counter(ranked("", streams)[0][0] for _ in range(400))
    assert "h" not in firsts
    assert len(firsts) > 4
    assert all(sorted(name for group in ranked("", streams) for name in group) == sorted(streams) for _ in range(10))
