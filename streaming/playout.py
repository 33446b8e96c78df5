"""What a call still has to play, where the server keeps the time: audio of answers in, frames of equal length out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from streaming.stages import Pcm


@dataclass(slots=True)
class _Spoken:
    """Audio of one answer that is still to be played."""

    response_id: str
    item_id: str
    pieces: deque[Pcm] = field(default_factory=deque[Pcm])
    waiting: int = 0
    played: int = 0
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """The first sample of an answer was played, or its last one."""

    kind: Literal["started", "stopped"]
    response_id: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """An answer broken off: `played_ms` of `item_id` were played, or are on their way."""

    response_id: str
    item_id: str
    played_ms: int


class PlayoutQueue:
    """Answers one behind the other in the order in which they began, silence where there is nothing.

    Audio: float32 mono at `rate_hz`.
    """

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._answers: deque[_Spoken] = deque()
        self._dropped: deque[str] = deque(maxlen=64)

    @property
    def waiting_s(self) -> float:
        """Audio still to be played."""
        return sum(answer.waiting for answer in self._answers) / self.rate_hz

    def push(self, response_id: str, item_id: str, pcm: Pcm) -> None:
        """Next audio of an answer. What comes of one that was cleared is dropped."""
        if response_id in self._dropped or not pcm.size:
            return
        answer = next((each for each in self._answers if each.response_id == response_id), None)
        if answer is None:
            answer = _Spoken(response_id, item_id)
            self._answers.append(answer)
        answer.pieces.append(pcm)
        answer.waiting += pcm.size

    def complete(self, response_id: str) -> None:
        """No more audio of this answer follows."""
        for answer in self._answers:
            answer.complete = answer.complete or answer.response_id == response_id

    def take(self, samples: int) -> tuple[Pcm, list[Progress]]:
        """The next `samples` to play, and what they begin and end."""
        frame = np.zeros(samples, np.float32)
        progress: list[Progress] = []
        filled = 0
        while self._answers:
            answer = self._answers[0]
            if answer.waiting and not answer.played:
                progress.append(Progress("started", answer.response_id))
            filled += self._fill(answer, frame[filled:])
            if answer.waiting or not answer.complete:
                break
            self._answers.popleft()
            progress.append(Progress("stopped", answer.response_id))
        return frame, progress

    def clear(self) -> list[Cleared]:
        """Play nothing more of what is there; also what is still to come of it."""
        cleared = [
            Cleared(answer.response_id, answer.item_id, answer.played * 1000 // self.rate_hz)
            for answer in self._answers
        ]
        self._dropped.extend(answer.response_id for answer in self._answers)
        self._answers.clear()
        return cleared

    @staticmethod
    def _fill(answer: _Spoken, frame: Pcm) -> int:
        filled = 0
        while filled < frame.size and answer.pieces:
            piece = answer.pieces.popleft()
            part = piece[: frame.size - filled]
            frame[filled : filled + part.size] = part
            filled += part.size
            if part.size < piece.size:
                answer.pieces.appendleft(piece[part.size :])
        answer.waiting -= filled
        answer.played += filled
        return filled


class Arrivals:
    """Audio as it arrives over a network, put back on its sender's clock: what was lost, or never sent, becomes silence.

    Samples are numbered by the sender. The receiver's clock, in seconds, tells how far the sender must be while nothing arrives:
    with discontinuous transmission (DTX, RFC 7587) a silent sender says so only every 400 ms, and each packet waits in the jitter
    buffer for those behind it.
    """

    LONGEST_S = 2.0
    """Silence for one gap: a sender that was suspended does not make everybody wait."""

    HOLD_S = 0.4
    """Longer than a jitter buffer holds packets back behind a lost one: what has not come by then may not come."""

    _DRIFT = 0.001
    """Seconds of a second by which the sender's clock may be slower."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._next: int | None = None
        self._lent = 0
        self._ahead_s = 0.0
        self._checked_s = 0.0

    def arrived(self, at_sample: int, pcm: Pcm, now_s: float) -> Pcm:
        """Audio whose first sample has number `at_sample`: with silence before it where some is missing."""
        longest = round(self.LONGEST_S * self._rate_hz)
        ahead_s = (at_sample + pcm.size) / self._rate_hz - now_s
        if self._next is None or at_sample < self._next - longest:  # the first audio, or of a sender that began anew
            self._next, self._ahead_s = at_sample, ahead_s
        missing = at_sample - self._next
        self._next += max(0, missing) + pcm.size
        self._ahead_s = max(ahead_s, self._ahead_s - self._DRIFT * (now_s - self._checked_s))
        self._checked_s, self._lent = now_s, 0
        silence = min(missing, longest)
        return np.concatenate([np.zeros(silence, np.float32), pcm]) if silence > 0 else pcm

    def late(self, now_s: float) -> Pcm:
        """Silence for what should have arrived long ago. What arrives after all is late, not lost: it follows the silence."""
        if self._next is None:
            return np.zeros(0, np.float32)
        due = round((now_s + self._ahead_s - self.HOLD_S) * self._rate_hz) - self._next
        silence = max(0, min(due, round(self.LONGEST_S * self._rate_hz) - self._lent))
        self._next += silence
        self._lent += silence
        return np.zeros(silence, np.float32)
