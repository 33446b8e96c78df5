"""Tells the echo of an answer from its listener's speech, for clients without echo cancellation."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streaming.audio import MODEL_RATE_HZ, AudioFrame, Resampler
from streaming.stages import Pcm, Stages, VoiceActivity

_LAG = MODEL_RATE_HZ * 3 // 2
"""An echo comes at most so many samples after its audio was sent: the way there and back, and the client's buffer."""
_COMPARED = 12 * 512
"""Samples of the microphone that are compared with what was sent. In fewer, speech resembles other speech too often."""
_SAME = 0.45
"""Correlation from which it is an echo: a fifth of the energy. Two voices reach 0.2 in one comparison of a hundred."""
_AHEAD = 120 * MODEL_RATE_HZ


class EchoGuard:
    """Follows what a session sends and hears, on the clock of the microphone.

    While an answer plays, and shortly after, what voice activity takes for speech is compared with what was sent: normalised
    cross-correlation of the first differences, which have no long-term spectrum in common, at every lag. An echo at any level is
    found so; speech over an echo that is weaker than itself is not.
    """

    def __init__(self) -> None:
        self._sent: deque[tuple[int, Pcm]] = deque()
        self._heard: Pcm = np.zeros(_COMPARED, np.float32)
        self._now = self._end = 0
        self._resampler = Resampler(MODEL_RATE_HZ, MODEL_RATE_HZ)

    def guarding(self, stages: Stages) -> Stages:
        """`stages`, whose voice activity does not take echoes for speech."""
        return replace(stages, voice_activity=lambda: _Guarded(stages.voice_activity(), self))

    def sent(self, audio: AudioFrame) -> None:
        """The client plays this when it has played what was sent before."""
        if audio.rate_hz != self._resampler.from_hz:
            self._resampler = Resampler(audio.rate_hz, MODEL_RATE_HZ)
        pcm = self._resampler.push(audio.pcm)
        start = max(self._now, self._end)
        if pcm.size and start + pcm.size - self._now <= _AHEAD:
            self._sent.append((start, pcm))
            self._end = start + pcm.size

    def stopped(self) -> None:
        """The client plays nothing more of what was sent."""
        self._end = min(self._end, self._now)
        while self._sent and self._sent[-1][0] >= self._now:
            self._sent.pop()
        if self._sent:
            start, pcm = self._sent.pop()
            self._sent.append((start, pcm[: self._now - start]))

    def heard(self, window: Pcm) -> None:
        """The next audio of the microphone, 16 kHz."""
        self._heard = np.concatenate([self._heard, window])[-_COMPARED:]
        self._now += window.size
        while self._sent and self._sent[0][0] + self._sent[0][1].size <= self._now - _COMPARED - _LAG:
            self._sent.popleft()

    def is_echo(self) -> bool:
        """What was heard last is an echo of what was sent."""
        if not self._sent:
            return False
        return _resemblance(np.diff(self._heard), np.diff(self._played())) >= _SAME

    def _played(self) -> Pcm:
        """What may be heard now, silence where nothing was sent."""
        begin = self._now - _COMPARED - _LAG
        played = np.zeros(_COMPARED + _LAG, np.float32)
        for start, pcm in self._sent:
            if start >= self._now:
                break
            first, last = max(start, begin), min(start + pcm.size, self._now)
            played[first - begin : last - begin] = pcm[first - start : last - start]
        return played


class _Guarded:
    """Voice activity that does not take echoes for speech."""

    SPEECH = 0.2
    """Below this nobody would take it for speech."""

    def __init__(self, activity: VoiceActivity, guard: EchoGuard) -> None:
        self._activity, self._guard = activity, guard
        self.window_samples = activity.window_samples

    def probability(self, window: Pcm) -> float:
        """See `VoiceActivity`."""
        self._guard.heard(window)
        speech = self._activity.probability(window)
        return 0.0 if speech >= self.SPEECH and self._guard.is_echo() else speech

    def reset(self) -> None:
        """See `VoiceActivity`."""
        self._activity.reset()


def _resemblance(part: Pcm, whole: Pcm) -> float:
    """Largest normalised correlation, 0 to 1, of `part` with any stretch of `whole` of its length."""
    size = 1 << (whole.size - 1).bit_length()  # what wraps around lies behind the stretches that are looked at
    spectrum = np.fft.rfft(whole, size) * np.conj(np.fft.rfft(part, size))
    products: NDArray[np.float64] = np.fft.irfft(spectrum, size)[: whole.size - part.size + 1]
    energies = np.concatenate([[0.0], np.cumsum(whole.astype(np.float64) ** 2)])
    stretches = energies[part.size :] - energies[: -part.size]
    energy = float(np.vdot(part, part)) * np.maximum(stretches, 1e-3 * float(stretches.max()))
    return float(np.max(np.abs(products) / np.sqrt(energy + 1e-12)))
