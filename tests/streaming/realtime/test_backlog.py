"""What a client may have to be told again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streaming.realtime.backlog import Backlog


@given(st.lists(st.tuples(st.text(max_size=20), st.integers(0, 60), st.integers(0, 40))))
def test_the_newest_are_kept_under_their_numbers_and_none_is_forgotten_before_its_time(
    steps: list[tuple[str, int, int]],
) -> None:
    backlog, said = Backlog(), list[str]()
    for message, most, back in steps:
        backlog.add(message)
        said.append(message)
        start, before = backlog.start, max(0, len(said) - back)
        backlog.trim(most, before)
        assert backlog.end == len(said)
        assert [backlog[number] for number in range(backlog.start, backlog.end)] == said[backlog.start :]
        assert backlog.size == sum(map(len, said[backlog.start :]))
        assert start <= backlog.start <= max(start, before)
        assert backlog.size <= most or backlog.start >= before
    backlog.trim(0)
    assert backlog.size == 0
