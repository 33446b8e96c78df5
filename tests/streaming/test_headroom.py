"""Room for turns that may come to nothing: what is left by those that are certain, and less after gaps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streaming.headroom import Headroom


def refuses() -> None:
    raise AssertionError("nobody asked it to give way")


def test_speculative_turns_share_the_room() -> None:
    headroom = Headroom(2)
    assert headroom.admit("a", refuses) and headroom.admit("b", refuses)
    assert not headroom.admit("c", refuses)
    headroom.end("a")
    assert headroom.admit("c", refuses)


def test_the_latest_gives_way_to_a_turn_that_is_certain() -> None:
    headroom, gone = Headroom(3), list[str]()
    for turn in ("a", "b"):
        assert headroom.admit(turn, lambda turn=turn: gone.append(turn))
    headroom.begin("c")
    assert not gone
    headroom.begin("d")
    assert gone == ["b"]
    headroom.begin("a")  # has become certain: nobody need go
    assert gone == ["b"] and headroom.speculative == 0


def test_after_gaps_there_is_none_beside_another_turn_and_it_comes_back() -> None:
    headroom = Headroom(4)
    for turn in range(8):
        headroom.begin(turn)
    for turn in range(8):
        headroom.end(turn, gaps=1)
    assert headroom.room == 1.0
    assert headroom.admit("alone", refuses)
    headroom.end("alone")
    headroom.begin("certain")
    assert not headroom.admit("beside", refuses)
    headroom.end("certain")
    for turn in range(8):
        headroom.begin(turn)
        headroom.end(turn)
    headroom.begin("certain")
    assert headroom.admit("beside", refuses)


def test_none_at_all() -> None:
    assert not Headroom(0).admit("a", refuses)


def test_what_was_not_used_is_not_learned() -> None:
    headroom = Headroom(4)
    for turn in range(1000):
        headroom.begin(turn)
        headroom.end(turn)
    assert headroom.room == 4.0


@given(st.lists(st.tuples(st.sampled_from(["admit", "begin", "end", "gap"]), st.integers(0, 9)), max_size=80))
def test_it_never_exceeds_its_share(steps: list[tuple[str, int]]) -> None:
    headroom = Headroom(3)
    certain = set[int]()
    for kind, turn in steps:
        if kind == "admit":
            if turn not in certain:
                headroom.admit(turn, lambda: None)
        elif kind == "begin":
            headroom.begin(turn)
            certain.add(turn)
        else:
            headroom.end(turn, gaps=kind == "gap")
            certain.discard(turn)
        assert headroom.speculative <= 3
        assert not headroom.speculative or headroom.speculative + len(certain) <= max(headroom.room, 3)
        assert headroom.room >= 1.0
