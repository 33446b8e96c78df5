"""Echoes of answers are no turns, and speech over them is: real recordings and the real voice activity, mixed at several levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from clients.realtime import RATE_HZ
from clients.recordings import read_recording
from model.turn_detection.vad import load_voice_activity
from streaming.audio import MODEL_RATE_HZ, AudioFrame, pcm16_to_float, resampled
from streaming.echo import EchoGuard
from streaming.endpointing import EndpointerConfig, SpeechStarted
from streaming.realtime.listening import Listener
from streaming.stages import Pcm, VoiceActivity
from tests.fakes import fake_stages

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "recordings"
ANSWERS = ("en-en-facts-10", "zh-zh-facts-11", "en-en-counting-28")
SPEAKERS = ("human-en-001", "human-zh-BAC009S0764W0121", "en-en-sums-16", "human-en-goforward")
DELAY_S = 0.35


@pytest.fixture(scope="module")
def activity() -> Callable[[], VoiceActivity]:
    return load_voice_activity(ROOT / "model" / "bundles" / "cslm-mini" / "vad" / "silero_vad.onnx")


def spoken(name: str) -> Pcm:
    """A recording at 16 kHz, at a peak of half of full scale."""
    recording = read_recording(DATA / f"{name}.flac")
    pcm = resampled(AudioFrame(pcm16_to_float(recording.pcm), RATE_HZ), MODEL_RATE_HZ)
    return (0.5 * pcm / np.abs(pcm).max()).astype(np.float32)


def at(db: float, pcm: Pcm, start_s: float, size: int) -> Pcm:
    """`pcm` in a silence of `size` samples, from `start_s` on, at a level."""
    track = np.zeros(size, np.float32)
    start = round(start_s * MODEL_RATE_HZ)
    part = pcm[: size - start]
    track[start : start + part.size] = part * np.float32(10 ** (db / 20))
    return track


def starts(activity: Callable[[], VoiceActivity], microphone: Pcm, answer: Pcm | None) -> Iterator[float]:
    """Seconds at which turns are noticed in what a microphone hears while `answer` plays."""
    guard = EchoGuard()
    listener = Listener(guard.guarding(fake_stages(voice_activity=activity)).voice_activity(), EndpointerConfig())
    microphone = np.round(microphone * 32768).astype(np.float32) / 32768
    if answer is not None:
        guard.sent(AudioFrame(answer, MODEL_RATE_HZ))
    for start in range(0, microphone.size, 320):
        for event in listener.feed(microphone[start : start + 320], start):
            if isinstance(event, SpeechStarted):
                yield start / MODEL_RATE_HZ


@pytest.mark.parametrize("level_db", [-40, -30, -20, -6])
@pytest.mark.parametrize("name", ANSWERS)
def test_an_echo_is_no_turn(activity: Callable[[], VoiceActivity], name: str, level_db: float) -> None:
    answer = spoken(name)
    size = answer.size + MODEL_RATE_HZ
    microphone = at(level_db, answer, DELAY_S, size)
    assert list(starts(activity, microphone, answer)) == []


@pytest.mark.parametrize("name", ANSWERS)
def test_an_echo_in_noise_is_no_turn(activity: Callable[[], VoiceActivity], name: str) -> None:
    answer = spoken(name)
    size = answer.size + MODEL_RATE_HZ
    noise = np.random.default_rng(0).normal(0, 10 ** (-50 / 20), size).astype(np.float32)
    assert list(starts(activity, at(-20, answer, DELAY_S, size) + noise, answer)) == []


@pytest.mark.parametrize("name", ANSWERS)
def test_without_the_guard_it_would_be_one(activity: Callable[[], VoiceActivity], name: str) -> None:
    answer = spoken(name)
    assert list(starts(activity, at(-20, answer, DELAY_S, answer.size + MODEL_RATE_HZ), None))


@pytest.mark.parametrize("echo_db", [-60, -40, -20])
@pytest.mark.parametrize("speech_db", [0, -12])
@pytest.mark.parametrize("speaker", SPEAKERS)
def test_who_speaks_over_an_answer_is_heard(
    activity: Callable[[], VoiceActivity], speaker: str, speech_db: float, echo_db: float
) -> None:
    """As soon as in silence, but for the time in which the echo is nearly as loud as the beginning of the speech."""
    answer, speech = np.concatenate([spoken(name) for name in ANSWERS]), spoken(speaker)
    size = answer.size + MODEL_RATE_HZ
    speaking = at(speech_db, speech, 1.0, size)
    alone = next(starts(activity, speaking, None))
    over = next(starts(activity, speaking + at(echo_db, answer, DELAY_S, size), answer))
    assert over <= alone + 0.5


@pytest.mark.parametrize("name", SPEAKERS)
def test_who_speaks_when_an_answer_was_cut_off_is_heard(activity: Callable[[], VoiceActivity], name: str) -> None:
    guard, speech = EchoGuard(), spoken(name)
    answer = spoken(ANSWERS[0])
    guard.sent(AudioFrame(answer, MODEL_RATE_HZ))
    guard.stopped()
    for start in range(0, speech.size - 512, 512):
        guard.heard(speech[start : start + 512])
        assert not guard.is_echo()
    guard.sent(AudioFrame(answer, MODEL_RATE_HZ))
    echoes = 0
    for start in range(0, answer.size - 512, 512):
        guard.heard(answer[start : start + 512])
        echoes += guard.is_echo()
    assert echoes > answer.size / 512 / 2, "the next answer is on the clock again"
