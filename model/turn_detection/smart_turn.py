"""End of turn by Smart Turn v3.2 (Daily, BSD-2-Clause; a Whisper-tiny encoder and a classifier), run with onnxruntime.

It judges from the sound of the last eight seconds, intonation included, whether the speaker has finished.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from transformers import WhisperFeatureExtractor

from model.thread import SingleThread
from model.turn_detection.network import open_network
from streaming.stages import Pcm

_RATE_HZ, _SECONDS = 16_000, 8
_LIMIT_S = 5.0
"""For one pause. Without a judgement, silence ends the turn."""


class SmartTurn:
    """An `EndOfTurn` that serves all sessions, one at a time on a thread of its own."""

    window_samples = _SECONDS * _RATE_HZ

    def __init__(self, network: Any) -> None:
        self._network = network
        self._features = WhisperFeatureExtractor(feature_size=80, chunk_length=_SECONDS)
        self._thread = SingleThread("end-of-turn model", _LIMIT_S)

    @classmethod
    def load(cls, path: Path) -> SmartTurn:
        """From `smart_turn.onnx`. Raises BundleError."""
        return cls(open_network(path, "an end-of-turn network"))

    def close(self) -> None:
        """Stop the thread once it has judged what it has begun; what waits fails with EngineUnavailable."""
        self._thread.close()

    async def finished(self, audio: Pcm) -> float:
        """See `EndOfTurn.finished`."""
        return await self._thread.run(self.judge, audio)

    def judge(self, audio: Pcm) -> float:
        """Probability that the turn is over after `audio`, 16 kHz; silence is put before what is shorter than eight seconds."""
        audio = audio[-self.window_samples :]
        padded = np.pad(audio, (self.window_samples - audio.size, 0))
        features = self._features(padded, sampling_rate=_RATE_HZ, return_tensors="np", do_normalize=True)
        chance = self._network.run(None, {"input_features": features.input_features.astype(np.float32)})[0]
        return float(np.ravel(chance)[0])
