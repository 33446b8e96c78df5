"""What a client keeps to come back to its session. Values in, values out.

The server's `session.resumable` brings a token. With it, and the number of events received, a new connection goes on where the last
one broke; the server says how many events of the client it has taken, and the client sends those behind them again.
"""

from __future__ import annotations

from typing import Any

from clients.errors import Disconnected
from streaming.realtime.backlog import Backlog

OFFER = "cslm"
"""The subprotocol of clients that know this server's own events."""
RESUMED = "session.resumed"
_OF_THE_CONNECTION = frozenset({"session.resumable", RESUMED})
_KEPT_CHARACTERS = 2 * 1024 * 1024
"""Of what was sent: half a minute of speech."""


class Resumption:
    """Of one session, from its `session.created`."""

    def __init__(self, created: Any) -> None:
        self._token: str | None = None
        self.within_s = 0.0
        """How long the server waits."""
        self._received = 0
        self._sent = Backlog()
        self.take(created)

    @property
    def possible(self) -> bool:
        """The server waits for this session, as far as we know."""
        return self._token is not None

    @property
    def offer(self) -> str:
        """The subprotocol to offer."""
        return OFFER if self._token is None else f"{OFFER}.{self._token}.{self._received}"

    def take(self, event: Any) -> None:
        """An event came from the server."""
        self._received += event.type != RESUMED
        if event.type in _OF_THE_CONNECTION:
            self._token, self.within_s = event.token, event.within_s

    def sent(self, message: str) -> None:
        """A message went to the server."""
        self._sent.trim(_KEPT_CHARACTERS)
        self._sent.add(message)

    def queue(self, message: str) -> None:
        """A message shall go to the server when the session is back. Raises Disconnected where too many wait."""
        if self._sent.size > 2 * _KEPT_CHARACTERS:
            raise Disconnected("the connection is being restored, and no more can wait for it")
        self._sent.add(message)

    def keeps(self, number: int) -> bool:
        """All messages from this number on are kept; the first has number 0."""
        return number >= self._sent.start

    def message(self, number: int) -> str | None:
        """The message of this number, or None if it is still to come."""
        return self._sent[number] if number < self._sent.end else None


def concerns_the_user(event: Any) -> bool:
    """The event says more than that this connection is, or is not, that of an earlier session."""
    refused = event.type == "error" and event.error.code == "session_not_resumable"
    return event.type not in _OF_THE_CONNECTION and not refused
