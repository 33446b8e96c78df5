"""Which replicas a gateway had better not ask now. Nothing here knows of Ray."""

from __future__ import annotations

import time
from collections.abc import Callable

SILENT_S = 0.5
"""A replica says within milliseconds that it takes a call, however long the call then lasts."""

DOUBT_S = 10.0
"""By then Serve has dropped a replica that is gone. One that was only cut off is asked again."""


class Doubts:
    """What a gateway knows of replicas before Serve does, from the calls that it sends them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked_s = dict[str, float]()
        self._failed_s = dict[str, float]()

    def asked(self, name: str) -> None:
        """A call was sent."""
        self._forget()
        self._asked_s.setdefault(name, self._clock())

    def heard(self, name: str) -> None:
        """It took or refused a call, so it is there."""
        self._asked_s.pop(name, None)
        self._failed_s.pop(name, None)

    def failed(self, name: str) -> None:
        """It could not be reached."""
        self._forget()
        self._failed_s[name] = self._clock()

    def unreachable(self) -> set[str]:
        """Those that could not be reached when they were asked last."""
        self._forget()
        return set(self._failed_s)

    def silent(self) -> set[str]:
        """Those that owe a word about a call for `SILENT_S`."""
        self._forget()
        since_s = self._clock() - SILENT_S
        return {name for name, asked_s in self._asked_s.items() if asked_s < since_s}

    def _forget(self) -> None:
        since_s = self._clock() - DOUBT_S
        for told in (self._asked_s, self._failed_s):
            for name in [name for name, at_s in told.items() if at_s < since_s]:
                del told[name]
