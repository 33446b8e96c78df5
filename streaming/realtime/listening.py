"""The input side of a session: audio on one sample clock, cut into turns by voice activity or by the client."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from streaming.audio import MODEL_RATE_HZ
from streaming.endpointing import Endpointer, EndpointerConfig, Paused, Resumed, SpeechStarted, SpeechStopped
from streaming.stages import Pcm, VoiceActivity


@dataclass(frozen=True, slots=True)
class Speech:
    """Audio of the user's turn, 16 kHz."""

    pcm: Pcm


ListenEvent = SpeechStarted | Speech | Paused | Resumed | SpeechStopped


class Listener:
    """Windows the input for voice activity and keeps the audio from before a turn's start.

    Every sample of a turn comes out exactly once, in order, between its SpeechStarted and SpeechStopped. `keep_ms` of
    silence are kept at least, for `silence`.
    """

    def __init__(self, activity: VoiceActivity, config: EndpointerConfig, *, keep_ms: int = 0) -> None:
        self._activity = activity
        self._endpointer = Endpointer(config, window_samples=activity.window_samples, sample_rate_hz=MODEL_RATE_HZ)
        self._before: deque[Pcm] = deque(maxlen=self._kept_windows(config, keep_ms))
        self._partial = np.zeros(0, np.float32)
        self._clock = 0

    @property
    def speaking(self) -> bool:
        """A turn is open."""
        return self._endpointer.speaking

    def configure(self, config: EndpointerConfig, *, keep_ms: int = 0) -> None:
        """Go by `config` from now on; a turn under way goes on."""
        self._endpointer.configure(config)
        self._before = deque(self._before, self._kept_windows(config, keep_ms))

    def feed(self, pcm: Pcm, clock: int) -> Iterator[ListenEvent]:
        """Audio whose first sample is number `clock` of the session. Any split gives the same turns."""
        self._clock = clock - self._partial.size
        audio = np.concatenate([self._partial, pcm])
        size = self._activity.window_samples
        whole = audio.size - audio.size % size
        self._partial = audio[whole:]
        for start in range(0, whole, size):
            yield from self._window(audio[start : start + size])

    def flush(self) -> Pcm:
        """What is not yet a whole window, for a commit by the client."""
        rest, self._partial = self._partial, np.zeros(0, np.float32)
        return rest

    def wait(self, silence_ms: int) -> None:
        """See `Endpointer.wait`."""
        self._endpointer.wait(silence_ms)

    def count_in(self, samples: int) -> None:
        """See `Endpointer.count_in`."""
        self._endpointer.count_in(samples)

    def silence(self) -> Pcm:
        """The silence that was kept, and forget it."""
        kept = np.concatenate([*self._before, self._partial])
        self._before.clear()
        self._partial = np.zeros(0, np.float32)
        return kept

    def _kept_windows(self, config: EndpointerConfig, keep_ms: int) -> int:
        kept_ms = max(keep_ms, config.prefix_padding_ms + config.min_speech_ms + 100)
        return 1 + kept_ms * MODEL_RATE_HZ // 1000 // self._activity.window_samples

    def _window(self, window: Pcm) -> Iterator[ListenEvent]:
        start, self._clock = self._clock, self._clock + window.size
        event = self._endpointer.feed(self._activity.probability(window), start)
        if isinstance(event, SpeechStarted):
            kept = np.concatenate([*self._before, window])
            skip = max(0, kept.size - (self._clock - event.at_sample))
            self._before.clear()
            yield replace(event, at_sample=self._clock - kept.size + skip)
            yield Speech(kept[skip:])
        elif isinstance(event, SpeechStopped):
            yield Speech(window)
            yield event
            self._activity.reset()
        elif isinstance(event, Paused | Resumed):
            yield Speech(window)
            yield event
        elif self._endpointer.speaking:
            yield Speech(window)
        else:
            self._before.append(window)
