"""When the user speaks: endpoints, and every sample of a turn exactly once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.endpointing import Endpointer, EndpointerConfig, SpeechStarted, SpeechStopped
from streaming.errors import InvalidRequest
from streaming.realtime.listening import Listener, Speech
from streaming.stages import Pcm

WINDOW = 512
SPOKEN, SILENT = 0.9, 0.0


def endpoints(
    config: EndpointerConfig, probabilities: list[float], first_sample: int = 0
) -> list[SpeechStarted | SpeechStopped]:
    endpointer = Endpointer(config, window_samples=WINDOW)
    events = (endpointer.feed(p, first_sample + at * WINDOW) for at, p in enumerate(probabilities))
    return [event for event in events if event is not None]


def plain(**changed: float) -> EndpointerConfig:
    """No padding, any speech counts at once, two windows of silence end it; unless changed."""
    defaults = {"threshold": 0.5, "prefix_padding_ms": 0, "silence_duration_ms": 64, "min_speech_ms": 0}
    return EndpointerConfig(**{**defaults, **changed})  # pyright: ignore[reportArgumentType]


def test_a_turn() -> None:
    events = endpoints(plain(), [SILENT] * 3 + [SPOKEN] * 4 + [SILENT] * 5)
    assert events == [SpeechStarted(3 * WINDOW), SpeechStopped(9 * WINDOW)]


def test_the_start_includes_the_padding_but_nothing_before_the_session() -> None:
    config = plain(prefix_padding_ms=64)
    assert endpoints(config, [SILENT] * 3 + [SPOKEN]) == [SpeechStarted(1 * WINDOW)]
    assert endpoints(config, [SILENT, SPOKEN]) == [SpeechStarted(0)]


def test_a_short_burst_is_no_turn() -> None:
    config = plain(min_speech_ms=96)
    assert endpoints(config, [SPOKEN, SPOKEN, SILENT] * 5) == []
    assert endpoints(config, [SILENT, SPOKEN, SPOKEN, SPOKEN]) == [SpeechStarted(WINDOW)]


def test_a_probability_just_below_the_threshold_holds_a_turn_but_starts_none() -> None:
    config = plain(threshold=0.5)
    assert endpoints(config, [0.4] * 10) == []
    assert endpoints(config, [0.5] + [0.36] * 10) == [SpeechStarted(0)]
    assert endpoints(config, [0.5] + [0.34] * 10) == [SpeechStarted(0), SpeechStopped(3 * WINDOW)]


def test_a_short_pause_does_not_end_the_turn() -> None:
    events = endpoints(plain(), [SPOKEN, SILENT, SPOKEN, SILENT, SPOKEN, SILENT, SILENT])
    assert events == [SpeechStarted(0), SpeechStopped(7 * WINDOW)]


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.15, 1.0])
def test_a_turn_ends_at_any_threshold(threshold: float) -> None:
    events = endpoints(plain(threshold=threshold), [1.0] * 3 + [0.0] * 3)
    assert events[:2] == [SpeechStarted(0), SpeechStopped(5 * WINDOW)]


def test_a_turn_that_lasts_too_long_ends_there_and_the_next_begins() -> None:
    config = plain(max_turn_ms=5 * 32)
    assert endpoints(config, [SPOKEN] * 12) == [
        SpeechStarted(0),
        SpeechStopped(5 * WINDOW),
        SpeechStarted(5 * WINDOW),
        SpeechStopped(10 * WINDOW),
        SpeechStarted(10 * WINDOW),
    ]
    assert endpoints(plain(max_turn_ms=5 * 32, prefix_padding_ms=64), [SPOKEN] * 7)[2:] == [SpeechStarted(5 * WINDOW)]


@pytest.mark.parametrize(
    ("field", "value"), [("threshold", 1.5), ("threshold", float("nan")), ("prefix_padding_ms", -1), ("silence_duration_ms", 10_001)]
)  # fmt: skip
def test_impossible_settings_are_refused(field: str, value: float) -> None:
    with pytest.raises(InvalidRequest) as refused:
        plain(**{field: value})
    assert refused.value.param == field


class Loudness:
    """Speech is whatever is loud; counts its resets."""

    window_samples = WINDOW

    def __init__(self) -> None:
        self.resets = 0

    def probability(self, window: Pcm) -> float:
        return SPOKEN if float(np.abs(window).mean()) > 0.5 else SILENT

    def reset(self) -> None:
        self.resets += 1


def session_audio(loud: list[bool], rest: int = 0) -> Pcm:
    """Windows of loud or quiet samples; every sample says by its value which one it is."""
    count = len(loud) * WINDOW + rest
    number = np.arange(count, dtype=np.float64)
    level = np.repeat([*loud, False], WINDOW)[:count] * 0.5
    return (level + 0.25 + number / count / 8).astype(np.float32)


def heard(
    listener: Listener, audio: Pcm, edges: list[int], clock: int = 0
) -> list[SpeechStarted | Speech | SpeechStopped]:
    events: list[SpeechStarted | Speech | SpeechStopped] = []
    for start, end in pairwise(edges):
        events += listener.feed(audio[start:end], clock + start)
    return events


def turns(events: list[SpeechStarted | Speech | SpeechStopped]) -> list[tuple[int, Pcm, int | None]]:
    """Start, audio and end of each turn; None for one that is open."""
    found: list[tuple[int, list[Pcm], int | None]] = []
    for event in events:
        match event:
            case SpeechStarted():
                assert not found or found[-1][2] is not None
                found.append((event.at_sample, [], None))
            case Speech():
                assert found[-1][2] is None
                found[-1][1].append(event.pcm)
            case SpeechStopped():
                found[-1] = (*found[-1][:2], event.at_sample)
    return [(start, np.concatenate([np.zeros(0, np.float32), *pcm]), end) for start, pcm, end in found]


configs = st.builds(
    EndpointerConfig,
    prefix_padding_ms=st.sampled_from([0, 20, 64, 300, 1000]),
    silence_duration_ms=st.sampled_from([0, 32, 64, 200]),
    min_speech_ms=st.sampled_from([0, 64, 96]),
    max_turn_ms=st.sampled_from([30_000, 320]),
)


@settings(max_examples=80)
@given(
    configs,
    st.lists(st.tuples(st.booleans(), st.integers(1, 12)), max_size=8),
    st.lists(st.integers(0, 20_000), max_size=12),
    st.integers(0, 511),
    st.integers(0, 5000),
)
def test_every_sample_of_a_turn_exactly_once_for_any_split(
    config: EndpointerConfig, stretches: list[tuple[bool, int]], cuts: list[int], rest: int, clock: int
) -> None:
    audio = session_audio([loud for loud, windows in stretches for _ in range(windows)], rest)
    edges = [0, *sorted(min(cut, audio.size) for cut in cuts), audio.size]
    whole = turns(heard(Listener(Loudness(), config), audio, [0, audio.size], clock))
    split = turns(heard(Listener(Loudness(), config), audio, edges, clock))
    assert len(split) == len(whole)
    for (start, pcm, end), (start_whole, pcm_whole, end_whole) in zip(split, whole, strict=True):
        assert (start, end) == (start_whole, end_whole)
        assert np.array_equal(pcm, pcm_whole)
        assert np.array_equal(pcm, audio[start - clock : start - clock + pcm.size])
        assert end is None or end - start == pcm.size
    for (_, _, end), (start, _, _) in pairwise(whole):
        assert end is not None
        assert end <= start


def test_the_padding_is_the_audio_before_the_start() -> None:
    audio = session_audio([False] * 20 + [True] * 5)
    config = EndpointerConfig(prefix_padding_ms=300, min_speech_ms=96)
    ((start, pcm, end),) = turns(heard(Listener(Loudness(), config), audio, [0, audio.size]))
    assert start == 20 * WINDOW - 300 * 16
    assert end is None
    assert np.array_equal(pcm, audio[start:])


def test_the_detector_forgets_a_turn_that_is_over() -> None:
    activity = Loudness()
    audio = session_audio([True, False, False] * 2)
    heard(Listener(activity, plain()), audio, [0, audio.size])
    assert activity.resets == 2


def test_flush_gives_what_is_not_a_window_yet() -> None:
    listener = Listener(Loudness(), plain())
    audio = session_audio([True, True], rest=100)
    spoken = [event for event in listener.feed(audio, 0) if isinstance(event, Speech)]
    assert listener.speaking
    assert np.array_equal(np.concatenate([*(event.pcm for event in spoken), listener.flush()]), audio)
    assert listener.flush().size == 0
