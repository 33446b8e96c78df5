"""How many replicas a stage gets: as many as its listeners need not to wait, whatever the processors do.

A replica says how much of their time its calls take (`Pressure`), and Serve's controller scales by that (`by_headroom`). Nothing
here imports Ray.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

PRESSURE = "pressure"
GROW_ABOVE, SHRINK_BELOW = 0.6, 0.2
FIRST_TOKENS_S = 0.5
"""How long an answer's first tokens may take: a caller hears nothing before them."""

_WINDOW_S, _MOST_CALLS, _SHARE = 30.0, 512, 0.9
_LEAST_S = 0.2
"""A call has so much time at least. Where a listener has run dry already, one call more or less decides nothing."""


class Pressure:
    """Of the time that its calls have, how much a replica takes: at 1 listeners begin to wait, at 0.1 there is room for many more.

    A call has the time until its listener runs dry (a cut), until the next piece comes (a piece of speech), or `FIRST_TOKENS_S`
    (an answer). Waiting for its turn counts, so a queue is seen by its age.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: dict[object, tuple[float, float]] = {}
        self._done = deque[tuple[float, float]](maxlen=_MOST_CALLS)

    @contextmanager
    def call(self, had_s: float) -> Iterator[None]:
        """A call as long as the context lasts. `had_s`: its time."""
        call, began_s, had_s = object(), self._clock(), max(had_s, _LEAST_S)
        self._waiting[call] = began_s, had_s
        try:
            yield
        finally:
            del self._waiting[call]
            self._done.append((self._clock(), (self._clock() - began_s) / had_s))

    def value(self) -> float:
        """What nine in ten calls of the last half minute stayed within, or the worst that waits now; 0 where there were none."""
        now_s = self._clock()
        done = sorted(share for ended_s, share in self._done if ended_s > now_s - _WINDOW_S)
        waiting = [(now_s - began_s) / had_s for began_s, had_s in self._waiting.values()]
        return max([*done[math.ceil(len(done) * _SHARE) - 1 :][:1], *waiting], default=0.0)


class Scaled(Protocol):
    """What of `ray.serve.config.AutoscalingContext` counts."""

    target_num_replicas: int
    aggregated_metrics: Mapping[str, Mapping[Any, float]] | None
    policy_state: dict[str, Any]


def wanted(pressures: Sequence[float], target: int) -> int:
    """Replicas that a stage shall have. `pressures`: of those that say so; `target`: how many are there or on their way.

    It grows with the mean pressure, at most twofold; those on their way are not asked for again. It shrinks by one, since what
    remains then has to carry is known only afterwards.
    """
    if not pressures:
        return target
    mean = sum(pressures) / len(pressures)
    if mean > GROW_ABOVE:
        return max(target, math.ceil(len(pressures) * min(2.0, mean / GROW_ABOVE)))
    return target - 1 if mean < SHRINK_BELOW and len(pressures) >= target > 1 else target


def by_headroom(stage: Scaled) -> tuple[int, dict[str, Any]]:
    """The policy that `deploy/ray/gpu.yaml` names. Serve applies limits and delays of the configuration to what it returns."""
    pressures = (stage.aggregated_metrics or {}).get(PRESSURE, {})
    return wanted(list(pressures.values()), stage.target_num_replicas), stage.policy_state
