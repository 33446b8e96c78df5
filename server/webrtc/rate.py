"""How often one peer may begin calls: a call costs sockets, keys and certificates before anybody is known to be there."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from server.errors import TooManyCalls

_WINDOW_S = 60.0


class CallRate:
    """At most `most` calls a minute of each peer. Pure: the caller's clock, in seconds, is all it knows of time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._begun: dict[Hashable, deque[float]] = {}

    def begin(self, peer: Hashable, now_s: float) -> None:
        """Account for a call. Raises TooManyCalls, which is not accounted for."""
        for other, times in list(self._begun.items()):
            while times and times[0] <= now_s - _WINDOW_S:
                times.popleft()
            if not times:
                del self._begun[other]
        times = self._begun.setdefault(peer, deque())
        if len(times) >= self._most:
            raise TooManyCalls(
                f"{self._most} calls were begun from this address within a minute; accepted: up to {self._most}",
                retry_s=times[0] + _WINDOW_S - now_s,
            )
        times.append(now_s)
