"""The last messages to a client, in case it has to be told again."""

from __future__ import annotations

from collections import deque


class Backlog:
    """Messages by number; the first has number 0. Only the newest are kept."""

    def __init__(self) -> None:
        self._messages: deque[str] = deque()
        self.start = 0
        """Number of the oldest that is kept."""
        self.size = 0
        """Characters that are kept."""

    @property
    def end(self) -> int:
        """Number of the next message."""
        return self.start + len(self._messages)

    def __getitem__(self, number: int) -> str:
        return self._messages[number - self.start]

    def add(self, message: str) -> None:
        """Keep one more."""
        self._messages.append(message)
        self.size += len(message)

    def trim(self, most: int, before: int | None = None) -> None:
        """Forget the oldest until `most` characters are left, only among those with numbers below `before`."""
        end = self.end if before is None else before
        while self.size > most and self.start < end:
            self.size -= len(self._messages.popleft())
            self.start += 1
