"""Tells the echo of an answer from its listener's speech, for clients without echo cancellation."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streaming.audio import MODEL_RATE_HZ, AudioFrame, Resampler, resampled
from streaming.stages import Pcm, Stages, VoiceActivity

_RATE_HZ = 4_000
"""Rate of the comparison. Speech has most of its energy below 2 kHz, so that noise hides less of an echo than at 16 kHz."""
_LAG = _RATE_HZ * 3 // 2
"""An echo comes at most so many samples after its audio was sent: the way there and back, and the client's buffer."""
_WINDOWS = 12
"""Windows of 32 ms that are compared with what was sent. In fewer, speech resembles other speech too often."""
_WINDOW = 512 * _RATE_HZ // MODEL_RATE_HZ
_HELD = 2 * _WINDOW
"""A comparison holds for so many samples: two windows, one fewer than it takes to begin a turn."""
_SAME = 0.5
"""Correlation from which it is an echo: a quarter of the energy. Two voices reach 0.38 in one comparison of a hundred."""
_AHEAD = 120 * _RATE_HZ


class EchoGuard:
    """Follows what a session sends and hears, on the clock of the microphone.

    While an answer plays, and shortly after, what voice activity takes for speech is compared with what was sent: normalised
    cross-correlation of the first differences, which have no long-term spectrum in common, at every lag. An echo at any level is
    found so; speech over an echo that is weaker than itself is not. At other times nothing is computed.
    """

    def __init__(self) -> None:
        self._sent: deque[tuple[int, Pcm]] = deque()
        self._heard: deque[Pcm] = deque(maxlen=_WINDOWS)
        self._now = self._end = 0
        self._next = 0  # of what the resampler gives, which is later than what it gets
        self._compared, self._same = -_HELD, False
        self._resampler = Resampler(_RATE_HZ, _RATE_HZ)

    def guarding(self, stages: Stages) -> Stages:
        """`stages`, whose voice activity does not take echoes for speech."""
        return replace(stages, voice_activity=lambda: _Guarded(stages.voice_activity(), self))

    def sent(self, audio: AudioFrame) -> None:
        """The client plays this when it has played what was sent before."""
        if audio.rate_hz != self._resampler.from_hz or self._end <= self._now:
            self._resampler = Resampler(audio.rate_hz, _RATE_HZ)
            self._next = self._end = max(self._now, self._end)
        pcm, end = self._resampler.push(audio.pcm), self._end + audio.pcm.size * _RATE_HZ // audio.rate_hz
        if end - self._now <= _AHEAD:
            self._sent.append((self._next, pcm))
            self._next, self._end = self._next + pcm.size, end

    def stopped(self) -> None:
        """The client plays nothing more of what was sent."""
        self._end = min(self._end, self._now)
        while self._sent and self._sent[-1][0] >= self._now:
            self._sent.pop()
        if self._sent:
            start, pcm = self._sent.pop()
            self._sent.append((start, pcm[: self._now - start]))

    def heard(self, window: Pcm) -> None:
        """The next 32 ms of the microphone, 16 kHz."""
        self._heard.append(window)
        self._now += window.size * _RATE_HZ // MODEL_RATE_HZ
        earliest = self._now - _LAG - _WINDOWS * _WINDOW
        while self._sent and self._sent[0][0] + self._sent[0][1].size <= earliest:
            self._sent.popleft()

    def is_echo(self) -> bool:
        """What was heard last is an echo of what was sent."""
        if not self._sent or self._sent[0][0] >= self._now:
            return False
        if self._now - self._compared >= _HELD:
            heard = resampled(AudioFrame(np.concatenate(self._heard), MODEL_RATE_HZ), _RATE_HZ)
            self._same = _resemblance(np.diff(heard), np.diff(self._played(heard.size))) >= _SAME
            self._compared = self._now
        return self._same

    def _played(self, size: int) -> Pcm:
        """What `size` samples that were just heard may be an echo of, with as much silence around it."""
        begin = max(self._now - _LAG, self._sent[0][0]) - size
        end = min(self._now, self._sent[-1][0] + self._sent[-1][1].size + size)
        played = np.zeros(end - begin, np.float32)
        for start, pcm in self._sent:
            if start >= end:
                break
            first, last = max(start, begin), min(start + pcm.size, end)
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
