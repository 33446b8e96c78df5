"""Time that passes only when somebody waits for it, and recordings that are made up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
import soundfile

from clients.recordings import FRAME_BYTES, Recording

SPEECH_FRAME = b"\x10\x20" * (FRAME_BYTES // 2)
SILENT_FRAME = bytes(FRAME_BYTES)


class VirtualClock:
    """Sleeping takes no time, and moves the clock."""

    def __init__(self) -> None:
        self._now_s = 1000.0

    def now_s(self) -> float:
        return self._now_s

    async def sleep_until(self, at_s: float) -> None:
        await asyncio.sleep(0)
        self._now_s = max(self._now_s, at_s)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def recording() -> Recording:
    """Ten frames of speech, and five of silence behind it."""
    return Recording("question.wav", SPEECH_FRAME * 10 + SILENT_FRAME * 5)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    """A short file at another rate, in stereo."""
    path = tmp_path / "question.wav"
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(4410) / 44_100)
    soundfile.write(path, np.stack([tone, tone], axis=1), 44_100)
    return path
