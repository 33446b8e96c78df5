"""What is played when the server keeps the time, and what arrives of a microphone over a lossy network."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streaming.playout import Arrivals, Cleared, PlayoutQueue, Progress

RATE_HZ = 1000


def counting(start: int, size: int) -> np.ndarray:
    return np.arange(start, start + size, dtype=np.float32)


def test_an_answer_is_played_from_its_first_sample_to_its_last() -> None:
    playout = PlayoutQueue(RATE_HZ)
    assert playout.take(4)[0].tolist() == [0, 0, 0, 0]
    playout.push("r1", "i1", counting(1, 6))
    assert playout.waiting_s == 0.006
    frame, progress = playout.take(4)
    assert (frame.tolist(), progress) == ([1, 2, 3, 4], [Progress("started", "r1")])
    frame, progress = playout.take(4)
    assert (frame.tolist(), progress) == ([5, 6, 0, 0], [])
    playout.complete("r1")
    assert playout.take(4)[1] == [Progress("stopped", "r1")]
    assert playout.take(4)[1] == []


def test_the_next_answer_follows_without_a_gap() -> None:
    playout = PlayoutQueue(RATE_HZ)
    for number in (1, 2):
        playout.push(f"r{number}", f"i{number}", counting(number, 3))
        playout.complete(f"r{number}")
    frame, progress = playout.take(8)
    assert frame.tolist() == [1, 2, 3, 2, 3, 4, 0, 0]
    assert [each.kind for each in progress] == ["started", "stopped", "started", "stopped"]


def test_answers_that_come_at_once_are_played_one_behind_the_other() -> None:
    playout = PlayoutQueue(RATE_HZ)
    for piece in (1, 2):
        playout.push("r1", "i1", counting(piece, 1))
        playout.push("r2", "i2", counting(10 * piece, 1))
    for response_id in ("r1", "r2"):
        playout.complete(response_id)
    frame, progress = playout.take(5)
    assert frame.tolist() == [1, 2, 10, 20, 0]
    assert progress == [Progress(kind, response_id) for response_id in ("r1", "r2") for kind in ("started", "stopped")]


def test_what_is_cleared_is_played_no_more_even_what_is_still_to_come() -> None:
    playout = PlayoutQueue(RATE_HZ)
    playout.push("r1", "i1", counting(1, 100))
    playout.take(40)
    assert playout.clear() == [Cleared("r1", "i1", 40)]
    playout.push("r1", "i1", counting(1, 10))
    playout.push("r2", "i2", counting(7, 1))
    frame, progress = playout.take(2)
    assert (frame.tolist(), progress) == ([7, 0], [Progress("started", "r2")])
    assert playout.clear() == [Cleared("r2", "i2", 1)]
    assert playout.clear() == []


@given(st.lists(st.integers(0, 30), max_size=20), st.integers(1, 40))
def test_any_split_plays_the_same(sizes: list[int], frame: int) -> None:
    playout, sent = PlayoutQueue(RATE_HZ), 0
    for size in sizes:
        playout.push("r", "i", counting(sent + 1, size))
        sent += size
    playout.complete("r")
    frames = [playout.take(frame) for _ in range(sent // frame + 2)]
    played = np.concatenate([pcm for pcm, _ in frames])
    assert played[:sent].tolist() == counting(1, sent).tolist()
    assert not played[sent:].any()
    kinds = [each.kind for _, progress in frames for each in progress]
    assert kinds == (["started", "stopped"] if sent else [])


def test_what_is_lost_becomes_silence_of_its_length() -> None:
    arrivals = Arrivals(RATE_HZ)
    assert arrivals.arrived(500, counting(1, 3), 0.003).tolist() == [1, 2, 3]
    assert arrivals.arrived(503, counting(4, 1), 0.004).tolist() == [4]
    assert arrivals.arrived(506, counting(7, 1), 0.007).tolist() == [0, 0, 7]


def test_silence_lent_is_not_given_twice() -> None:
    arrivals = Arrivals(RATE_HZ)
    assert arrivals.late(1.0).size == 0, "nobody has spoken yet"
    arrivals.arrived(0, counting(1, 10), 0.01)
    assert arrivals.late(0.01 + Arrivals.HOLD_S).size == 0, "it may still come"
    assert arrivals.late(0.11 + Arrivals.HOLD_S).size == 100
    assert arrivals.arrived(130, counting(1, 10), 0.52).size == 20 + 10
    lent = arrivals.late(0.19 + Arrivals.HOLD_S).size
    assert 49 <= lent <= 50, "a sender's clock may be slow"
    assert arrivals.arrived(140, counting(1, 10), 0.6).size == 10, "it was late, not lost"
    assert arrivals.arrived(210, counting(1, 10), 0.62).size == 70 - lent, "the silence from before is part of the gap"


def test_a_sender_that_was_away_does_not_make_everybody_wait() -> None:
    arrivals = Arrivals(RATE_HZ)
    arrivals.arrived(0, counting(1, 10), 0.01)
    assert arrivals.arrived(1_000_000, counting(1, 10), 20.0).size == 2 * RATE_HZ + 10
    assert sum(arrivals.late(20.0 + step).size for step in range(20)) == 2 * RATE_HZ
    assert arrivals.arrived(0, counting(1, 10), 50.0).size == 10, "it began anew"
    assert arrivals.arrived(10, counting(1, 10), 50.01).size == 10


def test_silence_that_is_not_sent_is_heard_as_it_passes() -> None:
    """DTX: after 200 ms of silence one packet every 400 ms, and each is held back until four more are there."""
    frame_s, speech_s, looked_s = 0.02, 1.0, 0.1
    sent_s = [frame_s * n for n in range(60)] + [1.2 + 0.4 * n for n in range(8)]
    arrivals, heard, at_s, waiting = Arrivals(RATE_HZ), 0, 0.0, 0
    while heard < RATE_HZ * (speech_s + 0.5):
        at_s += looked_s / 10
        while waiting + 4 < len(sent_s) and sent_s[waiting + 4] + frame_s <= at_s:
            heard += arrivals.arrived(round(sent_s[waiting] * RATE_HZ), counting(0, 20), at_s).size
            waiting += 1
        heard += arrivals.late(at_s).size
    assert at_s < speech_s + 0.5 + Arrivals.HOLD_S + 0.1 + looked_s


def test_a_sender_whose_clock_is_slow_is_not_taken_for_late() -> None:
    arrivals = Arrivals(RATE_HZ)
    for number in range(60 * 60):
        assert arrivals.arrived(number * RATE_HZ, counting(0, RATE_HZ), number * 1.0002).size == RATE_HZ
        assert not arrivals.late(number * 1.0002 + 0.02).size
