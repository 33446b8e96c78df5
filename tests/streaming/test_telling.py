"""Which earlier turns are told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.telling import told


@pytest.mark.parametrize(
    ("turns", "most", "first"),
    [(0, 6, 0), (6, 6, 0), (7, 6, 3), (9, 6, 3), (10, 6, 6), (5, 1, 4), (3, 2, 1), (4, 3, 1)],
)
def test_the_oldest_go_half_of_them_at_a_time(turns: int, most: int, first: int) -> None:
    assert list(told(range(turns), most)) == list(range(first, turns))


def test_none_are_told_where_none_are_wanted() -> None:
    assert not told([1, 2], 0)


@given(st.integers(1, 200), st.integers(1, 40))
def test_most_turns_begin_as_the_one_before(turns: int, most: int) -> None:
    windows = [told(range(count), most) for count in range(turns)]
    assert all(len(window) <= most for window in windows)
    assert all(len(window) > (most - 1) // 2 for window in windows[most:])
    moved = sum(bool(before) and before[0] != after[0] for before, after in zip(windows, windows[1:], strict=False))
    assert moved <= max(0, turns - most) // max(1, most // 2) + 1
