"""Relying on units of an unfinished speech: what is relied upon, and that being wrong is counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streaming.stability import LikelyPrefix, StabilityRule

RULES = st.builds(StabilityRule, repeats=st.integers(1, 4), edge_frames=st.integers(0, 6))
LOOKS = st.lists(st.lists(st.integers(0, 2), max_size=20), max_size=8)


def test_by_hand() -> None:
    prefix = LikelyPrefix(StabilityRule(repeats=2, edge_frames=2))
    assert prefix.look([5, 6, 7]) == []
    assert prefix.look([5, 6, 7, 8]) == [5, 6]
    assert prefix.look([5, 6, 1, 8, 9, 9]) == [5, 6]  # the third frame changed, the fourth stands behind it
    assert prefix.look([5, 4, 1, 8, 9, 9, 9]) == [5]  # one of those relied upon changed
    assert (prefix.relied, prefix.revised) == (2, 1)
    assert prefix.look([5, 4, 1, 8, 9, 9, 9, 9]) == [5, 4, 1, 8, 9, 9]
    assert prefix.relied == 7  # the second frame twice, for two codes
    prefix.settle([3, 4, 1, 8, 9, 9, 9, 9])
    assert prefix.revised == 2


@given(RULES, LOOKS)
def test_what_is_relied_upon_begins_the_last_look_and_keeps_off_its_end(
    rule: StabilityRule, looks: list[list[int]]
) -> None:
    prefix = LikelyPrefix(rule)
    for look in looks:
        likely = prefix.look(look)
        assert likely == look[: len(likely)]
        assert len(likely) <= max(0, len(look) - rule.edge_frames)


@given(RULES, LOOKS)
def test_nothing_is_relied_upon_before_it_was_seen_often_enough(rule: StabilityRule, looks: list[list[int]]) -> None:
    prefix = LikelyPrefix(rule)
    for number, look in enumerate(looks):
        likely = prefix.look(look)
        recent = looks[max(0, number + 1 - rule.repeats) : number + 1]
        assert not likely or len(recent) == rule.repeats
        for earlier in recent:
            assert earlier[: len(likely)] == likely


@given(RULES, st.lists(st.integers(0, 9), max_size=40), st.lists(st.integers(0, 40), max_size=10))
def test_frames_that_never_change_are_relied_upon_and_never_revised(
    rule: StabilityRule, speech: list[int], ends: list[int]
) -> None:
    prefix = LikelyPrefix(rule)
    lengths = sorted(min(end, len(speech)) for end in ends)
    for number, length in enumerate(lengths):
        seen_often = lengths[number + 1 - rule.repeats] if number + 1 >= rule.repeats else 0
        likely = prefix.look(speech[:length])
        assert len(likely) == max(0, min(seen_often, length - rule.edge_frames))
    prefix.settle(speech)
    assert prefix.revised == 0


@given(RULES, LOOKS, st.lists(st.integers(0, 2), max_size=20))
def test_every_mistake_is_counted(rule: StabilityRule, looks: list[list[int]], whole: list[int]) -> None:
    prefix = LikelyPrefix(rule)
    wrong, likely = 0, list[int]()
    for look in [*looks, whole]:
        wrong += len(likely) - sum(a == b for a, b in zip(look, likely, strict=False))
        likely = prefix.look(look) if look is not whole else likely
    prefix.settle(whole)
    assert prefix.revised == wrong <= prefix.relied
