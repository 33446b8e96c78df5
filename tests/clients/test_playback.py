"""The model of a loudspeaker."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.playback import AUDIBLE_GAP_S, Playback


def test_audio_in_time_plays_without_a_gap() -> None:
    playback = Playback()
    for second in range(3):
        playback.received("item", 1.0, 10.0 + second)
    assert (playback.gaps, playback.longest_gap_s) == (0, 0.0)
    assert playback.heard_s(11.5) == pytest.approx(1.5)
    assert playback.left_s(11.5) == pytest.approx(1.5)
    assert playback.heard_s(99.0) == pytest.approx(3.0)


def test_late_audio_is_a_gap_and_playback_goes_on_behind_it() -> None:
    playback = Playback()
    playback.received("item", 1.0, 0.0)
    playback.received("item", 1.0, 1.4)
    playback.received("item", 1.0, 2.5)
    assert playback.gaps == 2
    assert playback.longest_gap_s == pytest.approx(0.4)
    assert playback.gap_s == pytest.approx(0.5)
    assert playback.heard_s(3.0) == pytest.approx(2.5)


def test_a_buffer_hides_gaps_and_delays_the_start() -> None:
    playback = Playback(buffer_s=0.5)
    playback.received("item", 1.0, 0.0)
    assert playback.heard_s(0.4) == 0.0
    assert playback.heard_s(0.75) == pytest.approx(0.25)
    playback.received("item", 1.0, 1.4)
    assert playback.gaps == 0


def test_nothing_received_is_nothing_heard() -> None:
    playback = Playback()
    assert (playback.heard_s(5.0), playback.left_s(5.0), playback.item_id) == (0.0, 0.0, None)


def expected(pieces: list[tuple[float, float]], buffer_s: float) -> list[float]:
    """Gaps by simulation: when each piece starts against when the one before ends."""
    gaps: list[float] = []
    now_s, ends_s = 0.0, None
    for wait_s, duration_s in pieces:
        now_s += wait_s
        if ends_s is None:
            ends_s = now_s + buffer_s
        elif now_s > ends_s:
            gaps.append(now_s - ends_s)
            ends_s = now_s
        ends_s += duration_s
    return [gap for gap in gaps if gap >= AUDIBLE_GAP_S]


lengths = st.integers(0, 2000).map(lambda number: number / 1000)


@given(st.lists(st.tuples(lengths, lengths), max_size=30), st.sampled_from([0.0, 0.25]))
def test_gaps_are_those_of_a_simulated_player(pieces: list[tuple[float, float]], buffer_s: float) -> None:
    playback, now_s = Playback(buffer_s), 0.0
    for wait_s, duration_s in pieces:
        now_s += wait_s
        playback.received("item", duration_s, now_s)
        assert 0 <= playback.heard_s(now_s) <= playback.received_s + 1e-9
    gaps = [gap for gap in expected(pieces, buffer_s) if gap > AUDIBLE_GAP_S * 1.5]
    assert playback.longest_gap_s == pytest.approx(max(gaps, default=0.0), abs=AUDIBLE_GAP_S * 1.5)
