"""The search finds the highest load, in few steps, whatever it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.load.search import Search


def found(search: Search, bearable: int) -> list[int]:
    """The loads that were tried on a server that bears so many."""
    tried: list[int] = []
    while (load := search.next()) is not None:
        tried.append(load)
        search.tried(load, met=load <= bearable)
    return tried


@given(st.integers(0, 3000), st.integers(1, 40), st.integers(0, 2000))
def test_it_finds_the_highest_load(bearable: int, first: int, above: int) -> None:
    search = Search(first, first + above)
    tried = found(search, bearable)
    assert len(tried) == len(set(tried)) <= 24
    assert all(1 <= load <= search.most for load in tried)
    best = min(bearable, search.most)
    assert search.highest <= best
    assert best - search.highest <= max(0, search.highest // 16)


def test_it_doubles_and_then_halves_the_distance() -> None:
    assert found(Search(1, 1000), 11) == [1, 2, 4, 8, 16, 12, 10, 11]
    assert found(Search(1, 3), 100) == [1, 2, 3]
    assert found(Search(8, 100), 5) == [8, 4, 6, 5]


@pytest.mark.parametrize(("first", "most"), [(0, 5), (6, 5)])
def test_there_must_be_a_load_to_try(first: int, most: int) -> None:
    with pytest.raises(ValueError, match="no load to try"):
        Search(first, most)
