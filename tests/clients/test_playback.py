"""What a loudspeaker has played: counted in samples, and simulated by the clock."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clients.playback import AUDIBLE_GAP_S, Heard, Playback, Playout

S = 24_000
MS = S // 1000


def test_audio_in_time_plays_without_a_gap() -> None:
    playback = Playback()
    for second in range(3):
        playback.received("item", S, 10.0 + second)
    assert (playback.gaps, playback.longest_gap_s) == (0, 0.0)
    assert playback.heard_s(11.5) == pytest.approx(1.5)
    assert playback.left_s(11.5) == pytest.approx(1.5)
    assert playback.heard_s(99.0) == pytest.approx(3.0)


def test_late_audio_is_a_gap_and_playback_goes_on_behind_it() -> None:
    playback = Playback()
    playback.received("item", S, 0.0)
    playback.received("item", S, 1.4)
    playback.received("item", S, 2.5)
    assert playback.gaps == 2
    assert playback.longest_gap_s == pytest.approx(0.4)
    assert playback.gap_s == pytest.approx(0.5)
    assert playback.heard_s(3.0) == pytest.approx(2.5)


def test_a_buffer_hides_gaps_and_delays_the_start() -> None:
    playback = Playback(buffer_s=0.5)
    playback.received("item", S, 0.0)
    assert playback.heard_s(0.4) == 0.0
    assert playback.heard_s(0.75) == pytest.approx(0.25)
    playback.received("item", S, 1.4)
    assert playback.gaps == 0


def test_nothing_received_is_nothing_heard() -> None:
    playback = Playback()
    assert (playback.heard_s(5.0), playback.left_s(5.0), playback.interrupt(5.0)) == (0.0, 0.0, [])


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
        playback.received("item", round(duration_s * S), now_s)
        assert 0 <= playback.heard_s(now_s) <= playback.received_s + 1e-9
    gaps = [gap for gap in expected(pieces, buffer_s) if gap > AUDIBLE_GAP_S * 1.5]
    assert playback.longest_gap_s == pytest.approx(max(gaps, default=0.0), abs=AUDIBLE_GAP_S * 1.5)


class Player:
    """The plainest player there is: a list of samples, each with the item it belongs to."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.heard: dict[str, int] = {}
        self.open: set[str] = set()

    def interrupt(self) -> list[Heard]:
        cut = [
            Heard(item, count // MS) for item, count in self.heard.items() if item in self.open or item in self.waiting
        ]
        self.__init__()
        return cut


STEPS = st.one_of(
    st.tuples(st.just("received"), st.integers(0, 100)),
    st.tuples(st.just("next"), st.integers(0, 100)),
    st.tuples(st.just("played"), st.integers(0, 150)),
    st.tuples(st.just("ended"), st.just(0)),
    st.tuples(st.just("interrupt"), st.just(0)),
)


@given(st.lists(STEPS, max_size=40))
@example([("received", 48), ("played", 48), ("interrupt", 0)])
@example([("received", 48), ("next", 24), ("played", 60), ("interrupt", 0)])
def test_what_was_heard_is_exact_to_the_sample(steps: list[tuple[str, int]]) -> None:
    """Any order of arriving, ending, playing and interrupting, against a player that holds every sample."""
    playout, player, number = Playout(), Player(), 0
    for step, samples in steps:
        if step == "next":
            number += 1
        item = f"item_{number}"
        if step in ("received", "next"):
            playout.received(item, samples)
            player.waiting += [item] * samples
            player.heard.setdefault(item, 0)
            player.open = {item}
        elif step == "ended":
            playout.ended(item)
            player.open.discard(item)
            number += 1
        elif step == "played":
            playout.played(samples)
            for heard in player.waiting[:samples]:
                player.heard[heard] += 1
            player.waiting = player.waiting[samples:]
        else:
            assert playout.interrupt() == player.interrupt()
        assert playout.waiting == len(player.waiting)
    assert playout.interrupt() == player.interrupt()


@given(
    st.lists(st.tuples(st.integers(0, 2 * S), st.integers(0, 2 * S)), min_size=1, max_size=20),
    st.integers(0, 4 * S),
    st.sampled_from([0, S // 4]),
    st.sampled_from([0.0, 1e6 / 7]),
)
def test_an_interruption_by_the_clock_is_exact_to_the_millisecond(
    pieces: list[tuple[int, int]], pause: int, buffer: int, origin_s: float
) -> None:
    """The clock counts seconds as floats; what was heard is as if it counted samples."""
    playback = Playback(buffer / S)
    now, ends, received = 0, None, 0
    for wait, samples in pieces:
        now += wait
        playback.received("item", samples, origin_s + now / S)
        ends = (now + buffer if ends is None else max(ends, now)) + samples
        received += samples
    now += pause
    assert ends is not None
    heard = max(0, received - max(0, ends - now))
    assert playback.interrupt(origin_s + now / S) == [Heard("item", heard // MS)]
    assert playback.left_s(origin_s + now / S) == 0.0


def test_an_answer_heard_to_its_end_is_not_interrupted() -> None:
    playback = Playback()
    playback.received("item", S, 0.0)
    playback.ended("item")
    assert playback.interrupt(0.5) == [Heard("item", 500)]
    playback.received("next", S, 1.0)
    playback.ended("next")
    assert playback.interrupt(2.0) == []
