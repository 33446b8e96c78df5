"""Recordings decoded, and what a test expects of them."""

from __future__ import annotations

import numpy as np

from server.media.decode import Declared, decode, identify

MAX_S = 30.0


def read(data: bytes, declared: Declared | None = None) -> np.ndarray:
    return decode(data, identify(data, declared or Declared()), max_s=MAX_S)


def assert_tone(pcm: np.ndarray, seconds: float = 1.0, slack_s: float = 0.06, peak: float = 0.5) -> None:
    assert pcm.dtype == np.float32
    assert abs(pcm.size / 16_000 - seconds) < slack_s
    middle = pcm[4000:12_000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(middle.size)))
    assert abs(np.argmax(spectrum) * 16_000 / middle.size - 300) < 5
    assert abs(np.abs(middle).max() - peak) < 0.05
