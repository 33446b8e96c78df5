"""The bundle's own voice activity decides whether anybody speaks: people pass, noises do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.bundle import find_bundle
from model.turn_detection.vad import load_voice_activity
from server.media.decode import Declared, check_speech, decode, identify
from streaming.errors import InvalidRequest

QUESTIONS = sorted((Path(__file__).parents[2] / "data").glob("ask_*.wav"))
SECONDS = np.arange(32_000) / 16_000
RANDOM = np.random.default_rng(0)
NOISES = {
    "white noise": 0.1 * RANDOM.standard_normal(32_000),
    "mains hum": 0.2 * np.sin(2 * np.pi * 50 * SECONDS),
    "a tone": 0.3 * np.sin(2 * np.pi * 250 * SECONDS),
    "an offset": np.full(32_000, 0.3),
    "clicks": 0.9 * (RANDOM.random(32_000) > 0.999),
}


@pytest.mark.parametrize("path", QUESTIONS, ids=lambda path: path.stem)
def test_people_are_heard(path: Path) -> None:
    data = path.read_bytes()
    activity = load_voice_activity(find_bundle("cslm-mini").voice_activity)
    pcm = decode(data, identify(data, Declared()), max_s=30)
    check_speech(pcm, activity())
    check_speech(0.02 * pcm, activity())


@pytest.mark.parametrize("noise", list(NOISES))
def test_noises_are_not(noise: str) -> None:
    activity = load_voice_activity(find_bundle("cslm-mini").voice_activity)
    with pytest.raises(InvalidRequest) as failure:
        check_speech(NOISES[noise].astype(np.float32), activity())
    assert failure.value.code == "audio_silent"
