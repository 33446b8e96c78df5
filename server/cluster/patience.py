"""How long a gateway waits for a replica before it asks another. Nothing here knows of Ray."""

from __future__ import annotations

_FIRST, _GROWTH = 8, 4.0
_SMOOTHING, _VARIANCE_SMOOTHING, _DEVIATIONS = 1 / 8, 1 / 4, 4.0


class Patience:
    """Learned from how long answers take, as TCP learns when to send again (RFC 6298).

    A host whose network is cut says nothing, and Ray gives it up after half a minute. Where a replica did not answer, the next gets
    four times as long, so that load alone does not chase a stream from one to another.
    """

    def __init__(self, most_s: float, least_s: float = 1.0) -> None:
        """`least_s`, `most_s`: what is waited for in any case, and at most; the latter until a few calls were answered."""
        self._most_s, self._least_s = most_s, least_s
        self._answers = 0
        self._mean_s = self._deviation_s = 0.0

    def wait_s(self, losses: int = 0) -> float:
        """For a call that replicas have left unanswered so many times before."""
        if self._answers < _FIRST:
            return self._most_s
        patient_s = max(self._least_s, self._mean_s + _DEVIATIONS * self._deviation_s)
        return min(self._most_s, patient_s * _GROWTH**losses)

    def answered(self, took_s: float) -> None:
        """A call was."""
        self._answers += 1
        if self._answers == 1:
            self._mean_s, self._deviation_s = took_s, took_s / 2
            return
        self._deviation_s += _VARIANCE_SMOOTHING * (abs(took_s - self._mean_s) - self._deviation_s)
        self._mean_s += _SMOOTHING * (took_s - self._mean_s)
