"""Voice activity by Silero VAD (MIT), run with onnxruntime: about 0.2 ms for a window of 32 ms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from model.turn_detection.network import open_network
from streaming.stages import Pcm

_WINDOW, _CONTEXT = 512, 64


class SileroVoiceActivity:
    """Recurrent state of one session; the network is shared."""

    window_samples = _WINDOW

    def __init__(self, network: Any) -> None:
        self._network = network
        self.reset()

    def reset(self) -> None:
        """Forget what was heard."""
        self._state = np.zeros((2, 1, 128), np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)

    def probability(self, window: Pcm) -> float:
        """Probability of speech in the next 512 samples at 16 kHz."""
        audio = np.concatenate([self._context, window.astype(np.float32, copy=False)])
        feeds = {"input": audio[None], "state": self._state, "sr": np.array(16_000, np.int64)}
        chance, self._state = self._network.run(None, feeds)
        self._context = audio[-_CONTEXT:]
        return float(chance[0, 0])


def load_voice_activity(path: Path) -> Callable[[], SileroVoiceActivity]:
    """A maker of per-session detectors from `silero_vad.onnx`. Raises BundleError."""
    network = open_network(path, "a voice-activity network")
    return lambda: SileroVoiceActivity(network)
