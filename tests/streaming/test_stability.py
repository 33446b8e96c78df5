"""Committing frames of an unfinished speech: what is committed stands, and being wrong is counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streaming.stability import CommittedPrefix, EarlyCounts, StabilityRule, Trust

RULES = st.builds(StabilityRule, repeats=st.integers(1, 4), edge_frames=st.integers(0, 6))
LOOKS = st.lists(st.lists(st.integers(0, 2), max_size=20), max_size=8)


def test_by_hand() -> None:
    prefix = CommittedPrefix(StabilityRule(repeats=2, edge_frames=2))
    assert prefix.update([5, 6, 7]) == []
    assert prefix.update([5, 6, 7, 8]) == [5, 6]
    assert prefix.update([5, 6, 1, 8, 9, 9]) == []  # the third frame changed, the fourth stands behind it
    assert prefix.update([5, 4, 1, 8, 9, 9, 9]) == [1, 8, 9]  # the second changed too late: it is committed
    assert prefix.frames == [5, 6, 1, 8, 9]
    assert prefix.settle([5, 4, 1, 8, 9, 9, 9, 9]) == [9, 9, 9]
    assert prefix.revised == 1


@given(RULES, LOOKS, st.lists(st.integers(0, 2), max_size=20))
def test_committed_is_always_a_prefix_off_the_end_and_of_what_was_seen_often_enough(
    rule: StabilityRule, looks: list[list[int]], whole: list[int]
) -> None:
    prefix, told = CommittedPrefix(rule), list[int]()
    for number, look in enumerate(looks):
        fresh = prefix.update(look)
        begin, told = len(told), told + fresh
        assert prefix.frames == told
        if fresh:
            recent = looks[max(0, number + 1 - rule.repeats) : number + 1]
            assert len(recent) == rule.repeats
            assert all(earlier[begin : len(told)] == fresh for earlier in recent)
            assert len(told) <= len(look) - rule.edge_frames
    rest = prefix.settle(whole)
    assert rest == whole[len(told) :]
    assert prefix.revised == sum(place >= len(whole) or whole[place] != code for place, code in enumerate(told))


@given(RULES, st.lists(st.integers(0, 9), max_size=40), st.lists(st.integers(0, 40), max_size=10))
def test_frames_that_never_change_are_committed_and_never_contradicted(
    rule: StabilityRule, speech: list[int], ends: list[int]
) -> None:
    prefix, committed = CommittedPrefix(rule), 0
    lengths = sorted(min(end, len(speech)) for end in ends)
    for number, length in enumerate(lengths):
        prefix.update(speech[:length])
        seen_often = lengths[number + 1 - rule.repeats] if number + 1 >= rule.repeats else 0
        committed = max(committed, min(seen_often, length - rule.edge_frames))
        assert prefix.frames == speech[:committed]
    assert prefix.frames + prefix.settle(speech) == speech
    assert prefix.revised == 0


def settled(frames: int, wrong: int) -> CommittedPrefix:
    prefix = CommittedPrefix(StabilityRule(repeats=1, edge_frames=0))
    prefix.update([1] * frames)
    prefix.settle([2] * wrong + [1] * (frames - wrong))
    return prefix


def test_an_encoder_is_watched_before_it_is_believed_and_again_once_it_disappoints() -> None:
    trust = Trust(StabilityRule(most_wrong=0.05))
    assert not trust.holds
    speeches = 0
    while not trust.holds:
        trust.judge(settled(100, 1))
        speeches += 1
    assert 10 < speeches < 50
    trust.judge(CommittedPrefix(StabilityRule()))  # nothing was committed: nothing is learnt
    assert trust.holds
    trust.judge(settled(100, 90))
    assert not trust.holds


def test_whoever_accepts_everything_believes_at_once() -> None:
    assert Trust(StabilityRule(most_wrong=1.0)).holds


def test_counts_tell_what_was_used_from_what_was_only_watched() -> None:
    counts = EarlyCounts()
    counts.add(settled(10, 3), committed=True)
    counts.add(settled(20, 4), committed=False)
    assert (counts.committed, counts.committed_wrong, counts.watched, counts.watched_wrong) == (10, 3, 20, 4)
