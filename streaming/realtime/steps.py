"""Handlers that wait for inputs, one after the other, without tasks."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator

Handler = Generator[None]
"""Reacts to one input. A bare `yield` waits for the next input, whatever it is: a handler yields while what it needs is not so."""


class Steps:
    """Runs handlers in the order in which they were added, each to its end before the next begins."""

    def __init__(self) -> None:
        self._handlers: deque[Handler] = deque()

    @property
    def waiting(self) -> bool:
        """A handler has not come to its end."""
        return bool(self._handlers)

    def add(self, handler: Handler) -> None:
        """Run `handler` when those before it are done."""
        self._handlers.append(handler)

    def advance(self) -> None:
        """There was an input: go on until a handler waits again, or none is left."""
        while self._handlers:
            try:
                next(self._handlers[0])
            except StopIteration:
                self._handlers.popleft()
            else:
                return
