"""Sessions that a client may come back to after its connection was lost: found by a token, for a while, and not too many."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from server.state.metrics import Metrics
from streaming.errors import InvalidRequest


class NotResumable(InvalidRequest):
    """There is no session to come back to."""

    code = "session_not_resumable"


class Waiting(Protocol):
    """A session, as far as it matters here."""

    def give_up(self) -> None:
        """Nobody can come back any more: end."""
        ...


S = TypeVar("S", bound=Waiting)


class Parking(Generic[S]):
    """Tokens of live sessions, and the sessions whose client is away: `most` at once, each for `within_s`.

    A token is good for one return. It stays good until the client uses the next one or is heard on the new connection: the
    message that brings the next one may be lost, too.
    """

    def __init__(self, most: int, within_s: float, metrics: Metrics) -> None:
        self.within_s = within_s
        self._most = most
        self._metrics = metrics
        self._sessions: dict[bytes, S] = {}
        self._tokens: dict[S, list[bytes]] = {}
        self._away: dict[S, None] = {}

    @property
    def open(self) -> bool:
        """Sessions are kept for their clients at all."""
        return self._most > 0 and self.within_s > 0

    def issue(self, session: S) -> str:
        """A new token of 256 random bits for `session`."""
        token = secrets.token_urlsafe(32)
        digest = _digest(token)
        self._sessions[digest] = session
        self._tokens.setdefault(session, []).append(digest)
        return token

    def confirm(self, session: S) -> None:
        """The client has the newest token: the others are void."""
        tokens = self._tokens.get(session, [])
        self._forget(tokens[:-1])
        del tokens[:-1]

    def claim(self, token: str, may_have: Callable[[S], bool]) -> S:
        """The session of `token`, all other tokens of which are void now.

        Raises NotResumable where there is none, or not one that its client `may_have`.
        """
        digest = _digest(token)
        session = self._sessions.get(digest)
        if session is None or not may_have(session):
            raise NotResumable(
                "no session can be resumed with this token, key and address: the token was used, or its session ended, waited "
                f"longer than {self.within_s:g} s, or is another server's"
            )
        self._forget([other for other in self._tokens[session] if other != digest])
        self._tokens[session] = [digest]
        return session

    def forget(self, session: S) -> None:
        """The session is over."""
        self._forget(self._tokens.pop(session, []))

    @contextmanager
    def away(self, session: S) -> Iterator[None]:
        """While the client of `session` is away. The session that has waited longest gives up where there are too many."""
        while len(self._away) >= self._most:
            longest = next(iter(self._away))
            del self._away[longest]
            longest.give_up()
        self._away[session] = None
        self._metrics.parked(1)
        try:
            yield
        finally:
            self._away.pop(session, None)
            self._metrics.parked(-1)

    def returning(self, session: S) -> None:
        """Its client is about to be back: it gives way to nobody any more."""
        self._away.pop(session, None)

    def _forget(self, digests: list[bytes]) -> None:
        for digest in digests:
            del self._sessions[digest]


def _digest(token: str) -> bytes:
    """What is looked up: how long that takes says nothing of the token."""
    return hashlib.sha256(token.encode()).digest()
